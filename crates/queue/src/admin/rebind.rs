use crate::asking::survive;
use crate::configs::Announced;
use crate::driver::Driver;
use crate::inbox::News;
use crate::manager::Shared;
use std::collections::VecDeque;
use std::sync::Arc;
use waybill_admin::{Rebind, Transfer};
use waybill_policy::Value;
use waybill_queue_core::queues::{Action, Event};
use waybill_spool::{Message, transfer};
use waybill_types::{MessageId, QueueName, Timestamp};

const EVENT: &str = "rebind_message";
/// So many messages of a queue are taken aside at a time.
const TOGETHER: usize = 1000;
/// So many of them are shown to policy in one entry.
const SHOWN_TOGETHER: usize = 64;

/// Messages that were aside, and where they go.
pub(crate) struct Rebound {
    rebind: Arc<Rebind>,
    items: Vec<(MessageId, QueueName, Option<Announced>)>,
}

/// The moves that operators ordered, one after the other, a part of one queue at a time.
#[derive(Default)]
pub(crate) struct Rebinds {
    waiting: VecDeque<Job>,
    /// A part is aside: the next one waits until it is back.
    busy: bool,
    /// What is done with that part.
    current: Option<Arc<Rebind>>,
}

struct Job {
    rebind: Arc<Rebind>,
    /// Queues, and how many of their messages have not been looked at.
    queues: VecDeque<(QueueName, usize)>,
}

impl Driver {
    /// Messages that are there now are to be moved.
    pub(crate) fn begin_rebind(&mut self, now: Timestamp, rebind: Arc<Rebind>) {
        let meant = self.queues.names().filter(|queue| rebind.criteria.fit(queue));
        let count = |queue: &QueueName| {
            self.queues.status(queue, now).map_or(0, |status| status.scheduled + status.ready + status.in_flight)
        };
        let queues: VecDeque<_> =
            meant.map(|queue| (queue.clone(), count(queue))).filter(|(_, count)| *count > 0).collect();
        self.rebinds.waiting.push_back(Job { rebind, queues });
    }

    /// Takes the next part aside, if none is.
    pub(crate) fn go_on_rebinding(&mut self, now: Timestamp, actions: &mut Vec<Action<MessageId>>) {
        if self.rebinds.busy || self.closed || self.writer.is_behind() {
            return;
        }
        while let Some(job) = self.rebinds.waiting.front_mut() {
            let Some((queue, left)) = job.queues.front_mut() else {
                self.rebinds.waiting.pop_front();
                continue;
            };
            let limit = (*left).min(TOGETHER);
            *left -= limit;
            let queue = queue.clone();
            if *left == 0 {
                job.queues.pop_front();
            }
            self.rebinds.busy = true;
            self.rebinds.current = Some(job.rebind.clone());
            self.queues.step(now, Event::Take { queue, limit }, actions);
            return;
        }
    }

    /// A part is aside: policy or the operator's data say where it goes.
    pub(crate) fn rebind_taken(&mut self, queue: QueueName, items: Vec<MessageId>) {
        let Some(rebind) = self.rebinds.current.clone().filter(|_| !items.is_empty()) else {
            self.rebinds.busy = false;
            self.again.push(Event::Tick);
            return;
        };
        let task = self.shared.clone();
        let name = format!("rebind of {queue}");
        self.shared.options.supervisor.spawn(name, async move {
            let stays = items.iter().map(|item| (*item, queue.clone(), None)).collect();
            let rebound = survive("a rebind", task.rebind(queue, rebind.clone(), items)).await;
            // Whatever happens, they must not stay aside.
            let rebound = rebound.unwrap_or(Rebound { rebind, items: stays });
            task.tell(News::Rebound(rebound)).await;
        });
    }

