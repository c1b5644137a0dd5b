use super::args::ReplayArgs;
use super::list::HookStatus;
use crate::client::{AdminClient, ClientError};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Between two looks at how far something is.
pub(super) const LOOK: Duration = Duration::from_millis(500);

#[derive(Deserialize)]
struct Started {
    name: String,
    from: u64,
    until: u64,
}

/// Starts a replay, and shows how far it is until it is done.
pub(super) async fn replay(client: &AdminClient, wanted: &ReplayArgs) -> anyhow::Result<String> {
    let started: Started = client.post(&super::path(&wanted.name, "/replay"), &body(wanted)).await?;
    let Started { name, from, until } = started;
    if wanted.detach {
        return Ok(format!("{name} sends offsets {from} to {until} again; see `waybill hooks list`\n"));
    }
    let total = until.saturating_sub(from);
    let progress = Progress::new(&name, total);
    loop {
        tokio::time::sleep(LOOK).await;
        match client.get::<HookStatus>(&super::path(&name, "")).await {
            Ok(status) if status.is_paused() => {
                progress.end();
                return Ok(format!(
                    "{name} is paused, {}: it goes on after `waybill hooks resume {name}`\n",
                    to_go(&status)
                ));
            }
            Ok(status) => {
                progress.show(done(total, &status), &to_go(&status));
            }
            // It is not there any more: that is its end. A conflict is one that ends at this moment.
            Err(ClientError::Status { status, .. }) if matches!(status.as_u16(), 404 | 409) => {
                progress.end();
                return Ok(format!("{name} is done: offsets {from} to {until} were sent again\n"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many of the offsets are behind it: a replay lags by what it has not read, and by what it has not delivered yet.
fn done(total: u64, status: &HookStatus) -> u64 {
    total.saturating_sub(status.lag_events)
}

fn to_go(status: &HookStatus) -> String {
    format!("{} to go, {} of them parked", status.lag_events, status.parked)
}

fn body(wanted: &ReplayArgs) -> Value {
    let mut body = json!({ "kinds": wanted.kinds });
    let mut set = |field: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[field] = value;
        }
    };
    set("last", wanted.last.map(Value::from));
    set("since", wanted.since.as_deref().map(Value::from));
    set("from", wanted.from.map(Value::from));
    set("before", wanted.before.as_deref().map(Value::from));
    body
}

/// A bar on the terminal; nothing where nobody looks.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Of something that is done when this much is.
    pub(super) fn new(what: &str, total: u64) -> Self {
        let bar = ProgressBar::new(total);
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent} % {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(crate::show::printable(what));
        Progress(bar)
    }

    pub(super) fn show(&self, done: u64, more: &str) {
        self.0.set_message(more.to_owned());
        self.0.set_position(done);
        self.0.tick();
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_and_not_delivered_is_still_to_go() {
        let status = |lag: u64, parked: u64| {
            let status = json!({"name": "webhook@replay-1", "state": "replay", "lag_events": lag, "lag_seconds": 1.0,
                                "in_flight": 0, "parked": parked, "dead_letters": 0, "progress": 1.0});
            serde_json::from_value::<HookStatus>(status).unwrap()
        };
        assert_eq!(done(20, &status(20, 0)), 0);
        assert_eq!(done(20, &status(15, 15)), 5);
        assert_eq!(to_go(&status(15, 15)), "15 to go, 15 of them parked");
        assert_eq!(done(20, &status(0, 0)), 20);
        assert_eq!(done(20, &status(21, 0)), 0, "a daemon that says more than there is");
    }

    #[test]
    fn only_what_was_named_is_asked_for() {
        let wanted = ReplayArgs {
            name: "webhook".into(),
            last: Some(1000),
            since: None,
            from: None,
            before: Some("5m".into()),
            kinds: vec!["Bounce".into()],
            detach: false,
        };
        assert_eq!(body(&wanted), json!({"kinds": ["Bounce"], "last": 1000, "before": "5m"}));
    }
}
