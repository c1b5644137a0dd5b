//! The one task that changes a log. It runs while there is something to do.

use super::publishing::{Group, Publish, Stored};
use super::sweeping::Sweep;
use super::{UserLog, failed, stopping};
use std::collections::VecDeque;
use tokio::sync::oneshot;
use waybill_spool::StoreError;
use waybill_streams_core::{Code, Error, Message};

/// Messages and bytes that one batch takes together: publishes that come while one is being stored share the next.
const GROUP_MESSAGES: usize = 4_096;
const GROUP_BYTES: usize = 8 << 20;

pub(super) enum Order {
    Publish { publish: Publish, answer: Answer },
    Sweep(Sweep),
    Close(oneshot::Sender<()>),
}

type Answer = oneshot::Sender<Result<Stored, Error>>;

/// What waits. Its length is bounded by the requests that wait for an answer.
#[derive(Default)]
pub(super) struct Queue {
    orders: VecDeque<Order>,
    running: bool,
    ended: Option<Ended>,
}

/// Why nothing is done any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The log was deleted.
    Closed,
    /// The store is closed or damaged: nobody knows where the log stands.
    Lost,
}

/// One publish within a batch.
pub(super) struct Published {
    pub(super) publish: Publish,
    answer: Answer,
}

impl UserLog {
    pub(super) fn order(&self, order: Order) {
        let mut queue = self.0.queue.lock();
        if let Some(ended) = queue.ended {
            refuse(order, ended);
            return;
        }
        queue.orders.push_back(order);
        if !queue.running {
            queue.running = true;
            let log = self.clone();
            let name = format!("writer of {}", self.0.log.read().log_id);
            self.0.ground.supervisor.spawn(name, async move { log.work().await });
        }
    }

    async fn work(self) {
        while let Some(order) = self.take() {
            let ended = match order {
                Order::Publish { publish, answer } => {
                    let mut group = vec![Published { publish, answer }];
                    self.join_in(&mut group);
                    self.write_group(group).await.err()
                }
                Order::Sweep(sweep) => match self.sweep_page(sweep).await {
                    Ok(None) => None,
                    Ok(Some(rest)) => {
                        // Behind what came meanwhile: nobody waits for more than one page of it.
                        self.0.queue.lock().orders.push_back(Order::Sweep(rest));
                        None
                    }
                    Err(error) => Some(error),
                },
                Order::Close(answer) => {
                    self.give_up(Ended::Closed);
                    let _ = answer.send(());
                    None
                }
            };
            match ended {
                Some(StoreError::Closed | StoreError::Damaged(_)) => self.give_up(Ended::Lost),
                Some(StoreError::Failed(_)) | None => {}
            }
        }
    }

    fn take(&self) -> Option<Order> {
        let mut queue = self.0.queue.lock();
        let order = queue.orders.pop_front();
        queue.running = order.is_some();
        order
    }

    /// Takes the publishes that wait at the front, as far as they fit into one batch.
    fn join_in(&self, group: &mut Vec<Published>) {
        let weigh = |messages: &[Message]| messages.iter().map(Message::weight).sum::<usize>();
        let mut messages: usize = group.iter().map(|one| one.publish.messages.len()).sum();
        let mut bytes: usize = group.iter().map(|one| weigh(&one.publish.messages)).sum();
        let mut queue = self.0.queue.lock();
        while let Some(Order::Publish { publish: next, .. }) = queue.orders.front() {
            messages += next.messages.len();
            bytes += weigh(&next.messages);
            if messages > GROUP_MESSAGES || bytes > GROUP_BYTES {
                return;
            }
            if let Some(Order::Publish { publish, answer }) = queue.orders.pop_front() {
                group.push(Published { publish, answer });
            }
        }
    }

    /// Writes a group. The next one need not wait until the disk has it.
    async fn write_group(&self, group: Vec<Published>) -> Result<(), StoreError> {
        let written = self.write_messages(&group).await;
        let answers = group.into_iter().map(|one| one.answer).collect();
        match written {
            Ok(written) => {
                let (log, name) = (self.clone(), format!("publishers of {}", self.0.log.read().log_id));
                self.0.ground.supervisor.spawn(name, async move { log.settle(written, answers).await });
                Ok(())
            }
            Err(error) => {
                fail(answers, &error);
                Err(error)
            }
        }
    }

    /// Waits for the disk; then readers see the messages, and their publishers are told.
    async fn settle(&self, group: Group, answers: Vec<Answer>) {
        let Group { results, end, synced } = group;
        if let Err(error) = synced.await {
            // Nobody knows what of it a restart will find.
            self.give_up(Ended::Lost);
            return fail(answers, &error);
        }
        // Where a later group was first, this one is on the disk with it.
        self.0.end.send_if_modified(|shown| {
            let moves = *shown < end;
            *shown = end.max(*shown);
            moves
        });
        for (answer, result) in answers.into_iter().zip(results) {
            // Who hung up does not want to know.
            let _ = answer.send(result);
        }
    }

    /// Nothing is done any more; whoever waits is told.
    fn give_up(&self, ended: Ended) {
        let mut queue = self.0.queue.lock();
        queue.ended = Some(ended);
        queue.orders.drain(..).for_each(|order| refuse(order, ended));
    }
}

fn fail(answers: Vec<Answer>, error: &StoreError) {
    for answer in answers {
        let _ = answer.send(Err(failed(error)));
    }
}

fn refuse(order: Order, ended: Ended) {
    let why = || match ended {
        Ended::Closed => Error::new(Code::LogNotFound, "the log was deleted"),
        Ended::Lost => stopping(),
    };
    // Who hung up does not want to know.
    match order {
        Order::Publish { answer, .. } => drop(answer.send(Err(why()))),
        Order::Sweep(sweep) => sweep.answer(Err(why())),
        Order::Close(answer) => drop(answer.send(())),
    }
}
