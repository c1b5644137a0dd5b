//! Files of the helpers with something wrong in them: told with file, line, section, option and what is accepted.

use crate::harness::daemon::serve;
use crate::harness::{Daemon, Home, Policy};

/// A policy that sets a helper up with these files, of which each has a name and a text, must not load.
fn refused(helper: &str, files: &[(&str, &str)], words: &[&str]) {
    let home = Home::new();
    for (name, text) in files {
        std::fs::write(home.file(name), text).expect("write a file");
    }
    let names: Vec<String> = files.iter().map(|(name, _)| format!("dir .. '/{name}'")).collect();
    let policy = Policy::new(format!("require('policy-extras.{helper}'):setup {{ {} }} -- here", names.join(", ")));
    let text = policy.text(&home);
    let line = text.lines().position(|line| line.contains("-- here")).expect("the line") + 1;
    home.write_policy(&text);
    let folder = format!("{}/", home.path().display());
    let refusal = Daemon::refuses(serve(&home).arg("--validate"));
    refusal.says(&[&format!("policy.lua:{line}")]);
    for word in words {
        refusal.says(&[&word.replace("DIR/", &folder)]);
    }
}

#[test]
fn an_option_that_nobody_knows_is_told_with_its_line_and_the_known_ones() {
    refused(
        "queue",
        &[("queue.toml", "[tenant.'a']\nmax_age = '1h'\n\n[tenant.\"b\"]\ncolour = 1\n")],
        &["DIR/queue.toml:5: [tenant.'b']: Tenant: unknown field 'colour'", "'overall_max_message_rate'", "'max_age'"],
    );
    refused(
        "shaping",
        &[("shaping.toml", "['default']\nmax_ready = 5\n['example.com']\nmax_redy = 5\n")],
        &["DIR/shaping.toml:4: ['example.com']: ShapingSection: unknown field 'max_redy'", "'max_ready'", "'sources'"],
    );
    refused(
        "listener_domains",
        &[("domains.toml", "['example.com']\nrelay = true\n")],
        &[
            "DIR/domains.toml:2: ['example.com']: ListenerDomain: unknown field 'relay'",
            "'relay_to'",
            "'relay_from_authz'",
        ],
    );
    refused(
        "sources",
        &[("sources.toml", "[source.a]\n# where from\nsource_adress = '10.0.0.1'\n")],
        &["DIR/sources.toml:3: [source.'a']: Source: unknown field 'source_adress'", "'source_address'"],
    );
    refused(
        "sources",
        &[("s.toml", "[sauce.a]\n")],
        &["DIR/s.toml: SourcesConfig: unknown field 'sauce'", "'pool', 'source'"],
    );
}

#[test]
fn a_value_that_makes_no_sense_is_told_with_its_line_and_what_would() {
    refused(
        "queue",
        &[("queue.toml", "[queue.default]\nretry_interval = '5m'\n[queue.'example.com']\nretry_interval = 'soon'\n")],
        &["DIR/queue.toml:4: [queue.'example.com']: ", "'retry_interval'", "\"soon\", expected a duration"],
    );
    refused(
        "shaping",
        &[("shaping.toml", "[\"default\"]\nprohibited_hosts = [\n  '10.0.0.0/8',\n  'zz',\n]\n")],
        &["DIR/shaping.toml:2: [default]: ", "'prohibited_hosts'", "expected an IP address or a CIDR, got \"zz\""],
    );
    refused(
        "listener_domains",
        &[("domains.toml", "[listener.'127.0.0.1:25'.'example.com']\nrelay_from = ['zz']\n")],
        &["DIR/domains.toml:2: [listener.'127.0.0.1:25'.'example.com']: ", "'relay_from'", "got \"zz\""],
    );
    refused(
        "sources",
        &[("sources.toml", "[source.a]\nsource_address = '10.0.0.1'\n[pool.p.a]\nweight = -1\n")],
        &["DIR/sources.toml:4: [pool.'p'.'a']: ", "'weight'", "Expected a whole number"],
    );
}

#[test]
fn of_several_files_the_one_that_is_wrong_is_named() {
    refused(
        "sources",
        &[
            ("one.toml", "[source.a]\nsource_address = '10.0.0.1'\n"),
            ("two.toml", "[source.b]\nehlo_domain = 'a b'\n"),
            ("three.toml", "[source.c]\nsource_address = '10.0.0.2'\n"),
        ],
        &["DIR/two.toml:2: [source.'b']: ", "'ehlo_domain'", "expected a host's name without spaces, got \"a b\""],
    );
    refused("sources", &[("broken.toml", "[source.a\n")], &["DIR/broken.toml", "toml"]);
    refused("queue", &[("flat.toml", "tenant = 5\n")], &["DIR/flat.toml: [tenant]: expected sections, got a number"]);
}

#[test]
fn what_does_not_fit_together_is_told_with_the_names_of_the_files() {
    let home = Home::new();
    std::fs::write(home.file("pools.toml"), "[pool.p.gone]\n").expect("write a file");
    let policy = Policy::new("require('policy-extras.sources'):setup(dir .. '/pools.toml')");
    home.write_policy(&policy.text(&home));
    let output = serve(&home).arg("--validate").output().expect("validate");
    assert!(!output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    let expected =
        format!("policy-extras.sources: {}: pool 'p' names source 'gone'", home.file("pools.toml").display());
    assert!(said.contains(&expected), "{said}");
}
