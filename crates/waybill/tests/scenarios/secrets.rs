//! The key that secrets are sealed with: made, kept, replaced, missed.

use crate::harness::daemon::serve;
use crate::harness::{Daemon, Home, Policy};
use std::os::unix::fs::PermissionsExt;

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
