//! Mail that waits in one daemon moves to another one, and what goes wrong on the way loses none of it.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver, Sink, address, wait_until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;

const MAILS: usize = 50;

/// Mail to `held.test` waits: whom it is for does not answer. Mail for other nodes is tried again soon.
const A: &str = r#"
kumo.on('get_queue_config', function(domain)
  if domain == 'held.test' then
    return kumo.make_queue_config {
      retry_interval = '1h',
      protocol = { smtp = { mx_list = { { name = 'nobody.test', addr = '@NOBODY@' } } } },
    }
  end
  if domain == 'policy.test' then
    return kumo.make_queue_config { retry_interval = '1s', protocol = { xfer = { target = '@TARGET@' } } }
  end
  if domain:match '%.xfer%.kumomta%.internal$' then
    return kumo.make_queue_config { retry_interval = '1s', max_retry_interval = '1s' }
  end
end)

kumo.on('get_egress_path_config', function(domain)
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)

kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', 'acme')
  msg:set_meta('x_number', msg:get_first_named_header_value 'X-Number')
end)
"#;

/// Delivers what it is given to a sink.
const B: &str = r#"
kumo.on('get_queue_config', function(domain)
  return kumo.make_queue_config { retry_interval = '1s', protocol = { smtp = { mx_list = { '@SINK@' } } } }
end)

kumo.on('get_egress_path_config', function(domain)
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)

kumo.on('xfer_message_received', function(msg, auth_info)
  if msg:get_meta 'x_number' == '13' and not msg:get_meta 'x_retried' then
    local refused = io.open(dir .. '/refused')
    if refused then
      refused:close()
      kumo.reject(550, 'no thirteen here')
    end
  end
  msg:set_meta('x_peer', auth_info.peer_address or tostring(auth_info))
end)
"#;

const META: &str = "kumo.configure_local_logs { log_dir = dir .. '/more', min_free_space = 1, min_free_inodes = 1, meta = { 'tenant', 'x_number', 'queue', 'xfer_*' } }";

/// Two folders, and where the second daemon will be.
struct Stage {
    a: Home,
    b: Home,
    nobody: SocketAddr,
    there: SocketAddr,
}

impl Stage {
    fn set() -> Stage {
        let [nobody] = address::free();
        let [there] = address::free();
        Stage { a: Home::new(), b: Home::new(), nobody, there }
    }

    fn target(&self) -> String {
        format!("http://{}", self.there)
    }

    fn queue(&self) -> String {
        format!("{}.xfer.kumomta.internal", self.target())
    }

    fn start_a(&self) -> Daemon {
        let text = A.replace("@NOBODY@", &self.nobody.to_string()).replace("@TARGET@", &self.target());
        Daemon::start(&self.a, &Policy::new("").before(&text).init(META))
    }

    fn start_b(&self, sink: SocketAddr) -> Daemon {
        let listener = format!("kumo.start_http_listener {{ listen = '{}' }}\n{META}", self.there);
        Daemon::start(&self.b, &Policy::new("").before(&B.replace("@SINK@", &sink.to_string())).init(&listener))
    }
}

fn records(home: &Home, kind: &str) -> Vec<Value> {
    let all = crate::harness::record::read_files(&home.file("more"));
    all.into_iter().filter(|record| record["type"] == kind).collect()
}

fn ids(records: &[Value]) -> BTreeSet<String> {
    records.iter().map(|record| record["id"].as_str().unwrap_or_default().to_owned()).collect()
}

fn wait(home: &Home, kind: &str, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} messages have a {kind}"), || {
        let found = records(home, kind);
        (ids(&found).len() >= count).then_some(found)
    })
}

/// Mail that waits in A.
fn fill(stage: &Stage, daemon: &Daemon, domain: &str) -> BTreeSet<String> {
    let mut smtp = daemon.connect();
    let one = |number| {
        let mail = Mail::to(&format!("u{number}@{domain}")).header(&format!("X-Number: {number}"));
        smtp.send(&mail).remove(0)
    };
    let ids: BTreeSet<String> = (0..MAILS).map(one).collect();
    if domain == "held.test" {
        wait(&stage.a, "TransientFailure", MAILS);
    }
    ids
}

fn scheduled(daemon: &Daemon) -> Value {
    let summary: Value = serde_json::from_str(&daemon.ctl(&["queue-summary", "--json"])).expect("JSON");
    summary["scheduled"].clone()
}

