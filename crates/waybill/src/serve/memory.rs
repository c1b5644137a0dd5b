//! No mail is taken while the process holds more memory than its soft limit.

use super::daemon::Common;
use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;
use waybill_http_api::Metrics;
use waybill_runtime::{MemoryLimits, Stop, Supervisor, resident_memory};

/// Between two looks.
const CHECK: Duration = Duration::from_secs(1);

/// The limits that the environment gives; policy may set others.
pub(super) fn limits() -> Result<Arc<MemoryLimits>> {
    let limits = MemoryLimits::of_this_machine();
    let from = |variable| Ok::<_, anyhow::Error>(super::number(variable)?.map(|bytes| bytes as u64));
    limits.set_hard(from("KUMOD_MEMORY_HARD_LIMIT")?);
    limits.set_soft(from("KUMOD_MEMORY_SOFT_LIMIT")?);
    Ok(Arc::new(limits))
}

/// Looks once before it is done, so that a limit that is broken already counts for the first client.
pub(super) fn watch(common: &Common, limits: Arc<MemoryLimits>, tasks: &Supervisor, stop: &Stop) {
    let (late, mut stop) = (common.late.clone(), stop.clone());
    let look = move || {
        let over = resident_memory().zip(limits.soft()).filter(|(held, soft)| held > soft);
        late.set_shedding(over);
    };
    look();
    tasks.spawn("memory", async move {
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = tokio::time::sleep(CHECK) => look(),
            }
        }
    });
}

/// Shows the limits as they are when somebody asks.
pub(super) fn show(metrics: &Metrics, limits: Arc<MemoryLimits>) {
    let shown = metrics.memory.clone();
    metrics.on_scrape(Box::new(move || {
        for (gauge, limit) in [(&shown.limit, limits.soft()), (&shown.low_thresh, limits.low_thresh())] {
            gauge.set(limit.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(i64::MAX));
        }
    }));
}
