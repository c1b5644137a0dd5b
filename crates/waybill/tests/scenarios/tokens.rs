//! Tokens of a live daemon: made on the machine, shown over HTTP, there after every death.

use crate::harness::daemon::program;
use crate::harness::home::is_on_disk;
use crate::harness::http::ask_with;
use crate::harness::{Daemon, Home, Policy, Receiver, wait_until};
use serde_json::Value;
use std::process::Output;

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// `waybill tokens …` over HTTP, with this token in the environment.
fn over_http(daemon: &Daemon, token: &str, words: &[&str]) -> Output {
    let endpoint = format!("http://{}", daemon.http());
    let mut command = program();
    command.env("WAYBILL_TOKEN", token).arg("tokens").args(words).args(["--endpoint", &endpoint]);
    command.output().expect("run the command")
}

fn get(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    ask_with(daemon.http(), "GET", path, headers, "").expect("an answer")
}

#[test]
fn a_token_opens_what_it_allows_until_it_is_deleted_and_no_kill_changes_that() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let words = ["tokens", "create", "--metadata", "CI", "--acl", "admin:list,tokens:create", "--acl", "tokens:list"];
    let made = daemon.client(&words).expect("the admin socket needs no token");
    assert!(made.starts_with("{\n  \"token_id\": \"tok_"), "as klev's command prints it: {made}");
    let made = json_of(&made);
    let (id, bearer) = (made["token_id"].as_str().unwrap(), made["bearer"].as_str().unwrap());
    // The answer came: from here on it survives anything.
    daemon.kill9();

    let daemon = Daemon::start_again(&home);
    let shown = format!("Bearer {bearer}");
    let headers = [("Authorization", shown.as_str()), ("X-Forwarded-For", "192.0.2.1")];
    let (status, listed) = get(&daemon, "/tokens", &headers);
    assert_eq!(status, 200, "{listed}");
    assert_eq!(json_of(&listed)["tokens"][0]["token_id"], id);
    assert!(!listed.contains("bearer"), "{listed}");
    assert_eq!(get(&daemon, "/api/hooks/v1", &headers), (200, "[]".to_owned()));
    let (status, text) = get(&daemon, "/api/hooks/v1/webhook", &headers);
    assert!(status == 401 && text.contains("`waybill tokens create --acl admin:get:webhook`"), "{status} {text}");
    assert_eq!(get(&daemon, "/metrics", &headers).0, 401, "KumoMTA's own surface knows no token of ours");

    let listed = over_http(&daemon, bearer, &["list"]);
    assert!(listed.status.success(), "{listed:?}");
    let refused = over_http(&daemon, bearer, &["create", "--acl", "logs"]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(json_of(&String::from_utf8_lossy(&refused.stderr))["code"], "token-acl-not-allowed");
    let kong = [("Kong-Admin-Token", bearer)];
    assert_eq!(get(&daemon, "/tokens", &kong).0, 200);

    let deleted = json_of(&daemon.client(&["tokens", "delete", id]).expect("delete it"));
    assert_eq!(deleted["metadata"], "CI");
    assert_eq!(get(&daemon, "/tokens", &headers).0, 401);
    let audit = wait_until("what happened to the token is told", || {
        let text = daemon.stderr();
        (text.contains("operation=\"delete\"") && text.contains("refused")).then_some(text)
    });
    assert!(!audit.contains(bearer), "{audit}");
    daemon.kill9();
    let daemon = Daemon::start_again(&home);
    assert_eq!(get(&daemon, "/tokens", &headers).0, 401);
    daemon.stop();
    assert!(!is_on_disk(home.path(), &bearer[4..]), "only a hash is kept");
}

