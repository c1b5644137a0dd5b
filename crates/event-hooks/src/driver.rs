//! Sends what the runner offers, as the target can take it.

use crate::armed::{Armed, Fired};
use crate::attempts::{About, AttemptRecord};
use crate::counts::Counted;
use crate::shared::{Health, Leave, Turned};
use crate::signals::Told;
use crate::subscription::{Parcel, Subscription};
use crate::target::EndpointTold;
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use std::sync::Arc;
use waybill_consumers::Report;
use waybill_event_hooks_core::Form;
use waybill_journal_core::{Attempt, DeadReason, Outcome};
use waybill_runtime::Stop;
use waybill_types::{Offset, Timestamp};
use waybill_webhook_core::{self as webhook, Signal, Ticket};
use waybill_webhook_sign::EventId;

/// An attempt that has ended.
struct Done {
    armed: Arc<Armed>,
    ticket: Option<Ticket>,
    events: Vec<(Offset, Attempt)>,
    id: String,
    fired: Fired,
}

type Flying = FuturesUnordered<BoxFuture<'static, Done>>;

/// The id that goes with events, the same in every attempt: that of the event, or one of those that go together.
fn event_id(hook: &str, parcel: &Parcel) -> String {
    let mut ids = parcel.events.iter().map(|(_, _, event)| event.id.hook_message_id(hook).to_string());
    match (ids.next(), parcel.events.len()) {
        (Some(id), 1) => id,
        (Some(first), count) => {
            let last = ids.next_back().unwrap_or_default();
            format!("{first}-{count}-{last}")
        }
        (None, _) => String::new(),
    }
}

impl Subscription {
    /// Until it is stopped, which is once the runner has nothing more in the air.
    pub(crate) async fn drive(self: Arc<Self>, mut stop: Stop) {
        let mut flying = Flying::new();
        let mut changes = self.shared.changes();
        let mut window = 0;
        loop {
            changes.mark_unchanged();
            let wanted = self.shared.armed().window();
            if wanted != window {
                window = wanted;
                self.reports.send(Report::Window(window));
            }
            let wait = self.launch(&mut flying);
            let clock = self.ground.clock.clone();
            let wake = async move {
                match wait {
                    Some(time) => clock.sleep_until(time).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.requested() => return,
                Some(done) = flying.next(), if !flying.is_empty() => self.land(done),
                () = self.nudge.notified() => {}
                // The other end lives in `shared`.
                _ = changes.changed() => {}
                () = wake => {}
            }
        }
    }

    /// Begins as much as may begin; tells when more may, where that is a matter of time.
    fn launch(&self, flying: &mut Flying) -> Option<Timestamp> {
        let at_once = self.shared.armed().at_once();
        // A replay leaves half to the hook itself, but for the last.
        let most = if self.is_replay { (at_once / 2).max(1) } else { at_once };
        while !self.shared.rests() && flying.len() < most {
            let now = self.ground.clock.now();
            let count = match self.formed(now)? {
                Form::Take(count) => count,
                Form::At(time) => return Some(time),
            };
            let ticket = match self.shared.ask(now) {
                Leave::Go(ticket) => ticket,
                Leave::At(time) => return Some(time),
                Leave::Wait => return None,
            };
            match self.take(count) {
                Some(parcel) => flying.push(self.attempt(ticket, parcel)),
                None => {
                    self.shared.give_back(ticket, self.ground.clock.now());
                    return None;
                }
            }
        }
        None
    }

    fn attempt(&self, ticket: Option<Ticket>, parcel: Parcel) -> BoxFuture<'static, Done> {
        let armed = self.shared.armed();
        async move {
            let id = event_id(&armed.hook.id.to_string(), &parcel);
            let (events, occurrences): (Vec<_>, Vec<_>) =
                parcel.events.into_iter().map(|(offset, attempt, event)| ((offset, attempt), event)).unzip();
            let fired = match EventId::new(id.clone()) {
                Ok(id) => armed.fire(id, &occurrences).await,
                Err(error) => Fired::Unfit(error.to_string()),
            };
            Done { armed, ticket, events, id, fired }
        }
        .boxed()
    }

