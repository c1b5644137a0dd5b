//! What the environment says: the node's id, threads.

use crate::harness::daemon::serve;
use crate::harness::{Daemon, Home, Mail, Policy, wait_until};
use std::process::Command;

const ID: &str = "0b1c6f4e-1111-4222-8333-abcdefabcdef";

/// Starts with this environment, takes a mail, and gives the `nodeid` of its records.
fn node_of(home: &Home, surroundings: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut command = serve(home);
    let daemon = Daemon::start_as(surroundings(&mut command));
    let before = home.records().len();
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    let node = wait_until("a record of the mail", || home.records().get(before)?["nodeid"].as_str().map(str::to_owned));
    daemon.stop();
    node
}

#[test]
fn the_node_has_the_id_that_the_environment_names_or_keeps_one_of_its_own() {
    let home = Home::new();
    home.write_policy(&Policy::new("").text(&home));
    assert_eq!(node_of(&home, |command| command.env("KUMO_NODE_ID", ID)), ID);
    let kept = home.file("node");
    let own = node_of(&home, |command| command.env("KUMO_NODE_ID_PATH", &kept));
    assert_ne!(own, ID);
    assert_eq!(std::fs::read_to_string(&kept).expect("the file with the id").trim(), own);
    assert_eq!(node_of(&home, |command| command.env("KUMO_NODE_ID_PATH", &kept)), own);
}

#[test]
fn what_the_environment_cannot_mean_is_named() {
    let home = Home::new();
    home.write_policy(&Policy::new("").text(&home));
    for (variable, value, words) in [
        ("KUMO_NODE_ID", "node-1", "KUMO_NODE_ID is no uuid"),
        ("KUMOD_MAIN_THREADS", "many", "KUMOD_MAIN_THREADS has to be a whole number above zero"),
        ("KUMOD_MAX_BLOCKING_THREADS", "0", "KUMOD_MAX_BLOCKING_THREADS has to be a whole number above zero"),
        ("KUMO_AVAILABLE_PARALLELISM", "-1", "KUMO_AVAILABLE_PARALLELISM has to be a whole number above zero"),
    ] {
        Daemon::refuses(serve(&home).env(variable, value)).says(&[words]);
    }
}

#[test]
fn threads_are_as_many_as_the_environment_says() {
    let home = Home::new();
    home.write_policy(&Policy::new("").text(&home));
    // Many more than there would be otherwise: threads for blocking work have the same name and come and go.
    let wanted = std::thread::available_parallelism().map_or(2, usize::from) + 20;
    for variable in ["KUMOD_MAIN_THREADS", "KUMO_AVAILABLE_PARALLELISM"] {
        let daemon = Daemon::start_as(serve(&home).env(variable, wanted.to_string()));
        // Each gives itself its name once it runs.
        wait_until(&format!("{variable} makes {wanted} threads"), || {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("the daemon's threads");
            let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
            (names.filter(|name| name.trim() == "mail").count() >= wanted).then_some(())
        });
        daemon.stop();
    }
}
