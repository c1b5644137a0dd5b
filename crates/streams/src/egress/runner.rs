use super::Webhook;
use super::ahead::Ahead;
use crate::courier::{Endpoint, Parcel, Receipt};
use crate::news::EndpointNews;
use std::sync::Arc;
use std::time::Duration;
use waybill_spool::StoreError;
use waybill_streams_core::{Attempted, Lanes, Message, Mode, Next, backoff};
use waybill_types::Timestamp;
use waybill_webhook_core::{Outcome, Target};
use waybill_webhook_sign::EventId;

/// How long an attempt that is under way may go on once the daemon stops.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// When the log cannot be read, the next try is made after this.
pub(super) const AGAIN: Duration = Duration::from_secs(5);

/// A destination as it was when it was made ready.
pub(super) struct Ready {
    version: u64,
    endpoint: Result<Arc<dyn Endpoint>, String>,
}

impl Webhook {
    /// Until the daemon stops or the webhook is removed.
    pub(super) async fn run(self) {
        let (mut stop, mut removed) = (self.0.base.stop.clone(), self.0.removed.listen());
        let (mut ready, mut ahead): (Option<Ready>, _) = (None, Ahead::default());
        while !stop.is_requested() {
            let version = *self.0.changed.borrow();
            let message = match self.at_hand(&mut ahead) {
                Some(message) => Some(message),
                None => tokio::select! {
                    biased;
                    () = removed.requested() => return,
                    () = stop.requested() => return,
                    message = self.next_message(version, &mut ahead) => message,
                },
            };
            let Some((offset, message)) = message else { continue };
            let attempt = self.attempt(version, &mut ready, offset, message);
            tokio::pin!(attempt);
            tokio::select! {
                biased;
                () = removed.requested() => return,
                () = &mut attempt => {}
                () = stop.requested() => {
                    // What is in flight has a little time; if it is broken off it is sent again after the start.
                    let _ = tokio::time::timeout(GRACE, attempt).await;
                    return;
                }
            }
        }
    }

    /// The message to send now, if it was read already.
    fn at_hand(&self, ahead: &mut Ahead) -> Option<(u64, Message)> {
        let (now, end) = (self.0.base.clock.now(), self.0.source.end().now());
        let mut delivery = self.0.delivery.lock();
        let Next::Load(from) = delivery.next(now, end) else { return None };
        let (offset, message) = ahead.take(from, now)?;
        delivery.found(offset);
        Some((offset, message))
    }

