use crate::client::AdminClient;
use crate::show::{self, Reader, printable};
use crate::streams::call::percent;
use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// The daemon is asked to wait for so long, and then asked again.
const WAIT: Duration = Duration::from_secs(20);
/// Beyond that it still has to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which events are shown.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct TailArgs {
    /// Only events of this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only this event
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// Only events for which this condition in CEL holds
    #[arg(long, value_name = "CEL")]
    filter: Option<String>,
    /// Print each event whole, as a line of JSON
    #[arg(long)]
    json: bool,
    /// End after so many events
    #[arg(long, value_name = "COUNT")]
    count: Option<usize>,
}

#[derive(Deserialize)]
struct Seen {
    data: Vec<Value>,
    next: String,
}

/// Shows events as they happen, until somebody has seen enough.
pub(crate) async fn run(args: TailArgs, client: &AdminClient) -> anyhow::Result<()> {
    let client = client.with_patience(WAIT + PATIENCE);
    let mut fixed = String::new();
    for (name, value) in [("source", &args.source), ("event", &args.event), ("filter", &args.filter)] {
        if let Some(value) = value {
            fixed.push_str(&format!("&{name}={}", percent(value)));
        }
    }
    // The first question only finds the place: events from now on.
    let mut seen: Seen = client.get(&format!("/event-hooks/events?wait=0s{fixed}")).await?;
    let mut left = args.count.unwrap_or(usize::MAX);
    loop {
        let count = seen.data.len().min(left);
        let lines: String = seen.data.iter().take(count).map(|event| line(event, args.json)).collect();
        let reader = show::print_while_read(&lines)?;
        left -= count;
        if left == 0 || reader == Reader::Gone {
            return Ok(());
        }
        let place = percent(&seen.next);
        seen = client.get(&format!("/event-hooks/events?wait={}s&after={place}{fixed}", WAIT.as_secs())).await?;
    }
}

fn line(event: &Value, json: bool) -> String {
    if json {
        // JSON's own escapes leave nothing that could drive a terminal but the second half of Latin-1's controls.
        return printable(&event.to_string()) + "\n";
    }
    let text = |field: &str| printable(event[field].as_str().unwrap_or("-"));
    let data = printable(&brief(&event["data"]));
    format!("{}  {} {}  {data}\n", text("time"), text("source"), text("event"))
}

/// What people look for first.
fn brief(data: &Value) -> String {
    let Some(map) = data.as_object() else { return data.to_string() };
    const FIRST: [&str; 9] =
        ["recipient", "sender", "queue", "response", "endpoint", "last_response", "operation", "schema", "name"];
    let known: Vec<String> = FIRST
        .iter()
        .filter_map(|name| map.get(*name).filter(|value| !value.is_null()).map(|value| (*name, value)))
        .map(|(name, value)| match value {
            Value::Object(inner) if name == "response" => {
                format!(
                    "response={} {}",
                    inner.get("code").unwrap_or(&Value::Null),
                    inner.get("content").unwrap_or(&Value::Null)
                )
            }
            value => format!("{name}={value}"),
        })
        .collect();
    if known.is_empty() { data.to_string() } else { known.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line_whatever_it_holds() {
        let event = json!({
            "time": "2026-11-26T16:00:00Z", "source": "log", "event": "Bounce",
            "data": {"recipient": "a@b\n\u{1b}[31m", "response": {"code": 550, "content": "no\r\nsuch"}, "size": 7},
        });
        let shown = line(&event, false);
        assert!(
            shown.starts_with("2026-11-26T16:00:00Z  log Bounce  recipient=") && shown.contains("response=550"),
            "{shown}"
        );
        assert_eq!((shown.lines().count(), shown.contains('\u{1b}')), (1, false));
        let whole = line(&event, true);
        assert_eq!((whole.lines().count(), serde_json::from_str::<Value>(&whole).unwrap()), (1, event));
    }
}
