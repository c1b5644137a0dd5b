use crate::driver::Driver;
use std::sync::Arc;
use waybill_queue_core::queues::{Action, Event, SessionId};
use waybill_ready::Watched;
use waybill_types::{MessageId, QueueName, ReadyQueueName, Response};

impl Driver {
    /// Does what was decided, after it was stored.
    pub(crate) fn perform(&mut self, actions: Vec<Action<MessageId>>) {
        let mut asked = Vec::new();
        for action in actions {
            match action {
                Action::ResolveRoute { queue } if !self.closed => {
                    let task = self.shared.clone();
                    let name = format!("route of {queue}");
                    self.shared.options.supervisor.spawn(name, async move { task.resolve(queue).await });
                }
                Action::AskBeforeReady { item, .. } => asked.push(item),
                Action::Taken { queue, items } => self.rebind_taken(queue, items),
                Action::WakeAt(at) => self.wake = Some(at),
                Action::Open { queue, session, representative } => self.open(&queue, session, representative),
                Action::Hand { session, items, .. } => self.hand(session, items),
                Action::Close { session } => {
                    if !self.shared.sessions.close(session) {
                        self.again.push(Event::Closed { session });
                    }
                }
                Action::Forgotten { queue } => {
                    self.shared.configs.forget(&queue);
                    self.orders.forget(&queue);
                    self.shared.stats.forget_scheduled(&queue);
                    let (queues, now) = (&self.queues, self.shared.options.clock.now());
                    self.ways.forget(&queue, |name| queues.ready_status(name, now).is_some());
                }
                Action::ReadyForgotten { queue } => {
                    self.ways.ready_queue_gone(&queue);
                    // Made anew in the same turn, it goes on counting.
                    if self.queues.ready_status(&queue, self.shared.options.clock.now()).is_none() {
                        self.shared.stats.forget(&queue);
                    }
                }
                Action::Stopped => self.stopped = true,
                Action::ResolveRoute { .. } => {}
                // These three were stored before.
                Action::Log { .. } | Action::Save { .. } | Action::Remove { .. } => {}
                // The turn asked.
                Action::AskBeforeReturn { .. } => {}
            }
        }
        if !asked.is_empty() && !self.closed {
            let task = self.shared.clone();
            let supervisor = &self.shared.options.supervisor;
            supervisor.spawn("throttle_insert_ready_queue", async move { task.ask_before_ready(asked).await });
        }
    }

    fn open(&mut self, queue: &ReadyQueueName, session: SessionId, representative: QueueName) {
        if self.closed {
            return self.again.push(Event::Closed { session });
        }
        match self.ways.get(queue) {
            Some(path) => {
                let (route, board) = (path.route.clone(), self.shared.board.clone());
                let route = Arc::new(Watched { route, board, number: session, patience: path.patience });
                self.shared.sessions.open(session, route, representative, path.watchdog);
            }
            None => {
                // As an attempt: a session that is simply gone would be opened again at once, for ever.
                let response = Response::new(451, format!("4.4.4 KumoMTA internal: no route for ready queue {queue}"));
                tracing::error!(%queue, "there is no route for a ready queue that has messages");
                self.again.push(Event::SessionFailed { session, response });
            }
        }
    }

    fn hand(&mut self, session: SessionId, items: Vec<MessageId>) {
        if self.closed {
            // Nobody could remember what becomes of it.
            self.shared.sessions.close(session);
            self.again.push(Event::Closed { session });
        } else if !self.shared.sessions.hand(session, items) {
            self.again.push(Event::Closed { session });
        }
    }
}
