use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use waybill_webhook_core::{Outcome, SignConfig, Target};
use waybill_webhook_sign::EventId;

/// Brings messages to endpoints: the HTTP sender, as egress webhooks see it.
///
/// # Contract
/// - `check` and `endpoint` send nothing and ask nobody.
/// - [`Endpoint::send`] makes one attempt, signs it at its very time, follows no redirect, and ends within a limit of
///   its own whatever the endpoint does. Dropping its future breaks the attempt off.
pub trait Courier: Send + Sync + 'static {
    /// Whether a destination would certainly be refused, as far as it can be told before it is called.
    ///
    /// # Errors
    /// Why, and what an operator can do.
    fn check(&self, destination: &Target) -> Result<(), String>;

    /// Makes a destination ready to be called, by so many connections at once.
    ///
    /// # Errors
    /// What is wrong with it.
    fn endpoint(&self, destination: Target, sign: SignConfig, connections: usize) -> Result<Arc<dyn Endpoint>, String>;
}

/// A destination that can be called.
pub trait Endpoint: Send + Sync + 'static {
    /// Makes one attempt.
    fn send(&self, parcel: Parcel) -> BoxFuture<'_, Receipt>;
}

/// One message on its way.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// The same in every attempt: log id and offset.
    pub id: EventId,
    /// What the body is.
    pub content_type: &'static str,
    /// What is sent.
    pub body: Bytes,
    /// Through how many webhooks it has come already.
    pub hops: u8,
}

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The status that came back.
    pub status: Option<u16>,
    /// What came back, raw (see [`waybill_streams_core::raw_response`]).
    pub response: Option<String>,
    /// Why nothing came back, or why it is no success.
    pub error: Option<String>,
    /// What it means.
    pub outcome: Outcome,
}

impl Receipt {
    /// Nothing was sent, for now.
    pub(crate) fn failed(why: String) -> Self {
        let outcome = Outcome::Transient { retry_after: None };
        Receipt { status: None, response: None, error: Some(why), outcome }
    }

    /// Nothing was sent, and will not be as things are.
    pub(crate) fn refused(why: String) -> Self {
        Receipt { status: None, response: None, error: Some(why), outcome: Outcome::Permanent }
    }
}
