//! What a consumer of the journal does next: read, judge, hand out, park, retry, give up, move its cursor.
//!
//! Pure: `step(now, event, &mut actions)`, no clock, no store, no task. A [`Consumer`] is one hook's place in the
//! journal. Each (consumer, scheduled queue) is a [lane](Lane): events of a lane wait in memory up to its capacity, and
//! in rows on disk beyond; a lane that fails holds up nobody else (I6).
//!
//! What must survive a crash comes out as [`Write`]s. The driver collects them and commits them in one batch together
//! with the [`Checkpoint`](Consumer::checkpoint) taken at that moment, so cursor and rows are never apart.
//!
//! ```
//! use waybill_journal_core::{Action, Consumer, Event, Read};
//! use waybill_types::{Offset, Timestamp};
//! let now = Timestamp::from_secs(1_700_000_000);
//! let mut consumer = Consumer::new(Offset::ZERO, 1);
//! let mut actions = Vec::new();
//! consumer.step(now, Event::Visible(Offset(3)), &mut actions);
//! assert!(matches!(actions[..], [Action::Read { from: Offset(0), .. }]));
//! consumer.step(now, Event::Read(Read { events: vec![(Offset(0), now)], next: Offset(3) }), &mut actions);
//! assert!(matches!(&actions[1], Action::Judge { offsets } if offsets == &[Offset(0)]));
//! ```

mod action;
mod consumer;
mod event;
mod lane;
mod order;
mod settled;
mod trim;

pub use action::{Action, Attempt, Checkpoint, DeadReason, LaneConfig, RowKey, Write};
pub use consumer::{Consumer, ConsumerStatus, MAX_UNSAVED, Totals};
pub use event::{Event, LoadedRow, Outcome, Read, Rebound, Verdict};
pub use lane::{FAILING_AFTER, Lane, LaneStatus};
pub use order::{Bounced, Demand, LaneMatch, LaneOrder, Parcel};
pub use trim::{Sample, TrimRule, trim_below};
