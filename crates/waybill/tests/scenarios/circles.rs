//! Messages that go round: webhooks of two nodes, each of which sends what it gets to the other.

use crate::harness::client::{json_of, made};
use crate::harness::policy::OPEN;
use crate::harness::{Daemon, Home, Policy, wait_until};

/// A node, and a log of it.
struct Node {
    home: Home,
    daemon: Daemon,
    log: String,
}

impl Node {
    fn new() -> Node {
        let home = Home::new();
        let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
        let log = made(&daemon, &["logs", "create"], "log_id");
        Node { home, daemon, log }
    }

    /// Sends what comes into the log into that of another node; gives the id of the webhook that does.
    fn sends_to(&self, other: &Node) -> String {
        let secret = other.home.file("secret");
        let file = secret.to_str().expect("a path");
        std::fs::write(&secret, "for now").expect("a file");
        let words =
            ["ingress-webhooks", "create", "--log-id", &other.log, "--type", "klev-message", "--secret-file", file];
        let ingress = made(&other.daemon, &words, "webhook_id");
        let url = format!("http://{}/ingress_webhook/{ingress}", other.daemon.http());
        let egress =
            json_of(&self.daemon, &["egress-webhooks", "create", "--log-id", &self.log, "--destination", &url]);
        std::fs::write(&secret, egress["secret"].as_str().expect("a secret")).expect("a file");
        json_of(&other.daemon, &["ingress-webhooks", "update", &ingress, "--secret-file", file]);
        egress["webhook_id"].as_str().expect("an id").to_owned()
    }

    fn values(&self) -> Vec<String> {
        let found = json_of(&self.daemon, &["consume", &self.log, "--size", "1000"]);
        let messages = found["messages"].as_array().expect("messages");
        messages.iter().map(|message| message["value"].as_str().expect("a value").to_owned()).collect()
    }
}

#[test]
fn a_message_that_two_nodes_send_to_each_other_ends_with_a_refusal_that_names_the_circle() {
    let (one, other) = (Node::new(), Node::new());
    let there = one.sends_to(&other);
    let back = other.sends_to(&one);
    one.daemon.client(&["publish", &one.log, "--value", "round"]).expect("an answer");
    let status = wait_until("the circle is noticed", || {
        let status = json_of(&other.daemon, &["egress-webhooks", "status", &back]);
        (status["attempts"].as_u64() > Some(0)).then_some(status)
    });
    let answer = status["deliver_resp"].as_str().expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("ingress-webhook-hops-limited"), "{status}");
    assert!(answer.contains("it goes in a circle"), "{status}");
    // Published, and then seven webhooks; the eighth was refused.
    assert_eq!((one.values(), other.values()), (vec!["round".to_owned(); 4], vec!["round".to_owned(); 4]));
    let status = json_of(&one.daemon, &["egress-webhooks", "status", &there]);
    assert_eq!((&status["next_offset"], &status["attempts"]), (&4.into(), &0.into()), "{status}");
    // Asked again it says the same, and nothing has moved.
    json_of(&other.daemon, &["egress-webhooks", "update", &back, "--active", "true"]);
    wait_until("it was tried again", || {
        let status = json_of(&other.daemon, &["egress-webhooks", "status", &back]);
        (status["attempts"].as_u64() > Some(1)).then_some(())
    });
    assert_eq!(one.values().len(), 4);
    one.daemon.stop();
    other.daemon.stop();
}
