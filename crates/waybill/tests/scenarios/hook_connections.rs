//! `connections` of an event hook: an endpoint that counts how many requests it has at once.

use crate::harness::api::ask;
use crate::harness::policy::OPEN;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use serde_json::{Value, json};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// What holds requests until it is told to let one go.
#[derive(Default)]
struct Turnstile {
    count: Mutex<Count>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Count {
    inside: usize,
    /// The most that were inside at once.
    most: usize,
    /// So many more may leave.
    may_leave: usize,
    left: usize,
}

impl Turnstile {
    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request comes, and waits until it may leave.
    fn pass(&self) {
        let mut count = self.count();
        count.inside += 1;
        count.most = count.most.max(count.inside);
        while count.may_leave == 0 {
            count = self.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
        count.may_leave -= 1;
        count.inside -= 1;
        count.left += 1;
    }

    fn let_go(&self, requests: usize) {
        self.count().may_leave += requests;
        self.changed.notify_all();
    }

    fn wait(&self, what: &str, holds: impl Fn(Count) -> bool) -> Count {
        wait_until(what, || {
            let count = *self.count();
            holds(count).then_some(count)
        })
    }
}

#[test]
fn an_endpoint_never_has_more_requests_at_once_than_its_hook_says_and_has_as_many() {
    const EVENTS: usize = 60;
    const CONNECTIONS: usize = 3;
    let (home, receiver, turnstile) = (Home::new(), Receiver::start(), Arc::new(Turnstile::default()));
    let inside = turnstile.clone();
    receiver.answer(move |_, _| {
        inside.pass();
        Answer::ok()
    });
    let daemon = Daemon::start(&home, &Policy::new("").init(OPEN));
    let hook = |connections: Value| {
        let config = json!({"url": receiver.url(), "method": "POST", "body": "{{ recipient }}", "timeout": "60s"});
        json!({
            "source": "log", "event": "Reception", "handler": "webhook-custom", "connections": connections,
            "config": config,
        })
    };
    let (status, refused) = ask(&daemon, "POST", "/event-hooks", &hook(json!(101)));
    assert_eq!(status, 400, "{refused}");
    assert_eq!(refused["message"], "schema violation (connections: value should be between 1 and 100)", "{refused}");
    let (status, made) = ask(&daemon, "POST", "/event-hooks", &hook(json!(CONNECTIONS)));
    assert_eq!((status, &made["connections"]), (201, &json!(CONNECTIONS)), "{made}");
    let path = format!("/event-hooks/{}", made["id"].as_str().expect("an id"));

    daemon.connect().send(&Mail::to_all((0..EVENTS).map(|number| format!("rcpt{number}@example.com"))));
    // Each of these ends while as many as it may have are inside, so that one more is tried.
    for left in 0..EVENTS / 2 {
        let wanted = if left < 6 { 2 } else { CONNECTIONS };
        turnstile.wait("as many are inside as may be", |count| count.inside >= wanted);
        turnstile.let_go(1);
        turnstile.wait("one has left", |count| count.left > left);
    }
    let count = turnstile.wait("as many are inside as may be", |count| count.inside == CONNECTIONS);
    assert_eq!(count.most, CONNECTIONS);

    // Those that are inside still count.
    let (status, changed) = ask(&daemon, "PATCH", &path, &json!({"connections": 1}));
    assert_eq!((status, &changed["connections"]), (200, &json!(1)), "{changed}");
    turnstile.count().most = 0;
    turnstile.let_go(EVENTS);
    let count = turnstile.wait("all have left", |count| count.left == EVENTS);
    assert_eq!(count.most, 1, "one at a time since the change");
    daemon.stop();
}
