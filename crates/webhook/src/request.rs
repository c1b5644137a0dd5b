use bytes::Bytes;
use waybill_webhook_sign::EventId;

/// One event on its way.
#[derive(Clone, Debug)]
pub struct Request {
    /// The event's id, the same in every attempt.
    pub id: EventId,
    /// What is sent.
    pub body: Bytes,
    /// Headers of this event. They win over the endpoint's own of the same name, and are checked as those are.
    pub headers: Vec<(String, String)>,
    /// Names and values to add to the URL's query.
    pub query: Vec<(String, String)>,
    /// Through how many webhooks the event has come already.
    pub hops: u8,
}

impl Request {
    /// With this body, and nothing else.
    pub fn new(id: EventId, body: impl Into<Bytes>) -> Self {
        Request { id, body: body.into(), headers: Vec::new(), query: Vec::new(), hops: 0 }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}
