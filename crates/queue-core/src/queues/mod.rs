//! The mail side: scheduled queues over ready queues.
//!
//! A message is in exactly one state: *scheduled* until it is due, *ready* once a ready queue has room for it, *in
//! flight* while a session has it, and then gone, or scheduled again with a [`Reason`](crate::reason::Reason).
//! [`Queues::step`] takes one event and says what is to be done; nothing here waits, stores or sends.
//!
//! # The driver's part
//!
//! - Perform the actions in order. The [`Action::Log`]s of a message come directly before its [`Action::Save`] or
//!   [`Action::Remove`], so that one store batch can hold them.
//! - Answer every `ResolveRoute`, `AskBeforeReady`, `AskBeforeReturn`, `Open`, `Hand` and `Close` once, with the event that its
//!   documentation names, every message of a `Taken` with `Rebound`, and send a `Tick` at the time of the newest `WakeAt`.
//! - Announce a queue's configuration with [`Event::ConfigChanged`] before its first message; a queue that nobody
//!   configured has the defaults.
//!
//! ```
//! use std::sync::Arc;
//! use waybill_queue_core::queues::{Action, Arrival, Choice, Event, Fate, Outcome, Queues, Route};
//! use waybill_queue_core::ready::{BatchPolicy, PathLimits};
//! use waybill_types::{QueueName, ReadyQueueName, Timestamp};
//!
//! let now = Timestamp::from_secs(1_700_000_000);
//! let mut queues = Queues::<u32>::new(1);
//! let mut step = |event| { let mut actions = Vec::new(); queues.step(now, event, &mut actions); actions };
//! let queue = QueueName::new("a.example");
//!
//! step(Event::Arrived(Arrival::received(7, queue.clone(), now)));   // asks for the route
//! let ready_queue = ReadyQueueName::new("unspecified->a.example@smtp_client");
//! let choice = Choice { ready_queue, limits: PathLimits::default(), batch: BatchPolicy::single() };
//! let actions = step(Event::RouteResolved { queue, route: Ok(Arc::new(Route::single(choice))) });
//! let open = |action: &Action<u32>| if let Action::Open { session, .. } = action { Some(*session) } else { None };
//! let session = actions.iter().find_map(open).expect("the message wants a session");
//! step(Event::SessionReady { session });                            // hands message 7 over
//! let outcomes = vec![(7, Outcome::Delivered)];
//! let actions = step(Event::Finished { session, outcomes, fate: Fate::Keep });
//! assert!(actions.contains(&Action::Remove { item: 7 }));
//! ```

mod admin;
mod inspect;
mod intake;
mod items;
mod outcome;
mod promote;
mod returns;
mod route;
mod scheduled;
mod step;
mod table;
mod types;

pub use crate::ready::{Fate, Order, SessionId};
pub use inspect::{Details, QueueStatus};
pub use route::{Choice, Route};
pub use step::Queues;
pub use types::{Action, Arrival, Event, Logged, Outcome, State, Unroutable, Verdict};

#[cfg(test)]
mod tests;