fn xfer(daemon: &Daemon, stage: &Stage, which: &[&str]) {
    let target = stage.target();
    let mut args = vec!["xfer", "--target", &target, "--reason", "we move"];
    args.extend(which);
    assert_eq!(daemon.ctl(&args).trim(), "{}");
}

#[test]
fn mail_that_waits_moves_to_another_node_with_all_that_it_has() {
    let stage = Stage::set();
    let Some(sink) = Sink::start("xfer", &stage.b, &[]) else { return };
    let a = stage.start_a();
    let sent = fill(&stage, &a, "held.test");
    let b = stage.start_b(sink.address());
    std::fs::write(stage.b.file("refused"), "").expect("write a file");
    xfer(&a, &stage, &["--domain", "held.test"]);

    // One is refused over there: it stays here, and is tried again.
    wait(&stage.b, "Delivery", MAILS - 1);
    let refused = wait_until("the refusal is told", || {
        let said = |record: &Value| record["response"]["content"].to_string().contains("no thirteen here");
        records(&stage.a, "TransientFailure").into_iter().find(said)
    });
    assert_eq!(refused["meta"]["x_number"], "13");
    let content = refused["response"]["content"].as_str().unwrap_or_default();
    assert_eq!(content, format!("xfer to {}: it answered 403 Error: 550 no thirteen here", stage.target()));
    std::fs::remove_file(stage.b.file("refused")).expect("remove a file");

    let delivered = wait(&stage.b, "Delivery", MAILS);
    let out = wait(&stage.a, "XferOut", MAILS);
    assert_eq!((sink.mails().len(), out.len(), delivered.len()), (MAILS, MAILS, MAILS));
    assert_eq!(ids(&out), sent, "each left once");
    let moved = records(&stage.a, "AdminRebind");
    assert_eq!(ids(&moved), sent);
    let text = format!("Rebound from acme@held.test to {}: we move", stage.queue());
    assert!(moved.iter().all(|record| record["response"]["content"] == text), "{:#}", moved[0]);

    // What A called the new id is what B has.
    let came = records(&stage.b, "XferIn");
    let told: BTreeSet<String> = out
        .iter()
        .map(|record| record["response"]["content"].as_str().unwrap_or_default().replace("new id is ", ""))
        .collect();
    assert_eq!(ids(&came), told);
    assert_eq!(ids(&delivered), told);
    let by_prior =
        |prior: &Value| came.iter().find(|record| record["meta"]["xfer_prior_id"] == *prior).expect("it came");
    for record in &out {
        assert_eq!((&record["delivery_protocol"], &record["response"]["code"]), (&json!("xfer"), &json!(250)));
        assert_eq!(record["site"], format!("unspecified->{}@xfer", stage.queue()));
        assert_eq!(
            record["peer_address"],
            json!({"name": stage.there.to_string(), "addr": stage.there.ip().to_string()})
        );
        let arrived = by_prior(&record["id"]);
        assert_eq!(arrived["created_time"], record["created_time"], "its age goes on");
        assert_eq!((&arrived["sender"], &arrived["recipient"]), (&record["sender"], &record["recipient"]));
        let meta = &arrived["meta"];
        assert_eq!((&meta["tenant"], &meta["x_number"]), (&json!("acme"), &record["meta"]["x_number"]));
        assert_eq!((&meta["xfer_prior_node"], &meta["queue"]), (&record["nodeid"], &Value::Null));
        assert_eq!((&meta["xfer_from"], &meta["xfer_auth"]), (&json!("127.0.0.1"), &json!("127.0.0.1")));
        assert_eq!(meta["xfer_via"], stage.there.to_string());
        assert!(meta["xfer_saved"].is_null(), "{meta}");
        assert_eq!((&arrived["response"]["content"], &arrived["queue"]), (&json!(""), &json!("acme@held.test")));
        assert_eq!(arrived["reception_protocol"], "ESMTP", "how it came to the first node");
        assert_eq!(arrived["peer_address"]["addr"], "127.0.0.1");
        assert_ne!(arrived["nodeid"], record["nodeid"]);
    }
    assert_eq!(records(&stage.a, "Delivery").len() + records(&stage.b, "Reception").len(), 0);
    wait_until("A has nothing left", || (scheduled(&a) == json!({})).then_some(()));
    for daemon in [a, b] {
        daemon.stop();
    }
}

