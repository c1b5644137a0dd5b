//! `--validate`: only looks.

use crate::harness::daemon::{PROGRAM, program_at, serve};
use crate::harness::{Daemon, Home, Policy, Refusal};

fn validate(home: &Home, policy: &Policy) -> Refusal {
    home.write_policy(&policy.text(home));
    Daemon::refuses(serve(home).arg("--validate"))
}

fn assert_nothing_was_opened(home: &Home, end: &Refusal) {
    for made in ["spool", "logs", "state"] {
        assert!(!home.file(made).exists(), "{made} is there\n{}", end.stderr);
    }
    assert!(!end.stderr.contains("listener on"), "{}", end.stderr);
}

#[test]
fn a_good_policy_is_valid_and_nothing_is_opened() {
    let home = Home::new();
    let hook = "require('policy-extras.log_hooks'):new_json { name = 'webhook', url = 'http://127.0.0.1:1/' }
assert(_VALIDATING_CONFIG)";
    let end = validate(&home, &Policy::new(hook));
    assert!(end.status.success(), "{}\n{}", end.status, end.stderr);
    assert_nothing_was_opened(&home, &end);
}

#[test]
fn a_policy_with_a_wrong_option_in_init_is_not_valid() {
    let home = Home::new();
    let end = validate(&home, &Policy::new("").listener("colour = 'red',"));
    end.says(&["colour", "relay_hosts", "policy.lua:"]);
    assert_nothing_was_opened(&home, &end);
}

#[test]
fn a_policy_with_a_syntax_error_is_not_valid() {
    let home = Home::new();
    let end = validate(&home, &Policy::new("local x = = 1"));
    end.says(&["policy.lua:", "unexpected symbol"]);
    assert_nothing_was_opened(&home, &end);
}

#[test]
fn handlers_of_validate_config_have_their_say() {
    let home = Home::new();
    let end = validate(&home, &Policy::new("kumo.on('validate_config', function() kumo.validation_failed() end)"));
    end.says(&[]);
    let end = validate(&home, &Policy::new("kumo.on('validate_config', function() error 'I do not like it' end)"));
    end.says(&["I do not like it"]);
    assert_nothing_was_opened(&home, &end);
}

#[test]
fn under_the_name_of_kumod_it_takes_the_flags_of_serve() {
    let home = Home::new();
    let kumod = home.file("kumod");
    std::os::unix::fs::symlink(PROGRAM, &kumod).expect("make a link");
    home.write_policy(&Policy::new("").text(&home));
    let policy = home.file("policy.lua");
    let end = Daemon::refuses(program_at(&kumod).arg("--policy").arg(policy).arg("--validate"));
    let version = program_at(&kumod).arg("--version").output().expect("ask for the version").stdout;
    assert!(version.starts_with(b"waybill "), "{}", String::from_utf8_lossy(&version));
    assert!(end.status.success(), "{}\n{}", end.status, end.stderr);
    assert_nothing_was_opened(&home, &end);
}

#[test]
fn what_no_start_could_use_is_not_valid_either() {
    let home = Home::new();
    let spool = "kumo.define_spool { name = 'data', path = dir .. '/d', rocks_params = { increase_paralelism = 4 } }";
    let policy = format!(
        "local kumo = require 'kumo'\nlocal dir = '{}'\nkumo.on('init', function() {spool} end)",
        home.path().display()
    );
    home.write_policy(&policy);
    Daemon::refuses(serve(&home).arg("--validate")).says(&["rocks_params", "increase_paralelism", "policy.lua:3"]);
    home.write_policy("local kumo = require 'kumo'\nkumo.on('init', function() end)");
    Daemon::refuses(serve(&home).arg("--validate")).says(&["No spools have been defined", "not valid"]);
}
