//! An operator wants events to be elsewhere (contract section 6.5).

use super::LogHook;
use super::items::Item;
use super::routes::Way;
use std::time::Duration;
use waybill_admin::{Rebind, Transfer};
use waybill_journal_core::Rebound;
use waybill_log_record::RecordType;
use waybill_policy::Value;
use waybill_spool::{Message, transfer};
use waybill_types::{Offset, QueueName, Response};

const EVENT: &str = "rebind_message";
/// So many events are shown to policy in one entry.
const SHOWN_TOGETHER: usize = 64;
/// An event that stays in its queue is due within this time.
const JITTER: Duration = Duration::from_secs(60);

impl LogHook {
    /// Changes events of a lane as the operator or policy wants, and says where each belongs then.
    pub(super) async fn rebind_events(
        &self,
        rebind: &Rebind,
        lane: &QueueName,
        events: Vec<(Offset, u16)>,
    ) -> Vec<(Offset, Rebound)> {
        // One that cannot be shown stays where it is: that will be told when it is tried.
        let shown = |(offset, attempts): (Offset, u16)| {
            let item = self.items.get(offset).filter(|item| item.spoilt.is_none())?;
            item.message.set_attempts(u32::from(attempts));
            Some((offset, item))
        };
        let items: Vec<(Offset, Item)> = events.into_iter().filter_map(shown).collect();
        let before: Vec<_> = items.iter().map(|(_, item)| item.message.overlay()).collect();
        if let Some(Transfer::To(node)) = &rebind.transfer {
            items.iter().for_each(|(_, item)| transfer::send_off(&item.message, node));
        } else if rebind.ask_policy {
            self.show_to_policy(&items, rebind).await;
        } else {
            for (_, item) in &items {
                rebind.data.iter().for_each(|(name, value)| item.message.set_meta(name, value.clone()));
            }
        }
        let mut rebound = Vec::with_capacity(items.len());
        for ((offset, item), before) in items.into_iter().zip(before) {
            let place = self.place_of(rebind, &item.message, lane).await.unwrap_or_else(|why| {
                // What is not done is not half done: the next failure would move it there.
                item.message.set_overlay(before);
                tracing::error!(hook = self.name(), message = %item.message.id(), "not rebound: {why}");
                Rebound::Stays(Duration::ZERO)
            });
            rebound.push((offset, place));
        }
        rebound
    }

    async fn show_to_policy(&self, items: &[(Offset, Item)], rebind: &Rebind) {
        if !self.context.policy.handles(EVENT) {
            return tracing::error!(hook = self.name(), "events stay where they are: nobody handles {EVENT}");
        }
        for chunk in items.chunks(SHOWN_TOGETHER) {
            let data = serde_json::Value::Object(rebind.data.clone());
            let args = chunk.iter().map(|(_, item)| vec![item.message.clone().into(), Value::Json(data.clone())]);
            let answers = self.context.policy.call_each(EVENT, args.collect()).await;
            for ((_, item), answer) in chunk.iter().zip(answers) {
                if let Err(error) = answer {
                    tracing::error!(hook = self.name(), message = %item.message.id(), "{EVENT} failed: {error}");
                }
            }
        }
    }

    /// Where an event belongs now, or why it stays.
    async fn place_of(&self, rebind: &Rebind, message: &Message, lane: &QueueName) -> Result<Rebound, String> {
        let to = message.queue_name()?;
        if to.is_null() {
            return Err("queue null is for messages that come in; bounce these instead".to_owned());
        }
        // The queue of another node is mail's: its protocol is no hook's.
        let leaves = matches!(rebind.transfer, Some(Transfer::To(_)));
        if !leaves && to != *lane && matches!(self.lane_route(&to).await.way, Way::Broken(_)) {
            return Err(format!("queue {to} cannot be used"));
        }
        // A row cannot hold other data or another recipient.
        let place = if leaves || message.must_materialise() {
            message.set_due(Some(self.context.clock.now()));
            match self.to_spool(message.clone()).await {
                true => Rebound::Materialised,
                false => return Err("the spool did not take it".to_owned()),
            }
        } else if to == *lane {
            return Ok(Rebound::Stays(if rebind.flush { Duration::ZERO } else { JITTER.mul_f64(rand::random()) }));
        } else {
            // A queue with another protocol gets it from there: the row is what a crash leaves of it until then.
            Rebound::Moves(to.clone(), self.lane_route(&to).await.config)
        };
        if !rebind.silent && to != *lane {
            let response = Response::new(250, format!("Rebound from {lane} to {to}: {}", rebind.reason));
            let record = self.record(RecordType::AdminRebind, &to, message, response);
            self.note(&record, Some(message));
        }
        Ok(place)
    }
}
