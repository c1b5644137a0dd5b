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
    let progress = Progress::new(&name);
    loop {
        tokio::time::sleep(LOOK).await;
        match client.get::<HookStatus>(&super::path(&name, "")).await {
            Ok(status) => {
                let share = status.progress.unwrap_or(0.0) * 100.0;
                let parked = status.parked;
                progress
                    .say(&format!("{share:.0} % read, {} to be delivered, {parked} of them parked", status.lag_events));
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

/// A line on the terminal that changes; nothing where nobody looks.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(what: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(crate::show::printable(what));
        Progress(bar)
    }

    pub(super) fn say(&self, how_far: &str) {
        self.0.set_message(how_far.to_owned());
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
