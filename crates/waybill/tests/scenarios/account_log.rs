//! The account log: who was let in, who was not, and to what.

use crate::harness::http::{ask, ask_with};
use crate::harness::{Daemon, Home, Policy, Swaks, record};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

const INIT: &str = "  kumo.aaa.configure_acct_log { log_dir = dir .. '/acct', max_segment_duration = '1h' }";
const POLICY: &str = "
kumo.on('http_server_validate_auth_basic', function(user, password)
  return user == 'tim' and password == 'hush-hush'
end)
kumo.on('smtp_server_auth_plain', function(authz, authc, password)
  return authc == 'tim' and password == 'hush-hush'
end)";

fn decisions(home: &Home) -> Vec<Value> {
    record::read_files(&home.file("acct"))
}

/// Without what differs from run to run.
fn about(decision: &Value) -> Value {
    let mut decision = decision.clone();
    let members = decision.as_object_mut().expect("an object");
    let time = members.remove("event_time").expect("a time");
    assert!(time.as_str().is_some_and(|time| time.ends_with('Z')), "{time}");
    decision
}

#[test]
fn every_decision_about_a_request_is_a_line() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(POLICY).init(INIT));
    let server = daemon.http();
    let made = daemon.client(&["tokens", "create", "--acl", "admin:list"]).expect("a token");
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let (id, bearer) = (made["token_id"].clone(), made["bearer"].as_str().expect("a bearer"));
    let get = |path: &str, headers: &[(&str, &str)]| ask_with(server, "GET", path, headers, "").expect("an answer").0;
    assert_eq!(ask(server, "GET", "/api/check-liveness/v1", "").expect("an answer").0, 200);
    assert_eq!(get("/metrics", &[]), 200);
    // tim:hush-hush, tim:wrong
    assert_eq!(get("/metrics", &[("Authorization", "Basic dGltOmh1c2gtaHVzaA==")]), 200);
    assert_eq!(get("/metrics", &[("Authorization", "Basic dGltOndyb25n")]), 401);
    let (shown, far) = (format!("Bearer {bearer}"), ("X-Forwarded-For", "192.0.2.1"));
    assert_eq!(get("/api/hooks/v1", &[("Authorization", &shown), far]), 200);
    assert_eq!(get("/tokens", &[("Authorization", &shown), far]), 401);
    assert_eq!(get("/tokens", &[far]), 401);
    daemon.stop();

    let authentication = |mechanism: &str, identity: Value, path: &str, decision: &str, reason: Value| {
        json!({
            "type": "Authentication", "mechanism": mechanism, "identity": identity, "decision": decision,
            "reason": reason, "resource": format!("http_listener/{server}{path}"), "peer_address": "127.0.0.1",
        })
    };
    let authorization = |who: &[&Value],
                         groups: &[&str],
                         privilege: &str,
                         path: &str,
                         decision: &str,
                         reason: Value| {
        json!({
            "type": "Authorization", "identities": who, "groups": groups, "privilege": privilege, "decision": decision,
            "reason": reason, "resource": format!("http_listener/{server}{path}"), "peer_address": "127.0.0.1",
        })
    };
    let (tim, trusted) = (json!("tim"), &["kumomta:http-listener-trusted-ip"][..]);
    let wrong = json!("HttpBasicAuth Authentication Failed for tim");
    let nothing = Value::Null;
    let listener = format!("http_listener/{server}/");
    let found = decisions(&home);
    let found: Vec<Value> = found
        .iter()
        .filter(|decision| decision["resource"].as_str().is_some_and(|resource| resource.starts_with(&listener)))
        .map(about)
        .collect();
    let expected = [
        authorization(&[], trusted, "GET", "/metrics", "Allow", nothing.clone()),
        authentication("HttpBasicAuth", tim.clone(), "/metrics", "Allow", nothing.clone()),
        authorization(&[&tim], trusted, "GET", "/metrics", "Allow", nothing.clone()),
        authentication("HttpBasicAuth", tim, "/metrics", "Deny", wrong),
        authentication("Token", id.clone(), "/api/hooks/v1", "Allow", nothing.clone()),
        authorization(&[&id], &[], "admin:list", "/api/hooks/v1", "Allow", nothing.clone()),
        authentication("Token", id.clone(), "/tokens", "Allow", nothing),
        authorization(&[&id], &[], "tokens:list", "/tokens", "Deny", json!("authorization-failed")),
        authorization(&[], &[], "tokens:list", "/tokens", "Deny", json!("authorization-header-missing")),
    ];
    assert_eq!(found, expected, "what anybody may read (liveness) is nothing that was decided");
    let text = serde_json::to_string(&decisions(&home)).expect("JSON");
    for secret in ["hush", "wrong\"", bearer] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    for file in std::fs::read_dir(home.file("acct")).expect("the directory").flatten() {
        let mode = file.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o222, 0, "a file is done once the daemon has stopped");
    }
}

#[test]
fn passwords_over_smtp_are_decided_about_too() {
    let home = Home::new();
    let Some(swaks) = Swaks::find("the account log hears of AUTH") else { return };
    let daemon = Daemon::start(&home, &Policy::new(POLICY).init(INIT));
    let login = |password: &str, more: &[&str]| {
        let args =
            ["--tls", "--auth", "PLAIN", "--auth-user", "tim", "--auth-password", password, "--quit-after", "AUTH"];
        swaks.talk(&daemon, &[&args[..], more].concat());
    };
    login("hush-hush", &[]);
    login("another", &["--auth-optional"]);
    let resource = json!(format!("esmtp_listener/{}", daemon.smtp()));
    daemon.stop();
    let found: Vec<Value> = decisions(&home).into_iter().filter(|decision| decision["resource"] == resource).collect();
    let told: Vec<_> = found.iter().map(|one| (&one["mechanism"], &one["identity"], &one["decision"])).collect();
    let (plain, tim) = (json!("SmtpAuthPlain"), json!("tim"));
    assert_eq!(told, [(&plain, &tim, &json!("Allow")), (&plain, &tim, &json!("Deny"))]);
}
