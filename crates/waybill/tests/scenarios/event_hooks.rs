//! Event hooks: the session of Kong's users with our sources, over real sockets, and hooks that survive `kill -9`.

use crate::harness::api::{ask, create_hook};
use crate::harness::client::json_of;
use crate::harness::policy::OPEN;
use crate::harness::skip::program;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, http, wait_until};
use serde_json::{Value, json};
use std::process::Command;

const POLICY: &str = r"
kumo.on('get_queue_config', function(domain)
  if domain == 'bounced.test' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.bounced' } } }
  end
end)

kumo.on('make.bounced', function()
  local connection = {}
  function connection:send(message)
    kumo.reject(550, 'no such user')
  end
  return connection
end)
";

fn start(home: &Home) -> Daemon {
    Daemon::start(home, &Policy::new(POLICY).init(OPEN))
}

#[test]
fn the_session_of_kongs_users_works_with_our_sources() {
    let Some(curl) = program("the session of Kong's users", "curl", "curl") else { return };
    let home = Home::new();
    let (daemon, slack) = (start(&home), Receiver::start());
    let hooks = format!("http://{}/event-hooks", daemon.http());
    let run = |words: &[&str]| {
        let output = Command::new(&curl).args(["-s", "-k"]).args(words).output().expect("run curl");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    };

    let sources = run(&[&format!("{hooks}/sources")]);
    let bounce = &sources["data"]["log"]["Bounce"];
    assert_eq!(bounce["unique"], json!(["queue", "recipient", "response"]));
    assert!(bounce["fields"].as_array().is_some_and(|fields| fields.contains(&json!("recipient"))), "{bounce}");

    let token = json_of(&daemon, &["tokens", "create", "--acl", "event_hooks"]);
    let token = format!("Kong-Admin-Token: {}", token["bearer"].as_str().expect("a bearer"));
    let url = format!("config.url={}/services/TTTTTTTTT/YYYYYYYYYYY/xxxxxxxxxxxxxxxxxx", slack.url());
    let text = "config.payload.text=Mail to '{{ recipient }}' bounced: {{ response.code }} {{ response.content }} \
                (on server owned by ubuntu) ";
    let made = run(&[
        "-X",
        "POST",
        &hooks,
        "-H",
        &token,
        "--data",
        "source=log",
        "--data",
        "event=Bounce",
        "--data",
        "handler=webhook-custom",
        "--data",
        "config.method=POST",
        "--data",
        "config.headers.content-type=application/json",
        "--data",
        text,
        "--data",
        &url,
    ]);
    assert_eq!((&made["source"], &made["handler"]), (&json!("log"), &json!("webhook-custom")), "{made}");
    let logged = run(&[
        "-X",
        "POST",
        &hooks,
        "-H",
        &token,
        "--data",
        "source=log",
        "--data",
        "event=Bounce",
        "--data",
        "handler=log",
    ]);
    assert_eq!(logged["config"], json!({}), "{logged}");
    let refused = run(&["-X", "POST", &hooks, "-H", "Kong-Admin-Token: kong", "--data", "source=log"]);
    assert!(
        refused["message"].as_str().is_some_and(|why| why.contains("token")),
        "a wrong token opens nothing: {refused}"
    );

    daemon.connect().send(&Mail::to("joe@bounced.test"));
    let request = &slack.wait_for(1)[0];
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/log/services/TTTTTTTTT/YYYYYYYYYYY/xxxxxxxxxxxxxxxxxx")
    );
    assert_eq!(request.header("content-type"), Some("application/json"));
    let said = "Mail to 'joe@bounced.test' bounced: 550 no such user (on server owned by ubuntu) ";
    assert_eq!(request.json(), json!({ "text": said }));
    wait_until("the line of the handler log", || {
        let stderr = daemon.stderr();
        let line = stderr.lines().find(|line| line.contains(r#""log callback: " { "Bounce", "log", { "#))?;
        assert!(line.contains("event_hooks") && line.contains(r#"recipient = "joe@bounced.test""#), "{line}");
        assert!(line.ends_with(&format!(", {} }}", daemon.pid())), "{line}");
        Some(())
    });
    daemon.stop();
}

#[test]
fn the_commands_show_what_the_api_knows() {
    let home = Home::new();
    let (daemon, receiver) = (start(&home), Receiver::start());
    let listed = daemon.client(&["event-hooks", "sources", "log"]).expect("a list");
    assert!(listed.lines().any(|line| line.contains("Bounce") && line.contains("failed for good")), "{listed}");
    assert_eq!(daemon.client(&["event-hooks", "list"]).expect("a list"), "no event hooks\n");
    let secret = home.file("hook.secret");
    std::fs::write(&secret, "hunter2\n").expect("write a secret");
    let made = json_of(
        &daemon,
        &[
            "event-hooks",
            "create",
            "--source",
            "log",
            "--event",
            "Bounce",
            "--handler",
            "webhook",
            "--url",
            &receiver.url(),
            "--secret-file",
            secret.to_str().expect("a path"),
            "--on-change",
            "true",
            "--set",
            "config.headers.x-a=1",
        ],
    );
    let id = made["id"].as_str().expect("an id");
    assert_eq!((&made["config"]["secret"], &made["on_change"]), (&Value::Null, &json!(true)), "{made}");
    let ping = &receiver.wait_for(1)[0];
    assert_eq!(ping.json()["event"], "ping");
    let signature = ping.header("x-kong-signature").expect("a signature").to_owned();
    assert!(signature.starts_with("sha256=") && signature.len() == 7 + 64, "{signature}");

    daemon.connect().send(&Mail::to("joe@bounced.test"));
    let told = &receiver.wait_for(2)[1];
    assert_eq!((&told.json()["recipient"], &told.json()["event"]), (&json!("joe@bounced.test"), &json!("Bounce")));
    assert!(told.header("webhook-id").is_some_and(|id| id.len() == 32), "{told:?}");
    let attempts = wait_until("the attempt is in the log", || {
        let text = daemon.client(&["event-hooks", "attempts", id]).expect("attempts");
        text.contains("delivered").then_some(text)
    });
    assert!(attempts.contains(&receiver.address().to_string()) && attempts.contains("200"), "{attempts}");
    let tested = json_of(&daemon, &["event-hooks", "test", id, "--data", r#"{"recipient":"x"}"#]);
    assert_eq!((&tested["result"]["status"], &tested["result"]["body"]), (&json!(200), &json!("thanks")), "{tested}");
    let dry = json_of(&daemon, &["event-hooks", "dry-run", id]);
    assert!(dry["data"][0]["request"]["body"].as_str().is_some_and(|body| body.contains("joe@bounced.test")), "{dry}");
    wait_until("it is counted", || {
        let status = json_of(&daemon, &["event-hooks", "status", id]);
        assert_eq!(status["enabled"], true, "{status}");
        (status["since_start"]["delivered"] == 1).then_some(())
    });
    let updated = json_of(&daemon, &["event-hooks", "update", id, "--enabled", "false"]);
    assert_eq!((&updated["enabled"], &updated["on_change"]), (&json!(false), &json!(true)), "{updated}");
    let wrong = daemon.client(&["event-hooks", "update", id, "--set", "config.method=GET"]).expect_err("no such field");
    assert!(wrong.contains("config.method: unknown field"), "{wrong}");
    let metrics = http::ask(daemon.http(), "GET", "/metrics", "").expect("metrics").1;
    let line = format!("waybill_event_hook_events_total{{hook=\"{id}\",outcome=\"delivered\"}} 1");
    assert!(metrics.contains(&line), "{metrics}");
    assert_eq!(daemon.client(&["event-hooks", "delete", id]).expect("delete it"), format!("deleted {id}\n"));
    assert_eq!(daemon.client(&["event-hooks", "list"]).expect("a list"), "no event hooks\n");
    daemon.stop();
}

#[test]
fn tail_shows_events_as_they_happen_also_those_that_no_hook_waits_for() {
    let home = Home::new();
    let daemon = start(&home);
    let words = ["tail", "--source", "log", "--filter", "data.recipient == 'ann@example.com'", "--count", "1"];
    let shown = std::thread::scope(|scope| {
        let tail = scope.spawn(|| daemon.client(&words));
        // Until it watches, nothing is told to it.
        wait_until("an event is shown", || {
            for user in ["joe", "ann"] {
                daemon.connect().send(&Mail::to(&format!("{user}@example.com")));
            }
            tail.is_finished().then_some(())
        });
        tail.join().expect("no panic").expect("an event")
    });
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(shown.contains(" log ") && shown.contains("recipient=\"ann@example.com\""), "{shown}");
    daemon.stop();
}

#[test]
fn kill_9_loses_no_event_and_forgets_neither_snooze_nor_change() {
    let home = Home::new();
    let mut daemon = start(&home);
    let (every, changes, first) = (Receiver::start(), Receiver::start(), Receiver::start());
    let hook = |receiver: &Receiver, more: Value| {
        let mut hook = json!({
            "source": "log", "event": "Bounce", "handler": "webhook-custom",
            "config": {"url": receiver.url(), "method": "POST", "body": "{{ recipient }}"},
        });
        for (name, value) in more.as_object().expect("fields") {
            hook[name] = value.clone();
        }
        hook
    };
    create_hook(&daemon, &hook(&every, json!({})));
    create_hook(&daemon, &hook(&changes, json!({"on_change": true})));
    create_hook(&daemon, &hook(&first, json!({"snooze": 86_400})));
    const ROUNDS: usize = 4;
    const MAILS: usize = 5;
    let come = |count: usize| {
        wait_until(&format!("{count} events have come"), || {
            let ids: std::collections::HashSet<String> =
                every.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
            (ids.len() >= count).then_some(())
        });
    };
    for round in 0..ROUNDS {
        let mut smtp = daemon.connect();
        for _ in 0..MAILS {
            // The same recipient in each round: nothing changes within one.
            smtp.send(&Mail::to(&format!("round{round}@bounced.test")));
        }
        // At some moment between the first event and the last: whatever is on its way is cut off.
        come(round * MAILS + 1 + round);
        daemon.kill9();
        daemon = Daemon::start_again(&home);
        come((round + 1) * MAILS);
    }
    let bodies = |receiver: &Receiver| -> Vec<String> {
        let requests = receiver.requests();
        requests.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect()
    };
    wait_until("every hook has settled everything", || {
        let (_, all) = ask(&daemon, "GET", "/event-hooks", &Value::Null);
        let ids =
            all["data"].as_array().expect("hooks").iter().map(|hook| hook["id"].as_str().expect("an id").to_owned());
        let settled = |id: String| {
            let (_, status) = ask(&daemon, "GET", &format!("/event-hooks/{id}/status"), &Value::Null);
            status["lag_events"] == 0 && status["in_flight"] == 0
        };
        ids.into_iter().all(settled).then_some(())
    });
    // One that was on its way may come twice, under the same id; what was kept quiet comes never.
    let distinct = |receiver: &Receiver| {
        let mut ids: Vec<(String, String)> = Vec::new();
        for (request, body) in receiver.requests().iter().zip(bodies(receiver)) {
            let one = (request.webhook_id().to_owned(), body);
            if !ids.contains(&one) {
                ids.push(one);
            }
        }
        ids.into_iter().map(|(_, body)| body).collect::<Vec<_>>()
    };
    let rounds: Vec<String> = (0..ROUNDS).map(|round| format!("round{round}@bounced.test")).collect();
    assert_eq!(distinct(&changes), rounds);
    assert_eq!(distinct(&first), rounds[..1]);
    daemon.stop();
}

#[test]
fn a_target_that_is_gone_disables_its_hook_across_a_restart() {
    let home = Home::new();
    let (daemon, receiver) = (start(&home), Receiver::start());
    receiver.answer(|_, _| Answer::status(410));
    let config = json!({"url": receiver.url(), "method": "POST", "body": "{{ recipient }}"});
    let id = create_hook(
        &daemon,
        &json!({"source": "log", "event": "Bounce", "handler": "webhook-custom", "config": config}),
    );
    let path = format!("/event-hooks/{id}");
    daemon.connect().send(&Mail::to("joe@bounced.test"));
    wait_until("it is disabled", || {
        let hook = ask(&daemon, "GET", &path, &Value::Null).1;
        (hook["enabled"] == false && hook["reason"].as_str().is_some_and(|reason| reason.contains("410"))).then_some(())
    });
    daemon.kill9();
    let daemon = Daemon::start_again(&home);
    assert_eq!(ask(&daemon, "GET", &path, &Value::Null).1["enabled"], false);
    receiver.answer(|_, _| Answer::ok());
    let (status, hook) = ask(&daemon, "PATCH", &path, &json!({"enabled": true}));
    assert_eq!((status, &hook["reason"]), (200, &Value::Null), "{hook}");
    let requests = receiver.wait_for(2);
    assert_eq!((requests[1].text(), requests[1].webhook_id()), ("joe@bounced.test".into(), requests[0].webhook_id()));
    // A connection that is kept for the next event holds up no stop.
    daemon.terminate();
    let stderr = wait_until("it stops", || Some(daemon.stderr()).filter(|text| text.contains("stopped")));
    assert!(!stderr.contains("cut off"), "{stderr}");
    daemon.stopped();
}

#[test]
fn a_policy_publishes_events_of_its_own_and_emits_them() {
    let home = Home::new();
    let receiver = Receiver::start();
    let policy = r"
kumo.event_hooks.publish('billing', 'quota', { fields = { 'who', 'used' }, unique = { 'who' }, description = 'A quota is used up' })
kumo.on('smtp_server_message_received', function(message)
  kumo.event_hooks.emit('billing', 'quota', { who = message:recipient().user, used = 90 })
  local fine, why = pcall(kumo.event_hooks.emit, 'billing', 'unheard', {})
  if fine or not tostring(why):find 'publish' then
    error('an event that is not published was emitted: ' .. tostring(why))
  end
end)
";
    let daemon = Daemon::start(&home, &Policy::new(policy).init(OPEN));
    let (_, event) = ask(&daemon, "GET", "/event-hooks/sources/billing/quota", &Value::Null);
    assert_eq!((&event["data"]["fields"], &event["data"]["unique"]), (&json!(["who", "used"]), &json!(["who"])));
    let config = json!({"url": receiver.url(), "method": "POST", "body": "{{ who }} {{ used }} {{ event }}"});
    let hook = json!({"source": "billing", "event": "quota", "handler": "webhook-custom", "on_change": true, "config": config});
    create_hook(&daemon, &hook);
    // Each in its turn: several may be on their way at a time.
    for (user, told) in [("joe", 1), ("joe", 1), ("ann", 2)] {
        daemon.connect().send(&Mail::to(&format!("{user}@example.com")));
        receiver.wait_for(told);
    }
    let told: Vec<String> = receiver.requests().iter().map(crate::harness::Request::text).collect();
    assert_eq!(told, ["joe 90 quota", "ann 90 quota"], "what is unique tells one from another");
    daemon.stop();
    // The hook stays when the policy does not publish its source any more, and runs again when it does.
    home.write_policy(&Policy::new("").init(OPEN).text(&home));
    let daemon = Daemon::start_again(&home);
    assert_eq!(ask(&daemon, "GET", "/event-hooks", &Value::Null).1["data"][0]["state"], "dormant");
    daemon.stop();
    home.write_policy(&Policy::new(policy).init(OPEN).text(&home));
    let daemon = Daemon::start_again(&home);
    daemon.connect().send(&Mail::to("ann@example.com"));
    daemon.connect().send(&Mail::to("eve@example.com"));
    assert_eq!(receiver.wait_for(3)[2].text(), "eve 90 quota", "it remembers what it saw last");
    daemon.stop();
}

#[test]
fn a_target_that_the_guard_refuses_says_which_rule_and_how_to_open_it() {
    let home = Home::new();
    let daemon = Daemon::start(&home, &Policy::new(""));
    for url in [
        "http://169.254.169.254/",
        "http://2130706433/",
        "http://[::ffff:7f00:1]/x",
        "http://10.0.0.1/",
        "http://localhost:25/",
    ] {
        let hook = json!({"source": "log", "handler": "webhook", "config": {"url": url}});
        let (status, refused) = ask(&daemon, "POST", "/event-hooks", &hook);
        assert_eq!((status, &refused["name"]), (400, &json!("schema violation")), "{url}: {refused}");
        assert!(refused["fields"]["config"]["url"].is_string(), "{url}: {refused}");
    }
    let hook = json!({"source": "log", "handler": "webhook", "config": {"url": "http://127.0.0.1/"}});
    let refused = ask(&daemon, "POST", "/event-hooks", &hook).1["message"].to_string();
    assert!(refused.contains("loopback") && refused.contains("allow_targets"), "{refused}");
    daemon.stop();
}
