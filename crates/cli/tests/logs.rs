//! The commands of logs against a daemon that writes down what it is asked.

mod recording;

use recording::daemon;
use serde_json::{Value, json};
use waybill_cli::Misuse;

#[tokio::test]
async fn every_command_says_to_the_daemon_what_was_said_to_it() {
    let daemon = daemon().await;
    let file = daemon.dir.path().join("file");
    std::fs::write(&file, [0xff, b'\n']).unwrap();
    let secret = daemon.dir.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let (file, secret) = (file.to_str().unwrap(), secret.to_str().unwrap());
    let limits = ["--trim-seconds", "1", "--trim-size", "2", "--trim-count", "3"];
    let more = ["--compact-seconds", "4", "--expire-seconds", "0"];
    let limited = json!({
        "trim_seconds": 1, "trim_size": 2, "trim_count": 3, "compact_seconds": 4, "expire_seconds": 0, "metadata": "m",
    });
    let mut made = limited.clone();
    made["compacting"] = true.into();
    made["tenant"] = "acme".into();
    let mut cleaned = limited.clone();
    cleaned.as_object_mut().unwrap().remove("metadata");
    let none = Value::Null;
    let create: &[&str] = &["logs", "create", "--metadata", "m", "--compacting", "--tenant", "acme"];
    let update: &[&str] = &["logs", "update", "log_1", "--metadata", "m"];
    let publish: &[&str] = &["publish", "log_1"];
    let cases: Vec<(Vec<&str>, &str, Value)> = vec![
        (vec!["logs", "list"], "GET /logs", none.clone()),
        (vec!["logs", "list", "--metadata", "a&b=c"], "GET /logs?metadata=a%26b%3Dc", none.clone()),
        ([create, &limits, &more].concat(), "POST /logs", made),
        (vec!["logs", "create"], "POST /logs", json!({})),
        (vec!["logs", "get", "../x?y"], "GET /log/%2E%2E%2Fx%3Fy", none.clone()),
        (vec!["logs", "stats", "log_1"], "GET /log/log_1/stats", none.clone()),
        ([update, &limits, &more].concat(), "PATCH /log/log_1", limited),
        (vec!["logs", "delete", "log_1"], "DELETE /log/log_1", none.clone()),
        (
            [publish, &["--key", "k", "--value", "v", "--time", "5"]].concat(),
            "POST /message/log_1",
            json!({"encoding": "string", "key": "k", "value": "v", "time": 5}),
        ),
        (
            [publish, &["--key-bytes", "aw==", "--value-file", file]].concat(),
            "POST /message/log_1",
            json!({"encoding": "base64", "key": "aw==", "value": "/wo="}),
        ),
        (
            [publish, &["--key-file", file, "--value-bytes", "dg=="]].concat(),
            "POST /message/log_1",
            json!({"encoding": "base64", "key": "/wo=", "value": "dg=="}),
        ),
        (publish.to_vec(), "POST /message/log_1", json!({"encoding": "string"})),
        (vec!["consume", "log_1"], "GET /messages/log_1?offset=-2&len=100&poll=0&encoding=string", none.clone()),
        (
            vec!["consume", "log_1", "--offset", "-1", "--size", "7", "--poll", "2s", "--encoding", "base64"],
            "GET /messages/log_1?offset=-1&len=7&poll=2000&encoding=base64",
            none.clone(),
        ),
        (
            vec!["consume", "log_1", "--offset-id", "off_1"],
            "GET /messages/log_1?offset_id=off_1&len=100&poll=0&encoding=string",
            none.clone(),
        ),
        (
            vec!["consume", "log_1", "--time", "1970-01-01T00:00:01Z"],
            "GET /messages/log_1?time=1000000&len=100&poll=0&encoding=string",
            none.clone(),
        ),
        (vec!["get-by-offset", "log_1"], "GET /message/log_1?offset=-1&encoding=string", none.clone()),
        (
            vec!["get-by-offset", "log_1", "--offset", "-2", "--encoding", "base64"],
            "GET /message/log_1?offset=-2&encoding=base64",
            none.clone(),
        ),
        ([&["cleanup", "log_1"][..], &limits, &more].concat(), "DELETE /messages/log_1", cleaned),
        (vec!["offsets", "list", "--metadata", "m"], "GET /offsets?metadata=m", none.clone()),
        (
            vec!["offsets", "create", "--log-id", "log_1", "--metadata", "m"],
            "POST /offsets",
            json!({"log_id": "log_1", "metadata": "m"}),
        ),
        (vec!["offsets", "get", "off_1"], "GET /offset/off_1", none.clone()),
        (
            vec!["offsets", "update", "off_1", "--value", "-2", "--value-metadata", "v", "--metadata", "m"],
            "PATCH /offset/off_1",
            json!({"value": -2, "value_metadata": "v", "metadata": "m"}),
        ),
        (vec!["offsets", "delete", "off_1"], "DELETE /offset/off_1", none.clone()),
        (vec!["egress-webhooks", "list"], "GET /egress_webhooks", none.clone()),
        (
            vec!["egress-webhooks", "create", "--log-id", "log_1", "--destination", "https://a.example/"],
            "POST /egress_webhooks",
            json!({"log_id": "log_1", "destination": "https://a.example/", "payload": "message"}),
        ),
        (vec!["egress-webhooks", "get", "ewh_1"], "GET /egress_webhook/ewh_1", none.clone()),
        (
            vec!["egress-webhooks", "rotate", "ewh_1"],
            "PATCH /egress_webhook/ewh_1/secret",
            json!({"expire_seconds": 0}),
        ),
        (
            vec!["egress-webhooks", "rotate", "ewh_1", "--expire-seconds", "60"],
            "PATCH /egress_webhook/ewh_1/secret",
            json!({"expire_seconds": 60}),
        ),
        (vec!["egress-webhooks", "status", "ewh_1"], "GET /egress_webhook/ewh_1/status", none.clone()),
        (
            vec!["egress-webhooks", "update", "ewh_1", "--active", "false", "--next-offset", "-2", "--metadata", "m"],
            "PATCH /egress_webhook/ewh_1",
            json!({"active": false, "next_offset": -2, "metadata": "m"}),
        ),
        (
            vec!["egress-webhooks", "update", "ewh_1", "--next-time", "1970-01-01T00:00:01Z"],
            "PATCH /egress_webhook/ewh_1",
            json!({"next_time": 1_000_000}),
        ),
        (
            vec!["egress-webhooks", "update", "ewh_1", "--skip", "9", "--destination", "https://b.example/"],
            "PATCH /egress_webhook/ewh_1",
            json!({"skip": 9, "destination": "https://b.example/"}),
        ),
        (vec!["egress-webhooks", "delete", "ewh_1"], "DELETE /egress_webhook/ewh_1", none.clone()),
        (vec!["filters", "list"], "GET /filters", none.clone()),
        (
            vec!["filters", "create", "--source-id", "log_1", "--target-id", "log_2", "--expression", "true"],
            "POST /filters",
            json!({"source_id": "log_1", "target_id": "log_2", "expression": "true"}),
        ),
        (vec!["filters", "get", "trf_1"], "GET /filter/trf_1", none.clone()),
        (vec!["filters", "status", "trf_1"], "GET /filter/trf_1/status", none.clone()),
        (
            vec!["filters", "update", "trf_1", "--active", "true", "--expression", "false"],
            "PATCH /filter/trf_1",
            json!({"active": true, "expression": "false"}),
        ),
        (vec!["filters", "delete", "trf_1"], "DELETE /filter/trf_1", none.clone()),
        (vec!["ingress-webhooks", "list"], "GET /ingress_webhooks", none.clone()),
        (
            vec!["ingress-webhooks", "create", "--log-id", "log_1", "--type", "gitHub", "--secret-file", secret],
            "POST /ingress_webhooks",
            json!({"log_id": "log_1", "type": "gitHub", "secret": "hunter2"}),
        ),
        (vec!["ingress-webhooks", "get", "iwh_1"], "GET /ingress_webhook/iwh_1", none.clone()),
        (
            vec!["ingress-webhooks", "update", "iwh_1", "--secret", "new", "--expire-seconds", "60"],
            "PATCH /ingress_webhook/iwh_1",
            json!({"secret": "new", "expire_seconds": 60}),
        ),
        (vec!["ingress-webhooks", "delete", "iwh_1"], "DELETE /ingress_webhook/iwh_1", none),
    ];
    for (words, asked, body) in cases {
        daemon.run(&words).await.unwrap_or_else(|error| panic!("{words:?}: {error:#}"));
        let last = daemon.last();
        let (line, sent) = last.split_once(" [-] ").unwrap();
        assert_eq!(line, asked, "{words:?}");
        match sent {
            "" => assert!(body.is_null(), "{words:?}"),
            sent => assert_eq!(serde_json::from_str::<Value>(sent).unwrap(), body, "{words:?}"),
        }
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_asked_of_no_daemon() {
    let daemon = daemon().await;
    for words in [
        &["publish", "log_1", "--key", "a", "--key-file", "b"][..],
        &["publish", "log_1", "--value", "a", "--value-bytes", "b"],
        &["publish", "log_1", "--value-bytes", "?"],
        &["publish", "log_1", "--time", "noon"],
        &["publish", "log_1", "--value-file", "/no/such/file"],
        &["consume", "log_1", "--offset", "0", "--offset-id", "off_1"],
        &["consume", "log_1", "--time", "5", "--offset-id", "off_1"],
        &["egress-webhooks", "create", "--log-id", "log_1"],
        &["egress-webhooks", "update", "ewh_1", "--skip", "1", "--next-offset", "2"],
        &["filters", "create", "--source-id", "log_1", "--target-id", "log_2"],
        &["logs", "update", "log_1", "--trim-count", "-1"],
    ] {
        assert!(daemon.run(words).await.is_err(), "{words:?}");
    }
    let misuse = daemon.run(&["consume", "log_1", "--continue", "--poll", "0s"]).await.unwrap_err();
    assert!(misuse.is::<Misuse>() && misuse.to_string().contains("--continue"), "{misuse}");
    assert_eq!(daemon.count(), 0);
}

#[tokio::test]
async fn a_consume_that_goes_on_has_the_daemon_wait_and_goes_on_where_it_was_told() {
    let daemon = daemon().await;
    for (words, wait) in [(&["--continue"][..], 30_000), (&["--continue", "--poll", "7s"], 7_000)] {
        let words = [&["consume", "log_1", "--offset", "-1"], words].concat();
        let second = format!("GET /messages/log_1?offset=1&len=100&poll={wait}&encoding=string [-] ");
        let asked = async {
            while daemon.last() != second {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = daemon.run(&words) => panic!("it has no end: {ended:?}"),
            () = asked => {}
        }
    }
}
