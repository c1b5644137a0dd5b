use bytes::Bytes;
use futures::future::BoxFuture;
use std::net::SocketAddr;
use std::time::Duration;
use waybill_types::MessageId;

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parcel {
    /// Of the message, here.
    pub id: MessageId,
    /// Where it is posted to.
    pub url: String,
    /// What is posted, not compressed yet.
    pub body: Bytes,
    /// How long all of it may take.
    pub limit: Duration,
}

/// What the other node says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub body: Bytes,
    /// Who answered.
    pub address: Option<SocketAddr>,
}

/// Posts parcels, each as gzip (`Content-Encoding`).
///
/// # Contract
/// - `carry` ends within the parcel's limit, follows no redirect, keeps only the beginning of an answer, and calls no
///   address that the operator's own nodes cannot have (metadata services, link-local and multicast addresses).
/// - An error is one sentence about what went wrong; the parcel may have arrived all the same.
/// - Dropping the future gives it up.
pub trait Carrier: Send + Sync + 'static {
    /// Posts one parcel and waits for the answer.
    fn carry(&self, parcel: Parcel) -> BoxFuture<'_, Result<Reply, String>>;
}