#[test]
fn while_the_other_node_is_down_mail_waits_survives_a_restart_and_can_be_called_back() {
    let stage = Stage::set();
    let a = stage.start_a();
    let sent = fill(&stage, &a, "held.test");
    xfer(&a, &stage, &["--tenant", "acme"]);
    let waits = |daemon: &Daemon| {
        wait_until("all of it waits for the other node", || {
            let told = records(&stage.a, "TransientFailure");
            let told: Vec<Value> = told.into_iter().filter(|record| record["queue"] == stage.queue()).collect();
            (ids(&told) == sent && scheduled(daemon) == json!({stage.queue(): MAILS})).then_some(told)
        })
    };
    let told = waits(&a);
    let content = told[0]["response"]["content"].as_str().unwrap_or_default();
    assert!(content.starts_with(&format!("xfer to {}: ", stage.target())), "{content}");
    a.kill9();

    let a = stage.start_a();
    waits(&a);
    a.ctl(&["xfer-cancel", &stage.queue(), "--reason", "they stay"]);
    wait_until("all of it is back where it was", || (scheduled(&a) == json!({"acme@held.test": MAILS})).then_some(()));
    let text = format!("Rebound from {} to acme@held.test: they stay", stage.queue());
    a.stop();
    let back = records(&stage.a, "AdminRebind").into_iter().filter(|record| record["response"]["content"] == text);
    assert_eq!(ids(&back.collect::<Vec<_>>()), sent);

    // Once more, and now there is somebody.
    let Some(sink) = Sink::start("xfer", &stage.b, &[]) else { return };
    let a = stage.start_a();
    xfer(&a, &stage, &["--everything"]);
    wait_until("it is under way", || scheduled(&a).get(stage.queue()).map(|_| ()));
    a.stop();
    let (a, b) = (stage.start_a(), stage.start_b(sink.address()));
    let out = wait(&stage.a, "XferOut", MAILS);
    assert_eq!((ids(&out), out.len()), (sent, MAILS));
    wait(&stage.b, "Delivery", MAILS);
    assert_eq!(sink.mails().len(), MAILS);
    for daemon in [a, b] {
        daemon.stop();
    }
}

#[test]
fn a_queue_may_have_the_protocol_xfer_by_policy() {
    let stage = Stage::set();
    let Some(sink) = Sink::start("xfer", &stage.b, &[]) else { return };
    let (a, b) = (stage.start_a(), stage.start_b(sink.address()));
    let sent = fill(&stage, &a, "policy.test");
    let out = wait(&stage.a, "XferOut", MAILS);
    assert_eq!((ids(&out), out.len()), (sent, MAILS));
    assert_eq!(out[0]["site"], format!("unspecified->policy.test@xfer:{}", stage.target()));
    wait(&stage.b, "Delivery", MAILS);
    assert_eq!(sink.mails().len(), MAILS);
    for daemon in [a, b] {
        daemon.stop();
    }
}

#[test]
fn nothing_goes_astray_by_a_slip() {
    let stage = Stage::set();
    let a = stage.start_a();
    let sent = fill(&stage, &a, "held.test");
    let refused = |args: &[&str], why: &str| {
        let output = a.try_ctl(crate::harness::daemon::program().arg("ctl"), args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{args:?}: {said}");
    };
    refused(&["xfer", "--target", "http://n2", "--reason", "r"], "--everything");
    refused(&["xfer", "--everything", "--target", "n2:8000", "--reason", "r"], "it has no scheme");
    refused(&["xfer-cancel", "held.test", "--reason", "r"], "is no queue of a transfer");
    // Whoever says 200 to everything gets nothing, and we are no other node than we are.
    let anybody = Receiver::start();
    let itself = format!("http://{}", a.http());
    for (target, said) in [(anybody.url(), "it answered 200 without the id of a message"), (itself, "it answered 409")]
    {
        let target = target.trim_end_matches('/');
        a.ctl(&["xfer", "--everything", "--target", target, "--reason", "slip"]);
        wait_until("the slip is told", || {
            let of = |record: &Value| record["response"]["content"].to_string().contains(said);
            let told: Vec<Value> = records(&stage.a, "TransientFailure").into_iter().filter(of).collect();
            (ids(&told) == sent).then_some(())
        });
    }
    assert_eq!(records(&stage.a, "XferOut").len() + records(&stage.a, "XferIn").len(), 0);
    a.stop();
}
