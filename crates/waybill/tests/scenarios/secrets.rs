//! The key that secrets are sealed with: made, kept, replaced, missed.

use crate::harness::daemon::serve;
use crate::harness::home::is_on_disk;
use crate::harness::{Daemon, Home, Policy, api, http, wait_until};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

const SECRET: &str = "a-secret-of-a-receiver";
const OTHER: &str = "6Kd0pQ7V0sYh3n1jZJpT4R2mXw9uFbL8cAeGiKoSqUw=";

fn create_hook(daemon: &Daemon) -> String {
    let hook = json!({
        "source": "log", "event": "Bounce", "handler": "webhook",
        "config": { "url": "https://hooks.example/x", "secret": SECRET },
    });
    api::create_hook(daemon, &hook)
}

fn has_hook(daemon: &Daemon, id: &str) -> bool {
    let (status, answer) = http::ask(daemon.http(), "GET", &format!("/event-hooks/{id}"), "").expect("an answer");
    status == 200 && answer.contains(id)
}

#[test]
fn a_key_is_made_at_the_first_start_and_secrets_are_not_on_the_disk() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    wait_until("the new key is told", || daemon.stderr().contains("secrets.key: keep a copy").then_some(()));
    let file = home.state().join("secrets.key");
    assert_eq!(std::fs::metadata(&file).expect("the key").permissions().mode() & 0o777, 0o600);
    let key = std::fs::read_to_string(&file).expect("the key");
    let key = key.lines().last().expect("a line").to_owned();
    let id = create_hook(&daemon);
    daemon.kill9();
    let daemon = Daemon::start_again(&home);
    assert!(has_hook(&daemon, &id));
    assert!(!daemon.stderr().contains(&key), "a key is not logged");
    daemon.stop();
    for secret in [SECRET, &key] {
        assert!(!is_on_disk(&home.file("spool"), secret), "{secret}");
    }
}

#[test]
fn a_start_with_a_key_that_opens_nothing_is_refused_and_the_way_out_works() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let id = create_hook(&daemon);
    daemon.stop();
    let file = home.state().join("secrets.key");
    let old = std::fs::read_to_string(&file).expect("the key");

    std::fs::remove_file(&file).expect("lose it");
    Daemon::refuses(&mut serve(&home)).says(&["secrets.key is gone", "below the first", "lost_secrets_keys = { '"]);
    assert!(!file.exists(), "no new key is made over sealed secrets");
    Daemon::refuses(serve(&home).env("WAYBILL_SECRETS_KEY", OTHER))
        .says(&["sealed by the key ", "WAYBILL_SECRETS_KEY does not hold"]);

    // The new key in front, the old one below it; then the new one alone.
    let both = format!("{OTHER}\n{old}");
    let daemon = Daemon::start_as(serve(&home).env("WAYBILL_SECRETS_KEY", &both));
    assert!(has_hook(&daemon, &id));
    daemon.stop();
    let daemon = Daemon::start_as(serve(&home).env("WAYBILL_SECRETS_KEY", OTHER));
    assert!(has_hook(&daemon, &id));
    daemon.stop();
}

#[test]
fn a_key_file_that_everybody_may_read_keeps_the_daemon_from_starting() {
    let home = Home::new();
    Daemon::start(&home, &Policy::new("")).stop();
    let file = home.state().join("secrets.key");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("open it");
    Daemon::refuses(&mut serve(&home)).says(&["may be read by everybody", "mode 0644", "chmod 0600"]);
    let path = file.display();
    let policy = Policy::new("").init(&format!("  kumo.configure_webhooks {{ secrets_key = '{path}' }}"));
    Daemon::refused(&home, &policy).says(&["secrets_key: ", "may be read by everybody", "policy.lua:"]);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("close it");
    Daemon::start_again(&home).stop();
}