    /// A part is back.
    pub(crate) fn rebound(&mut self, now: Timestamp, rebound: Rebound, actions: &mut Vec<Action<MessageId>>) {
        let Rebound { rebind, items } = rebound;
        let note = (!rebind.silent).then(|| rebind.reason.clone());
        for (item, to, config) in items {
            if let Some(config) = config {
                self.announce(now, &to, config, actions);
            }
            self.heed_orders(now, &to, actions);
            if let Some(message) = self.shared.messages.get(item) {
                self.hear_schedule(now, &message, actions);
            }
            let note = note.clone();
            self.queues.step(now, Event::Rebound { item, to, note, flush: rebind.flush }, actions);
        }
        self.rebinds.busy = false;
    }
}

/// Changes what a message says of where it goes.
fn apply(what: &Transfer, message: &Message) {
    match what {
        Transfer::To(node) => transfer::send_off(message, node),
        // What is there without having been sent off was put there by a script: it belongs there.
        Transfer::Back => {
            transfer::call_back(message);
        }
    }
}

impl Shared {
    async fn rebind(&self, from: QueueName, rebind: Arc<Rebind>, items: Vec<MessageId>) -> Rebound {
        let messages: Vec<Option<Message>> = items.iter().map(|item| self.messages.get(*item)).collect();
        let shown: Vec<&Message> = messages.iter().flatten().collect();
        if let Some(transfer) = &rebind.transfer {
            shown.iter().for_each(|message| apply(transfer, message));
        } else if rebind.ask_policy {
            self.show_to_policy(&shown, &rebind).await;
        } else {
            for message in &shown {
                rebind.data.iter().for_each(|(name, value)| message.set_meta(name, value.clone()));
            }
        }
        let mut moved = Vec::with_capacity(items.len());
        for (item, message) in items.into_iter().zip(messages) {
            let (to, config) = self.place_of(message.as_ref(), &from).await;
            if let (Some(Transfer::To(node)), Some(message)) = (&rebind.transfer, &message)
                && to != node.queue()
            {
                // What is not done is not half done: the next failure would move it there.
                transfer::call_back(message);
            }
            moved.push((item, to, config));
        }
        Rebound { rebind, items: moved }
    }

    async fn show_to_policy(&self, messages: &[&Message], rebind: &Rebind) {
        if !self.options.policy.handles(EVENT) {
            return tracing::error!("messages stay where they are: nobody handles {EVENT}");
        }
        for chunk in messages.chunks(SHOWN_TOGETHER) {
            let data = serde_json::Value::Object(rebind.data.clone());
            let args = chunk.iter().map(|message| vec![Value::Message((*message).clone()), Value::Json(data.clone())]);
            let asked = survive(EVENT, self.options.policy.call_each(EVENT, args.collect())).await;
            for (message, answer) in chunk.iter().zip(asked.unwrap_or_default()) {
                if let Err(error) = answer {
                    tracing::error!(message = %message.id(), "{EVENT} failed: {error}");
                }
            }
        }
    }

    /// Where a message belongs now. Where that cannot be used, it stays: there it can be delivered.
    async fn place_of(&self, message: Option<&Message>, from: &QueueName) -> (QueueName, Option<Announced>) {
        let stays = |why: &dyn std::fmt::Display| {
            let id = message.map(Message::id).map(|id| id.to_string()).unwrap_or_default();
            tracing::error!(message = id, "not rebound: {why}");
            (from.clone(), None)
        };
        let to = match message.map(Message::queue_name) {
            None => return (from.clone(), None),
            Some(Err(why)) => return stays(&why),
            Some(Ok(to)) => to,
        };
        if to == *from {
            return (to, None);
        }
        if to.is_null() {
            return stays(&"queue null is for messages that come in; bounce these instead");
        }
        match survive("get_queue_config", self.queue_config(&to)).await {
            Some(Ok(config)) => (to, Some(config)),
            Some(Err(error)) => stays(&format_args!("queue {to} cannot be used: {error}")),
            None => stays(&format_args!("queue {to} cannot be used")),
        }
    }
}
