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
    let before = dead_letters(client, &wanted.name).await;
    let started: Started = client.post(&super::path(&wanted.name, "/replay"), &body(wanted)).await?;
    let Started { name, from, until } = started;
    let part = part(from, until, &wanted.kinds);
    if wanted.detach {
        return Ok(format!("{name} sends {part} again; see `waybill hooks list`\n"));
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
                let given_up = given_up(&wanted.name, before, dead_letters(client, &wanted.name).await);
                return Ok(format!("{name} is done: {part} were sent again\n{given_up}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many there are, for whoever may look.
async fn dead_letters(client: &AdminClient, hook: &str) -> Option<u64> {
    client.get::<HookStatus>(&super::path(hook, "")).await.ok().map(|status| status.dead_letters)
}

/// That something is sent does not mean that it is taken: what is refused is left with the hook.
fn given_up(hook: &str, before: Option<u64>, after: Option<u64>) -> String {
    match after.zip(before).map(|(after, before)| after.saturating_sub(before)) {
        None | Some(0) => String::new(),
        Some(1) => format!("{hook} has a dead letter more than before; see `waybill hooks dead-letters {hook}`\n"),
        Some(more) => {
            format!("{hook} has {more} dead letters more than before; see `waybill hooks dead-letters {hook}`\n")
        }
    }
}

/// What a replay is about. Of some kinds there may be no event at all in its range.
fn part(from: u64, until: u64, kinds: &[String]) -> String {
    match kinds {
        [] => format!("offsets {from} to {until}"),
        kinds => format!("those of offsets {from} to {until} that are {}", kinds.join(" or ")),
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
    fn what_was_not_asked_for_is_not_said_to_be_sent() {
        assert_eq!(part(2, 9, &[]), "offsets 2 to 9");
        let kinds = ["Bounce", "Expiration"].map(str::to_owned);
        assert_eq!(part(2, 9, &kinds), "those of offsets 2 to 9 that are Bounce or Expiration");
    }

    #[test]
    fn what_was_given_up_meanwhile_is_told() {
        for (before, after) in [(None, Some(3)), (Some(3), None), (Some(3), Some(3)), (Some(3), Some(1))] {
            assert_eq!(given_up("webhook", before, after), "");
        }
        let told = |after| given_up("webhook", Some(3), Some(after));
        assert_eq!(told(4), "webhook has a dead letter more than before; see `waybill hooks dead-letters webhook`\n");
        assert!(told(5).starts_with("webhook has 2 dead letters more than before; "), "{}", told(5));
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
