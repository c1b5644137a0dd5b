use bytes::Bytes;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use waybill_event_hooks_core::Request;
use waybill_types::Timestamp;
use waybill_webhook_core::{ConfigError, EndpointConfig, Outcome, Signal};
use waybill_webhook_sign::EventId;

/// Brings events to endpoints: the HTTP sender, as event hooks see it.
///
/// # Contract
/// - `check` and `endpoint` send nothing and ask nobody.
/// - [`Endpoint::send`] makes one attempt, signs it at its very time, follows no redirect, and ends within a limit of
///   its own whatever the endpoint does. Dropping its future breaks the attempt off.
pub trait Courier: Send + Sync + 'static {
    /// Whether a target would certainly be refused, as far as it can be told before it is called.
    ///
    /// # Errors
    /// The field with the address, which rule refuses it, and what an operator can do.
    fn check(&self, endpoint: &EndpointConfig) -> Result<(), ConfigError>;

    /// Makes a target ready to be called.
    ///
    /// # Errors
    /// What is wrong with it, and in which field.
    fn endpoint(&self, endpoint: EndpointConfig) -> Result<Arc<dyn Endpoint>, ConfigError>;
}

/// A target that can be called.
pub trait Endpoint: Send + Sync + 'static {
    /// Makes one attempt. What is sent has come through `hops` webhooks, this request not included.
    fn send(&self, id: EventId, request: Request, hops: u8) -> BoxFuture<'_, Receipt>;
}

/// What came of an attempt.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// The address that was called, where one was.
    pub address: Option<String>,
    /// What came back.
    pub answer: Option<Answer>,
    /// Why nothing came back, or why it is no success.
    pub error: Option<String>,
    /// What is to become of the event.
    pub outcome: Outcome,
    /// What it told of the endpoint's health.
    pub signal: Signal,
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body, never decoded.
    pub body: Bytes,
}
