//! A script that hangs: in its constructor, in a delivery, in `close`.

use crate::support::*;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use waybill_delivery::{Fate, Outcome};
use waybill_policy::{Args, Epoch, PolicyError, PolicyHost, PolicyObject, Returned};
use waybill_types::EnhancedCode;

/// What of a script hangs.
#[derive(Clone, Copy, PartialEq)]
enum Hangs {
    Constructor,
    Send,
    Close,
}

/// A policy that hangs, and counts objects that were dropped and closed.
#[derive(Clone)]
struct Hanging {
    what: Hangs,
    dropped: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Hanging {
    fn new(what: Hangs) -> Self {
        Hanging { what, dropped: Arc::default(), closed: Arc::default() }
    }

    fn counts(&self) -> (usize, usize) {
        (self.dropped.load(Ordering::Relaxed), self.closed.load(Ordering::Relaxed))
    }
}

impl PolicyHost for Hanging {
    fn call<'a>(&'a self, _: &'a str, _: Args) -> BoxFuture<'a, Result<Returned, PolicyError>> {
        pending().boxed()
    }

    fn call_each<'a>(&'a self, _: &'a str, _: Vec<Args>) -> BoxFuture<'a, Vec<Result<Returned, PolicyError>>> {
        pending().boxed()
    }

    fn construct<'a>(&'a self, _: &'a str, _: Args) -> BoxFuture<'a, Result<Box<dyn PolicyObject>, PolicyError>> {
        async move {
            if self.what == Hangs::Constructor {
                return pending().await;
            }
            Ok(Box::new(Object(self.clone())) as Box<dyn PolicyObject>)
        }
        .boxed()
    }

    fn handles(&self, _: &str) -> bool {
        true
    }

    fn epoch(&self) -> Epoch {
        Epoch(0)
    }
}

struct Object(Hanging);

impl PolicyObject for Object {
    fn has(&self, _: &str) -> bool {
        true
    }

    fn invoke<'a>(&'a mut self, _: &'a str, _: Args) -> BoxFuture<'a, Result<Returned, PolicyError>> {
        if self.0.what == Hangs::Send { pending().boxed() } else { async { text("ok") }.boxed() }
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), PolicyError>> {
        self.0.closed.fetch_add(1, Ordering::Relaxed);
        async move {
            let object = self;
            if object.0.what == Hangs::Close { pending().await } else { Ok(()) }
        }
        .boxed()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_delivery_that_hangs_is_given_up_with_its_session() {
    for (section, method) in [(one_by_one(), "send"), (batches_of(2), "send_batch")] {
        let policy = Hanging::new(Hangs::Send);
        let mut session = open(policy.clone(), section).await.unwrap();
        let begun = Instant::now();
        let outcome = session.deliver(&messages(1)).await;
        assert_eq!(begun.elapsed(), WATCHDOG);
        assert_eq!((outcome.session, outcome.peer_spoke, outcome.outcomes.len()), (Fate::Broken, false, 1));
        let Outcome::Transient(response, None) = &outcome.outcomes[0] else { panic!("{outcome:?}") };
        assert_eq!(response.code, 451);
        assert_eq!(response.enhanced_code, Some(EnhancedCode { class: 4, subject: 4, detail: 1 }));
        let (start, end) = (
            "dispatcher watchdog aborted task; phase=deliver_message no_progress_for=",
            format!("detail=\"lua: {method}\""),
        );
        assert!(response.content.starts_with(start) && response.content.ends_with(&end), "{response}");
        // The state of an interrupted script is not entered again, neither by a batch nor by `close`.
        assert_eq!(policy.counts(), (1, 0));
        let again = session.deliver(&messages(1)).await;
        let ended = "400 KumoMTA internal: error in deliver_message: the session has ended";
        assert_eq!((again.session, again.outcomes[0].response().to_string().as_str()), (Fate::Close, ended));
        session.close().await;
        assert_eq!(policy.counts(), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_delivery_takes_the_state_of_the_script_with_it() {
    let policy = Hanging::new(Hangs::Send);
    let mut session = open(policy.clone(), one_by_one()).await.unwrap();
    assert!(timeout(Duration::from_secs(1), session.deliver(&messages(1))).await.is_err());
    assert_eq!(policy.counts(), (1, 0));
    session.close().await;
    assert_eq!(policy.counts(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_constructor_that_hangs_fails_to_connect() {
    let error = open(Hanging::new(Hangs::Constructor), one_by_one()).await.err().unwrap();
    let content = "KumoMTA internal: failed to connect to any candidate hosts: make.webhook took longer than 10m";
    assert_eq!((error.response.code, error.response.content.as_str()), (400, content));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_hangs_is_given_up() {
    let policy = Hanging::new(Hangs::Close);
    open(policy.clone(), one_by_one()).await.unwrap().close().await;
    assert_eq!(policy.counts(), (1, 1));
}