    fn land(&self, done: Done) {
        let Done { armed, ticket, events, id, fired } = done;
        let now = self.ground.clock.now();
        let (outcome, signal, said) = match fired {
            Fired::Sent(receipt) => {
                let offsets = events.iter().map(|(offset, _)| offset.0).collect();
                let attempts_before = events.first().map_or(0, |(_, attempt)| attempt.attempts);
                let about = About { offsets, event_id: id, attempts_before };
                self.ground.attempts.add(self.shared.id, AttemptRecord::of(&armed, about, &receipt));
                let said = receipt.error.clone().unwrap_or_else(|| "delivered".to_owned());
                (self.outcome(&receipt.outcome, &said), Some(receipt.signal), said)
            }
            Fired::Logged(_) | Fired::Ran(_) => (Some(Outcome::Delivered), Some(Signal::Well), "delivered".to_owned()),
            Fired::Stumbled(why) => {
                tracing::warn!(hook = %self.shared.id, "a function failed: {why}");
                let later = Outcome::Transient { retry_after: None, unit: self.ground.dice.throw() };
                (Some(later), Some(Signal::Well), why)
            }
            // The target was not called, and nothing was learned of it.
            Fired::Unfit(why) => (Some(Outcome::Dead(DeadReason::HandlerFailed(why.clone()))), None, why),
        };
        match &outcome {
            Some(Outcome::Delivered) => self.shared.counts.add(Counted::Delivered, events.len()),
            Some(Outcome::Transient { .. }) => self.shared.counts.add(Counted::Failed, events.len()),
            _ => {}
        }
        if !matches!(outcome, Some(Outcome::Delivered)) {
            tracing::info!(hook = %self.shared.id, "not delivered: {said}");
        }
        let turned = match signal {
            Some(signal) => self.shared.ended(ticket, signal, said.clone(), now, self.ground.dice.throw()),
            None => {
                self.shared.give_back(ticket, now);
                None
            }
        };
        match outcome {
            Some(outcome) => {
                let results = events.into_iter().map(|(offset, _)| (offset, outcome.clone())).collect();
                self.reports.send(Report::Finished(results));
            }
            None => {
                // The target wants nothing any more: its events stay, and flow again when somebody enables the hook.
                self.shared.set_gone();
                for (offset, _) in events {
                    self.reports.send(Report::Returned(offset, None));
                }
                if self.ground.gone.try_send((self.shared.id, said)).is_err() {
                    tracing::error!(hook = %self.shared.id, "that it is to be disabled was not written down");
                }
            }
        }
        if let Some(turned) = turned {
            self.tell(&armed, turned);
        }
    }

    /// What becomes of an event; nothing when its target wants none any more.
    fn outcome(&self, outcome: &webhook::Outcome, said: &str) -> Option<Outcome> {
        Some(match outcome {
            webhook::Outcome::Delivered => Outcome::Delivered,
            webhook::Outcome::Transient { retry_after } => {
                Outcome::Transient { retry_after: *retry_after, unit: self.ground.dice.throw() }
            }
            webhook::Outcome::Permanent => Outcome::Permanent(said.to_owned()),
            webhook::Outcome::Blocked(_) => Outcome::Dead(DeadReason::Permanent(said.to_owned())),
            webhook::Outcome::Disabled => return None,
        })
    }

    /// Tells hooks on the source `endpoint`.
    fn tell(&self, armed: &Armed, turned: Turned) {
        let (event, health) = match turned {
            Turned::Failing => ("failing", self.shared.health()),
            Turned::Recovered => ("recovered", self.shared.mended()),
        };
        let told = endpoint_event(armed, event, &health);
        if !self.ground.signals.are_wanted(&told.source) {
            return;
        }
        let (store, signals) = (self.ground.store.clone(), self.ground.signals.clone());
        self.ground.supervisor.spawn("event about an endpoint", async move {
            if let Err(error) = signals.tell(&*store, told).await {
                tracing::error!("an event about an endpoint was not written down: {error}");
            }
        });
    }
}

/// An event of the source `endpoint`.
pub(crate) fn endpoint_event(armed: &Armed, event: &str, health: &Health) -> Told {
    let told = EndpointTold {
        event,
        endpoint: &armed.hook.id.to_string(),
        target: armed.config.as_ref().map(|config| &config.url),
        tenant: armed.hook.draft.tenant.as_deref(),
        since: health.failing_since,
        attempts: health.failures,
        last_response: health.last_response.as_deref(),
    };
    told.into()
}
