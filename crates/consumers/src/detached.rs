use crate::{Registry, Snapshot, status::ConsumerState};
use std::time::Duration;
use waybill_spool::StoreError;
use waybill_types::{Offset, Timestamp};

/// What becomes of consumers whose hook left the policy: they keep their position for a while.
#[derive(Clone)]
pub struct Detached {
    registry: Registry,
    max_age: Duration,
}

impl Detached {
    /// They are kept for `max_age`.
    pub fn new(registry: Registry, max_age: Duration) -> Self {
        Detached { registry, max_age }
    }

    /// Marks those that are gone, drops those whose time is over, and returns what is left of them.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn sweep(
        &self,
        configured: &[String],
        visible: Offset,
        now: Timestamp,
    ) -> Result<Vec<Snapshot>, StoreError> {
        let mut kept = Vec::new();
        let dropped = self.registry.dropped().await?;
        for consumer in self.registry.detach_all_but(configured, now).await? {
            let since = consumer.detached.unwrap_or(now);
            if now.since(since) > self.max_age {
                tracing::warn!(hook = consumer.name, "detached longer than max_age; its position is dropped");
                self.registry.forget(&consumer.name).await?;
                continue;
            }
            kept.push(Snapshot {
                lag_events: visible.0.saturating_sub(consumer.cursor.0) + consumer.rows,
                letters: consumer.letters,
                dead_letters: consumer.letters.kept(dropped.get(&consumer.name).copied().unwrap_or(0)),
                name: consumer.name,
                state: ConsumerState::Detached,
                lag_seconds: now.since(since).as_secs_f64(),
                in_flight: 0,
                parked: consumer.rows,
                lanes: Vec::new().into(),
                redriving: false,
                attempts: 0,
                progress: None,
                last_response: None,
            });
        }
        Ok(kept)
    }
}
