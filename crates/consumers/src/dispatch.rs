use bytes::Bytes;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::sync::mpsc;
use waybill_journal_core::{Attempt, DeadReason, LaneConfig, Outcome, Parcel, Rebound, Verdict};
use waybill_types::{Offset, QueueName, Timestamp};

/// An event to be judged.
#[derive(Clone, Debug)]
pub struct JudgedEvent {
    /// Its place.
    pub offset: Offset,
    /// The encoded event.
    pub entry: Bytes,
    /// An operator has it tried again: what was decided about it before counts no more.
    pub redriven: bool,
}

/// Judges events and sends them: what a consumer is for.
///
/// # Contract
/// - `judge` gives a verdict for each event, in order. An event that goes to a lane is kept by the dispatcher (in
///   whatever form it likes) until `forget`. One that cannot be judged now is left out, and comes again a little later;
///   until then nothing more is read.
/// - `offer` never waits. Its answer comes as a [`Report`]: exactly one for each offer, [`Report::Finished`] or
///   [`Report::Returned`]. Events of one batch are reported together, whatever lanes they are of.
/// - A dispatcher that panics in `judge` costs the event at fault a dead letter, and nothing else.
/// - `rebind` changes events that are kept and not offered, as the parcel of an operator's order says, and tells where each
///   belongs then. One that it leaves out, and all of them where it panics, stays where it is.
/// - `overlay` gives what has to be kept of an event beside the journal entry (changes to its meta, say); `restore`
///   brings an event back from entry and overlay.
/// - `created` reads when the event was appended out of the encoded event.
/// - `memory` is what the verdicts of later events depend on. It is stored in one batch with the position: after a crash
///   `remember` brings back what belongs to the position at which reading goes on. Events behind that position may have
///   been judged already, so it has to say of those what was decided; `forget` tells which are behind it for good.
pub trait Dispatch: Send + Sync + 'static {
    /// Says where each event belongs.
    fn judge<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<(Offset, Verdict)>>;

    /// The lane that every event goes to that goes to any, where that is known without looking: nothing is read then to be
    /// scouted.
    fn only_lane(&self) -> Option<QueueName> {
        None
    }

    /// Says which lanes events would go to, and does nothing else: they will be judged again. Nothing, where that cannot be
    /// told without consequences.
    fn scout<'a>(&'a self, events: Vec<JudgedEvent>) -> BoxFuture<'a, Vec<QueueName>> {
        drop(events);
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Changes events, with the attempts made so far, as an operator ordered, and says where each belongs.
    fn rebind<'a>(
        &'a self,
        parcel: &'a Parcel,
        lane: &'a QueueName,
        events: Vec<(Offset, u16)>,
    ) -> BoxFuture<'a, Vec<(Offset, Rebound)>> {
        let _ = (parcel, lane, events);
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Settings of a lane, asked when it comes back from the disk. Until they are there its rows stay where they are.
    fn lane_config<'a>(&'a self, lane: &'a QueueName) -> BoxFuture<'a, LaneConfig>;

    /// Sends an event as soon as a session has room.
    fn offer(&self, lane: &QueueName, offset: Offset, attempt: Attempt);

    /// The same for several events of a lane, in order.
    fn offer_all(&self, lane: &QueueName, events: &[(Offset, Attempt)]) {
        events.iter().for_each(|(offset, attempt)| self.offer(lane, *offset, *attempt));
    }

    /// Takes back what was offered and is not being tried.
    fn recall(&self, lane: &QueueName);

    /// What to keep of the event beside its entry.
    fn overlay(&self, offset: Offset) -> Bytes;

    /// An event of a lane row is in memory again.
    fn restore(&self, lane: &QueueName, offset: Offset, entry: Bytes, overlay: Bytes);

    /// An event becomes a dead letter; it is forgotten next.
    fn buried(&self, lane: Option<&QueueName>, offset: Offset, attempts: u16, reason: &DeadReason);

    /// The event is not needed any more.
    fn forget(&self, offset: Offset);

    /// What it remembers of the events that it judged, with the number of that state, where it is another than `known`.
    fn memory(&self, known: u64) -> Option<(u64, Bytes)> {
        let _ = known;
        None
    }

    /// What it remembered when the position was stored that the consumer begins with. Asked before anything else, once.
    fn remember(&self, memory: Bytes) {
        drop(memory);
    }

    /// When the event was appended.
    fn created(&self, entry: &Bytes) -> Option<Timestamp>;
}

/// What a dispatcher tells its runner.
#[derive(Clone, Debug)]
pub enum Report {
    /// These were tried, as one batch.
    Finished(Vec<(Offset, Outcome)>),
    /// It was not tried.
    Returned(Offset, Option<Duration>),
    /// A lane's settings changed.
    Configured(QueueName, LaneConfig),
    /// How many events the sessions of one lane can have in flight.
    Window(usize),
    /// A lane rests until then, or works again.
    Suspended(QueueName, Option<Timestamp>),
}

/// The way back from dispatcher to runner.
///
/// The channel has no bound of its own: what can be in it is bounded by what was offered, and a dispatcher must never
/// wait for its runner while the runner waits for it.
#[derive(Clone, Debug)]
pub struct Reports(mpsc::UnboundedSender<Report>);

impl Reports {
    /// A way, and its end.
    pub fn channel() -> (Reports, mpsc::UnboundedReceiver<Report>) {
        #[expect(clippy::disallowed_methods, reason = "bounded by the number of events offered")]
        let (sender, receiver) = mpsc::unbounded_channel();
        (Reports(sender), receiver)
    }

    /// Reports. A runner that is gone needs no report.
    pub fn send(&self, report: Report) {
        let _ = self.0.send(report);
    }
}