#[test]
fn without_a_token_this_machine_is_let_in_and_whoever_looks_like_somebody_else_is_not() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    assert_eq!(get(&daemon, "/tokens", &[]), (200, r#"{"tokens":[]}"#.to_owned()));
    for header in [
        ("X-Forwarded-For", "127.0.0.1"),
        ("Forwarded", "for=127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("X-Real-IP", "127.0.0.1"),
        ("Origin", "http://evil.example"),
        ("Authorization", "Bearer wrong"),
        ("Kong-Admin-Token", "wrong"),
        ("Authorization", "Basic am9lOmE="),
    ] {
        for (path, code) in [("/tokens", "\"code\":\"auth"), ("/api/hooks/v1", "Error: ")] {
            let (status, text) = get(&daemon, path, &[header]);
            assert!(status == 401 && text.contains(code), "{header:?} {path}: {status} {text}");
        }
    }
    let (status, text) = ask_with(daemon.http(), "POST", "/tokens", &[("Via", "1.1 proxy")], "{}").expect("an answer");
    assert!(status == 401 && text.contains("authorization-header-missing"), "{status} {text}");
    assert_eq!(json_of(&daemon.client(&["tokens", "list"]).expect("list them")), json_of(r#"{"tokens":[]}"#));
    daemon.stop();
}

#[test]
fn logs_open_to_a_token_for_them() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let log = json_of(&daemon.client(&["logs", "create", "--metadata", "orders"]).expect("make a log"));
    let path = format!("/message/{}", log["log_id"].as_str().unwrap());
    let shown = |acl: &str, more: &[&str]| {
        let words = [&["tokens", "create", "--acl", acl], more].concat();
        let made = json_of(&daemon.client(&words).expect("make a token"));
        format!("Bearer {}", made["bearer"].as_str().unwrap())
    };
    // As it comes from another machine.
    let ask = |method: &str, shown: &str| {
        let headers =
            [("Authorization", shown), ("X-Forwarded-For", "192.0.2.1"), ("Content-Type", "application/json")];
        let body = if method == "POST" { r#"{"encoding":"string","value":"hello"}"# } else { "" };
        let (status, text) = ask_with(daemon.http(), method, &path, &headers, body).expect("an answer");
        (status, json_of(&text))
    };
    let publisher = shown("messages:publish", &[]);
    assert_eq!(ask("POST", &publisher), (200, json_of(r#"{"next_offset":1}"#)));
    let (status, refusal) = ask("GET", &publisher);
    assert_eq!((status, refusal["code"].as_str()), (401, Some("authorization-failed")));
    let consumer = shown("messages:consume,messages:get", &[]);
    assert_eq!(ask("GET", &consumer).1["value"], "hello");
    assert_eq!(ask("POST", &consumer).1["code"], "authorization-failed");
    assert_eq!(ask("GET", &shown("messages", &["--tenant", "acme"])).1["code"], "log-not-found");
    daemon.stop();
}

#[test]
fn a_token_of_one_tenant_reaches_its_logs_and_no_others() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    let make = |daemon: &Daemon, words: &[&str]| json_of(&daemon.client(words).expect("make it"));
    let acl = ["--acl", "logs,messages,offsets,filters"];
    let bearer = |tenant: &str| {
        let words = [&["tokens", "create", "--tenant", tenant][..], &acl].concat();
        format!("Bearer {}", make(&daemon, &words)["bearer"].as_str().unwrap())
    };
    let (acme, other) = (bearer("acme"), bearer("other"));
    // As it comes from another machine.
    let ask = |daemon: &Daemon, shown: &str, method: &str, path: &str, body: &str| {
        let headers =
            [("Authorization", shown), ("X-Forwarded-For", "192.0.2.1"), ("Content-Type", "application/json")];
        let (status, text) = ask_with(daemon.http(), method, path, &headers, body).expect("an answer");
        (status, json_of(&text))
    };
    let given = make(&daemon, &["logs", "create", "--tenant", "acme"])["log_id"].as_str().unwrap().to_owned();
    make(&daemon, &["logs", "create"]);
    let (status, own) = ask(&daemon, &acme, "POST", "/logs", "{}");
    assert_eq!((status, &own["tenant"]), (200, &"acme".into()), "{own}");
    assert_eq!(ask(&daemon, &other, "POST", "/logs", r#"{"tenant":"acme"}"#).0, 403);
    let path = format!("/message/{given}");
    assert_eq!(ask(&daemon, &acme, "POST", &path, r#"{"value":"mine"}"#), (200, json_of(r#"{"next_offset":1}"#)));
    daemon.kill9();

    let daemon = Daemon::start_again(&home);
    let logs = |shown: &str| ask(&daemon, shown, "GET", "/logs", "").1["logs"].as_array().unwrap().len();
    assert_eq!((logs(&acme), logs(&other)), (2, 0));
    assert_eq!(make(&daemon, &["logs", "list"])["logs"].as_array().unwrap().len(), 4, "the operator sees all");
    assert_eq!(ask(&daemon, &acme, "GET", &path, "").1["value"], "mine");
    let (status, refused) = ask(&daemon, &other, "GET", &path, "");
    assert_eq!((status, refused["code"].as_str()), (404, Some("log-not-found")));
    daemon.stop();
}

#[test]
fn commands_ask_over_http_with_a_token_and_get_what_it_allows() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let hook =
        format!("require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}", receiver.url());
    let daemon = Daemon::start(&home, &Policy::new(hook));
    let acl = "admin:list,logs:create,logs:list,messages,event_hooks:list";
    let made = daemon.client(&["tokens", "create", "--acl", acl]).expect("make a token");
    let made = json_of(&made);
    let bearer = made["bearer"].as_str().expect("the secret");
    let file = home.path().join("token");
    std::fs::write(&file, bearer).expect("write the token");
    let endpoint = format!("http://{}", daemon.http());
    let run = |words: &[&str]| {
        let mut command = program();
        command.args(words).args(["--endpoint", &endpoint, "--token-file"]).arg(&file);
        let output = command.output().expect("run the command");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    };
    let said = run(&["hooks", "list"]).expect("it may list hooks");
    assert!(said.contains("webhook"), "{said}");
    let said = run(&["hooks", "pause", "webhook"]).expect_err("it may not have them rest");
    assert!(said.contains("401") && said.contains("admin:update:webhook"), "{said}");
    let made = json_of(&run(&["logs", "create"]).expect("make a log"));
    let log = made["log_id"].as_str().expect("an id");
    run(&["publish", log, "--value", "over HTTP"]).expect("publish");
    let said = run(&["consume", log]).expect("consume");
    assert!(said.contains("\"over HTTP\""), "{said}");
    // An error of the API is its JSON, as klev's command prints it.
    let said = run(&["logs", "delete", log]).expect_err("it may not delete");
    assert_eq!(json_of(&said)["code"], "authorization-failed");
    run(&["event-hooks", "list"]).expect("it may list event hooks");
    let said = run(&["tail", "--count", "1"]).expect_err("it may not watch");
    assert!(said.contains("event_hooks:consume"), "{said}");
    daemon.stop();
}
