//! What stands at the seams: an intake that keeps everything, a runtime whose clock stands still.

use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::cell::RefCell;
use waybill_spool::{Durability, Incoming, Intake, IntakeError, IntakeState, Rejection};
use waybill_types::Timestamp;

/// The moment of everything.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_secs(1_795_450_376)
}

/// A message that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Taken {
    pub(crate) sender: String,
    pub(crate) recipients: Vec<String>,
    pub(crate) data: Vec<u8>,
}

/// Takes everything, a batch for each call.
#[derive(Default)]
pub(crate) struct Keeping {
    batches: Mutex<Vec<Vec<Taken>>>,
    rejections: Mutex<Vec<String>>,
}

impl Keeping {
    pub(crate) fn batches(&self) -> Vec<Vec<Taken>> {
        self.batches.lock().clone()
    }

    /// The responses of Rejection records.
    pub(crate) fn rejections(&self) -> Vec<String> {
        self.rejections.lock().clone()
    }
}

impl Intake for Keeping {
    fn accept(&self, incoming: Vec<Incoming>, _: Durability) -> BoxFuture<'_, Result<(), IntakeError>> {
        let taken = |incoming: &Incoming| Taken {
            sender: incoming.message.sender().to_string(),
            recipients: incoming.message.recipients().iter().map(ToString::to_string).collect(),
            data: incoming.message.data().map(|data| data.to_vec()).unwrap_or_default(),
        };
        self.batches.lock().push(incoming.iter().map(taken).collect());
        Box::pin(std::future::ready(Ok(())))
    }

    fn rejected(&self, rejection: Rejection) -> BoxFuture<'_, ()> {
        self.rejections.lock().push(rejection.record.response.to_string());
        Box::pin(std::future::ready(()))
    }

    fn state(&self) -> IntakeState {
        IntakeState::Open
    }
}

/// Runs to the end what waits for nothing but itself.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: RefCell<Option<tokio::runtime::Runtime>> = const { RefCell::new(None) };
    }
    // Taken out, so that a panic leaves none behind that may be half way through something.
    let runtime = RUNTIME.with_borrow_mut(Option::take).unwrap_or_else(|| {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().expect("a runtime")
    });
    let value = runtime.block_on(future);
    RUNTIME.set(Some(runtime));
    value
}
