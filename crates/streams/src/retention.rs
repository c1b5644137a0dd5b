//! Drops by itself what logs are told to drop.

use crate::egress::Base;
use crate::manager::Streams;
use std::time::Duration;

/// Between two looks at all logs.
const INTERVAL: Duration = Duration::from_secs(5);

/// Looks after all logs until the daemon stops.
pub(crate) fn start(base: &Base, streams: Streams) {
    let mut stop = base.stop.clone();
    base.supervisor.spawn("retention of logs", async move {
        // A restart may have come in the middle of a removal.
        streams.remove_gone().await;
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            for log in streams.user_logs() {
                if stop.is_requested() {
                    return;
                }
                let described = log.log();
                if described.limits.is_nothing() {
                    continue;
                }
                if let Err(error) = log.clean_up(described.limits).await {
                    tracing::error!(log = %described.log_id, "it was not cleaned up: {error}");
                }
            }
        }
    });
}
