//! Policies and surroundings with which the daemon must not start: it says what is wrong, and where.

use crate::harness::daemon::{serve, serve_as_we_are};
use crate::harness::skip::skip;
use crate::harness::{Daemon, Home, Mail, Policy, Refusal, wait_until};
use nix::unistd::geteuid;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Starts with these lines at the top level, which must fail at the line that holds `place`.
fn refused_at(body: &str, place: &str, words: &[&str]) {
    refused_policy_at(&Policy::new(body), place, words);
}

fn refused_policy_at(policy: &Policy, place: &str, words: &[&str]) {
    let home = Home::new();
    let line =
        policy.text(&home).lines().position(|line| line.contains(place)).expect("the place is in the policy") + 1;
    let refusal = Daemon::refused(&home, policy);
    refusal.says(words);
    refusal.says(&[&format!("policy.lua:{line}")]);
}

fn refused(policy: &Policy, words: &[&str]) -> Refusal {
    let refusal = Daemon::refused(&Home::new(), policy);
    refusal.says(words);
    refusal
}

#[test]
fn a_syntax_error_is_shown_with_file_and_line() {
    refused_at(
        "local fine = 1\nlocal broken = = 2",
        "broken",
        &["Error evaluating policy file", "unexpected symbol near '='"],
    );
}

#[test]
fn an_error_at_the_top_level_is_shown_with_file_and_line() {
    refused_at("local fine = 1\nerror 'this policy gives up'", "gives up", &["this policy gives up"]);
}

#[test]
fn a_policy_that_is_not_there_is_named() {
    let home = Home::new();
    Daemon::refuses(&mut serve(&home)).says(&["policy.lua", "No such file"]);
}

#[test]
fn a_module_that_is_not_there_is_named() {
    refused_at("require 'policy-extras.nonsense'", "nonsense", &["policy-extras.nonsense"]);
}

#[test]
fn an_unknown_option_is_shown_with_the_accepted_ones() {
    let policy = Policy::new("").listener("colour = 'red',");
    refused_policy_at(
        &policy,
        "colour",
        &["Initialization raised an error", "colour", "max_message_size", "relay_hosts"],
    );
}

#[test]
fn an_unknown_option_of_a_queue_is_shown_with_the_accepted_ones() {
    let body = "kumo.make_queue_config { retry_intervall = '1m' }";
    refused_at(body, "retry_intervall", &["unknown field `retry_intervall`", "`retry_interval`", "`max_age`"]);
}

#[test]
fn a_wrong_type_is_shown_with_its_field() {
    let policy = Policy::new("").listener("max_message_size = 'huge',");
    refused_policy_at(&policy, "huge", &["max_message_size", "huge"]);
}

#[test]
fn options_that_are_no_table_are_refused_at_their_place() {
    refused_policy_at(
        &Policy::new("").init("kumo.define_journal '10GiB'"),
        "10GiB",
        &["expected one table of options, while processing \"10GiB\""],
    );
}

#[test]
fn a_field_that_names_itself_is_not_named_twice() {
    let policy =
        Policy::new("").init("kumo.start_http_listener { listen = '127.0.0.1:0', trusted_hosts = { 'nobody' } }");
    refused_policy_at(&policy, "'nobody'", &["deserialize error: trusted_hosts: \"nobody\""]);
}

#[test]
fn a_log_directory_that_cannot_be_used_is_named_with_its_reason_once() {
    let policy = Policy::new("").init("kumo.configure_local_logs { log_dir = '/dev/null/logs' }");
    let refusal = refused(&policy, &["configure_local_logs: use log directory /dev/null/logs: "]);
    assert_eq!(refusal.stderr.matches("Not a directory").count(), 1, "{}", refusal.stderr);
}

#[test]
fn a_filter_of_diagnostics_that_makes_no_sense_is_named() {
    let home = Home::new();
    home.write_policy(&Policy::new("error 'far enough'").text(&home));
    let refusal = Daemon::refuses(serve(&home).env("KUMOD_LOG", "not=a=filter"));
    refusal.says(&["KUMOD_LOG is no filter of diagnostics", "showing info", "far enough"]);
}

#[test]
fn an_error_in_init_is_shown_and_readiness_still_told() {
    let policy = Policy::new("").init("error 'not today'");
    refused_policy_at(
        &policy,
        "not today",
        &["Initialization raised an error", "not today", "initialization complete"],
    );
}

#[test]
fn a_second_handler_for_init_is_shown_with_the_place_of_the_first() {
    refused_at(
        "kumo.on('init', function() end) -- again",
        "again",
        &["init event already has a handler defined at", "policy.lua:"],
    );
}

