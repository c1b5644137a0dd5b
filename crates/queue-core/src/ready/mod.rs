//! Ready queues: bounded, first in first out, filled only through a [`Reservation`].
//!
//! A ready queue holds what may leave now over one path. It forms batches, asks for sessions to carry them, and hands
//! each batch to a session. It knows nothing about its items but their key, nothing about the scheduled side but the
//! name an item came from, and reads no clock: the mail queue and the hooks both drive it.
//!
//! The driver performs the actions and reports back:
//!
//! | action | what the driver answers with, once |
//! |---|---|
//! | [`ReadyAction::Open`] | [`ReadyEvent::SessionReady`], [`ReadyEvent::SessionRefused`], [`ReadyEvent::SessionFailed`] or [`ReadyEvent::Closed`] |
//! | [`ReadyAction::Hand`] | [`ReadyEvent::Finished`], or [`ReadyEvent::Closed`] when the session was lost with its batch |
//! | [`ReadyAction::Close`] | [`ReadyEvent::Closed`]; until then the connection counts towards the limit |
//! | [`ReadyAction::WakeAt`] | [`ReadyEvent::Tick`] at that time; a newer one replaces it |
//!
//! ```
//! use waybill_queue_core::ready::{BatchPolicy, Fate, PathLimits, ReadyAction, ReadyEvent, ReadyQueues};
//! use waybill_types::{QueueName, ReadyQueueName, Timestamp};
//!
//! let (path, now) = (ReadyQueueName::new("unspecified->a.example@smtp_client"), Timestamp::from_secs(1_700_000_000));
//! let mut queues = ReadyQueues::<u32>::new();
//! let mut actions = Vec::new();
//! let limits = PathLimits::default();
//! queues.step(now, ReadyEvent::Configure { queue: path.clone(), limits: Box::new(limits), batch: BatchPolicy::single() }, &mut actions);
//!
//! let place = queues.reserve(&path, now).expect("the queue is empty");
//! queues.redeem(place, 7, QueueName::new("a.example"), now);
//! queues.step(now, ReadyEvent::Redeemed, &mut actions);
//! let open = |action: &ReadyAction<u32>| if let ReadyAction::Open { session, .. } = action { Some(*session) } else { None };
//! let session = actions.iter().find_map(open).expect("an item wants a session");
//! queues.step(now, ReadyEvent::SessionReady { session }, &mut actions);
//! assert!(actions.iter().any(|action| matches!(action, ReadyAction::Hand { items, .. } if items == &[7])));
//! queues.step(now, ReadyEvent::Finished { session, fate: Fate::Keep }, &mut actions);
//! ```

mod batch;
mod look;
mod queue;
mod rates;
mod reservation;
mod serve;
mod sessions;
mod sources;
mod step;
mod types;

pub use batch::{BatchPolicy, wanted_sessions};
pub(crate) use rates::TURN_KEPT;
pub use reservation::Reservation;
pub use sources::SourceTrouble;
pub use step::ReadyQueues;
pub use types::{
    Fate, NoRoom, Order, PathLimits, ReadyAction, ReadyEvent, ReadyId, ReadyStatus, Selected, SessionId, Throttled,
};

#[cfg(test)]
mod tests;
