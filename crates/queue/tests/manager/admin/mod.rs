//! Operators' orders, moves and questions.

mod bounce;
mod crash;
mod inspect;
mod rebind;
mod suspend;

use crate::support::{Bench, until, within};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use std::sync::Arc;
use waybill_admin::Admin;
use waybill_runtime::Clock;
use waybill_types::{MessageId, QueueName, ReadyQueueName};

/// The orders over this bench's manager.
pub(crate) async fn admin(bench: &Bench) -> Admin {
    let clock = bench.clock.clone();
    let admin = Admin::new(Arc::new(move || clock.now()));
    admin.add(Arc::new(bench.manager.clone())).await;
    admin
}

pub(crate) fn request<T: DeserializeOwned>(json: Json) -> T {
    serde_json::from_value(json).unwrap()
}

/// The ids of the messages that a scheduled queue shows, in any state.
async fn members(admin: &Admin, queue: &str) -> Vec<MessageId> {
    let query = waybill_admin::ScheduledQuery { queue: QueueName::new(queue), want_body: false, limit: None };
    let view = admin.inspect_scheduled(query).await;
    view.map(|view| view.messages.iter().map(|message| message.id).collect()).unwrap_or_default()
}

/// Waits until the only session to `a.example` has a batch, and so many messages wait behind it.
async fn held(admin: &Admin, ready: usize) {
    let name = ReadyQueueName::new("unspecified->a.example@lua:make.test");
    within(async {
        loop {
            let view = admin.inspect_ready(name.clone(), false).await;
            let fits = |view: &waybill_admin::ReadyView| {
                let delivers = view.dispatchers.first().is_some_and(|session| session.phase == "deliver_message");
                delivers && view.state.ready_count == ready
            };
            if view.is_some_and(|view| fits(&view)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Waits until nothing is in memory any more.
async fn empty(bench: &Bench) {
    let stats = bench.manager.stats().clone();
    until(move || stats.messages.load(std::sync::atomic::Ordering::Relaxed) == 0).await;
}
