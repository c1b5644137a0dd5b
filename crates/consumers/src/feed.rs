use futures::future::BoxFuture;
use tokio::sync::watch;
use waybill_spool::{ReadLimit, Slice, StoreError};
use waybill_types::Offset;

/// A consumer's part of its stream, looked out by somebody who reads the stream once for many.
///
/// # Contract
/// - What `read` leaves out is nothing to the consumer: its dispatcher would skip it, and remembers nothing of it.
/// - Everything else below what `visible` says is given, in order, whoever looked it out: also what the consumer asks for
///   again, and what lies far behind.
/// - The `next` of an answer is where to go on: above `from` where that is below what `visible` says.
/// - The consumer has one lane: nobody looks ahead for others.
/// - `visible` never goes back. It grows with the consumer's own events at once, with what is nothing to it some time.
pub trait Feed: Send + Sync + 'static {
    /// Up to where there is something to read.
    fn visible(&self) -> watch::Receiver<Offset>;

    /// The consumer's events from an offset on.
    fn read(&self, from: Offset, limit: ReadLimit) -> BoxFuture<'static, Result<Slice, StoreError>>;
}
