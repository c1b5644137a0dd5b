use crate::{Args, PolicyError, Returned};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Which generation of the policy is in force; it grows when the policy's files change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Epoch(pub u64);

/// Calls operator policy.
///
/// # Contract
/// - A call runs in the task that awaits it, in a state of its own from entry to return, yields included: nothing that
///   one call leaves in a global is seen by another that runs at the same time.
/// - Dropping the future stops the call; its state is thrown away.
/// - An event that nobody handles returns nothing (`Returned` empty) unless it is one that must be handled
///   ([`PolicyError::Missing`]).
/// - Where an event takes many handlers they are called in order of registration, and which result ends the round is
///   the engine's knowledge (contract/kumomta.md section 2.1).
pub trait PolicyHost: Send + Sync + 'static {
    /// Calls the handlers of an event.
    fn call<'a>(&'a self, event: &'a str, args: Args) -> BoxFuture<'a, Result<Returned, PolicyError>>;

    /// Calls one event for several argument lists in a row, in one entry of one state. An error ends that item only.
    fn call_each<'a>(&'a self, event: &'a str, items: Vec<Args>) -> BoxFuture<'a, Vec<Result<Returned, PolicyError>>>;

    /// Calls an event that returns an object, and keeps the object.
    fn construct<'a>(&'a self, event: &'a str, args: Args)
    -> BoxFuture<'a, Result<Box<dyn PolicyObject>, PolicyError>>;

    /// Whether anybody handles the event: when not, arguments need not be made.
    fn handles(&self, event: &str) -> bool;

    /// `FILE:LINE` of each handler of an event, where that is known.
    fn places(&self, event: &str) -> Vec<String> {
        let _ = event;
        Vec::new()
    }

    /// The queue that `should_enqueue_log_record` gives every record of a hook, where the handlers say so without looking at
    /// any; such a call counts as one for each of so many records. `None`: they have to be asked.
    fn queue_of_all(&self, hook: &str, records: usize) -> Option<Arc<str>> {
        let _ = (hook, records);
        None
    }

    /// The generation in force.
    fn epoch(&self) -> Epoch;
}

/// An object that policy made, such as a connection.
///
/// # Contract
/// Methods run one at a time; a method that failed leaves the object usable for `close`.
pub trait PolicyObject: Send + Sync {
    /// Whether it has this method.
    fn has(&self, method: &str) -> bool;

    /// Calls a method (with the object itself as the first argument).
    fn invoke<'a>(&'a mut self, method: &'a str, args: Args) -> BoxFuture<'a, Result<Returned, PolicyError>>;

    /// Calls its `close` method if it has one, and lets go of it.
    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), PolicyError>>;
}