const HELPER: &str = "local log_hooks = require 'policy-extras.log_hooks'\n";

#[test]
fn new_json_without_url_says_so() {
    let body = format!("{HELPER}log_hooks:new_json {{ name = 'webhook' }}");
    refused_at(&body, "new_json", &["JsonLogHookOptions: missing value for field 'url' of type 'string'"]);
}

#[test]
fn new_json_with_an_unknown_option_says_so() {
    let body = format!("{HELPER}log_hooks:new_json {{ name = 'webhook', url = 'http://127.0.0.1/', retries = 3 }}");
    refused_at(&body, "new_json", &["JsonLogHookOptions: unknown field 'retries'"]);
}

#[test]
fn new_with_a_wrong_type_says_so() {
    let body = format!("{HELPER}log_hooks:new {{ name = 'webhook', batch_size = 'x', constructor = function() end }}");
    refused_at(
        &body,
        "batch_size",
        &["LogHookOptions: invalid value for field 'batch_size'", "Expected 'number', got 'string' 'x'"],
    );
}

#[test]
fn a_name_that_two_hooks_of_the_helper_have_is_refused() {
    let hook = "log_hooks:new_json { name = 'webhook', url = 'http://127.0.0.1/' }\n";
    refused(
        &Policy::new(format!("{HELPER}{hook}{hook}")),
        &["log_hook with name 'webhook' has already been configured", "policy.lua:"],
    );
}

#[test]
fn a_name_that_two_log_hooks_have_is_refused() {
    let policy = Policy::new("")
        .init("kumo.configure_log_hook { name = 'webhook' }\nkumo.configure_log_hook { name = 'webhook' } -- again");
    refused_policy_at(&policy, "-- again", &["A logging hook with name `webhook` has already been registered"]);
}

#[test]
fn a_broken_template_is_shown() {
    let policy = Policy::new("")
        .init("kumo.configure_log_hook { name = 'webhook', per_record = { Bounce = { template = '{{ id' } } }");
    refused(&policy, &["webhook", "Bounce", "template", "syntax error"]);
}

#[test]
fn what_is_wrong_with_log_parameters_is_shown_where_the_hook_is_asked_for() {
    let hook = |parameters: &str| {
        format!(
            "{HELPER}log_hooks:new_json {{ name = 'webhook', url = 'http://127.0.0.1/', log_parameters = {parameters} }} -- here"
        )
    };
    let template = hook("{ per_record = { Bounce = { template = '{{ id' } } }");
    refused_at(&template, "-- here", &["log_parameters of log_hook 'webhook'", "Bounce", "syntax error"]);
    refused_at(&hook("{ header = { 'Subject' } }"), "-- here", &["unknown field `header`", "`headers`"]);
}

#[test]
fn a_broken_template_of_a_log_file_is_shown() {
    let policy = Policy::new("").init(
        "kumo.configure_local_logs { log_dir = dir .. '/more', per_record = { Any = { template = '{% if %}' } } }",
    );
    refused(&policy, &["configure_local_logs", "template", "syntax error"]);
}

#[test]
fn a_spool_that_cannot_be_written_is_named() {
    let home = Home::new();
    fs::create_dir(home.file("spool")).expect("make a folder");
    // Of root's, or without the right to write for ourselves.
    fs::set_permissions(home.file("spool"), fs::Permissions::from_mode(0o555)).expect("take the right to write");
    Daemon::refused(&home, &Policy::new("")).says(&["spool", "ermission denied"]);
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("take a port");
    let address = taken.local_addr().expect("its address");
    let policy = Policy::new("").init(&format!("kumo.start_esmtp_listener {{ listen = '{address}' }}"));
    refused_policy_at(&policy, &format!("'{address}'"), &[&address.to_string(), "in use"]);
}

#[test]
fn a_second_daemon_on_the_same_spool_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    // Its own admin socket is no reason to refuse it.
    let mut second = serve_as_we_are(&home, &home.file("state-of-the-second"));
    Daemon::refuses(second.args(home.user().map(|user| format!("--user={user}"))))
        .says(&["spool", "in use by process"]);
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    wait_until("the mail is delivered", || (home.maildir("example.com").len() == 1).then_some(()));
    daemon.stop();
}

#[test]
fn root_must_say_who_to_run_as() {
    if !geteuid().is_root() {
        skip("only root is asked for --user", "sudo -E cargo xtask test");
        return;
    }
    let home = Home::new();
    home.write_policy(&Policy::new("").text(&home));
    Daemon::refuses(&mut serve_as_we_are(&home, &home.state())).says(&["--user"]);
    assert!(!home.file("spool").exists(), "nothing was touched");
}