    /// The message to send now; nothing when a wait is over and all is to be looked at again. Cancel safe.
    async fn next_message(&self, version: u64, ahead: &mut Ahead) -> Option<(u64, Message)> {
        let mut end = self.0.source.end();
        let now = self.0.base.clock.now();
        let next = self.0.delivery.lock().next(now, end.now());
        match next {
            Next::Rest => self.change(version).await,
            Next::More => {
                let from = self.0.delivery.lock().next_offset();
                tokio::select! {
                    () = end.beyond(from) => {}
                    () = self.change(version) => {}
                }
            }
            Next::Wait(until) => {
                tokio::select! {
                    () = self.0.base.clock.sleep_until(until) => {}
                    () = self.change(version) => {}
                }
            }
            Next::Load(from) => {
                let behind = end.now();
                match self.first_from(from, now, ahead).await {
                    Ok(found) => {
                        {
                            let mut delivery = self.0.delivery.lock();
                            if delivery.next_offset() != from {
                                // Somebody moved it meanwhile.
                                return None;
                            }
                            match &found {
                                Some((offset, _)) => delivery.found(*offset),
                                None => delivery.found_nothing(behind),
                            }
                        }
                        if found.is_none() {
                            self.save().await;
                        }
                        return found;
                    }
                    Err(StoreError::Closed) => self.change(version).await,
                    Err(error) => {
                        tracing::error!(webhook = %self.egress().webhook_id, "its log cannot be read: {error}");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        }
        None
    }

    /// The first message at `from` or behind it: of those that were read a moment ago, or of the log.
    async fn first_from(
        &self,
        from: u64,
        now: Timestamp,
        ahead: &mut Ahead,
    ) -> Result<Option<(u64, Message)>, StoreError> {
        if let Some(found) = ahead.take(from, now) {
            return Ok(Some(found));
        }
        let found = self.0.source.read(from, ahead.at_once(), Ahead::BYTES).await?;
        ahead.put(from, now, found.messages);
        Ok(ahead.take(from, now))
    }

    async fn attempt(&self, version: u64, ready: &mut Option<Ready>, offset: u64, message: Message) {
        let endpoint = self.endpoint(version, ready);
        let Receipt { response, error, outcome, .. } = self.receipt(endpoint, offset, &message).await;
        let at = self.0.base.clock.now();
        let attempted = Attempted { offset, at, response, error, outcome };
        self.0.delivery.lock().finished(attempted, &backoff(), rand::random());
        self.save().await;
    }

    /// Makes one attempt.
    pub(super) async fn receipt(
        &self,
        endpoint: Result<Arc<dyn Endpoint>, String>,
        offset: u64,
        message: &Message,
    ) -> Receipt {
        let receipt = match endpoint {
            Ok(endpoint) => self.send(&*endpoint, offset, message).await,
            // It was checked when it was saved; what an operator closed since then is told like any refusal.
            Err(why) => Receipt::refused(why),
        };
        self.0.counts.add(receipt.status);
        if receipt.outcome != Outcome::Delivered {
            let why = receipt.error.as_deref().unwrap_or("no success");
            tracing::info!(webhook = %self.egress().webhook_id, offset, "not delivered: {why}");
        }
        self.heard(&receipt);
        receipt
    }

    /// Tells others where this attempt turned something.
    fn heard(&self, receipt: &Receipt) {
        let turned = self.0.health.lock().heard(&receipt.outcome, self.0.base.clock.now());
        let (Some(turned), Some(news)) = (turned, &self.0.base.news) else { return };
        let egress = self.egress();
        news.turned(EndpointNews {
            id: egress.webhook_id.to_string(),
            tenant: self.tenant(),
            destination: egress.destination,
            turned,
            // Not what it answered: that may hold cookies, and anything else.
            last_response: receipt.error.clone().unwrap_or_else(|| "delivered".to_owned()),
        });
    }

    async fn send(&self, endpoint: &dyn Endpoint, offset: u64, message: &Message) -> Receipt {
        let payload = self.0.egress.read().payload;
        let id = match EventId::new(format!("{}_{offset}", self.0.log)) {
            Ok(id) => id,
            Err(why) => return Receipt::refused(why.to_string()),
        };
        let body = payload.body(offset, message);
        let parcel = Parcel { id, content_type: payload.content_type(), body, hops: message.hops };
        endpoint.send(parcel).await
    }

    /// The endpoint, made anew after a change.
    pub(super) fn endpoint(&self, version: u64, ready: &mut Option<Ready>) -> Result<Arc<dyn Endpoint>, String> {
        if let Some(ready) = ready.as_ref().filter(|ready| ready.version == version) {
            return ready.endpoint.clone();
        }
        let connections = match self.mode() {
            Mode::Strict => 1,
            Mode::ParallelByKey => Lanes::AT_ONCE,
        };
        let target = Target::parse(&self.0.egress.read().destination).map_err(|error| error.to_string());
        let endpoint =
            target.and_then(|target| self.0.base.courier.endpoint(target, self.keys().signing(), connections));
        *ready = Some(Ready { version, endpoint: endpoint.clone() });
        endpoint
    }

    /// Waits for a change behind this one.
    pub(super) async fn change(&self, version: u64) {
        let mut changed = self.0.changed.subscribe();
        // The sender lives in `self`.
        let _ = changed.wait_for(|count| *count != version).await;
    }
}
