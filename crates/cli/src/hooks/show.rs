use super::list::{HookStatus, age};
use crate::client::AdminClient;
use crate::show::{plain_table, printable};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A hook as `GET /api/hooks/v1/NAME` shows it.
#[derive(Deserialize)]
struct Shown {
    #[serde(flatten)]
    status: HookStatus,
    cursor: u64,
    read: u64,
    lanes: Vec<Lane>,
    responses: Map<String, Value>,
    #[serde(default)]
    latency: Option<Latency>,
}

#[derive(Deserialize)]
struct Latency {
    events: u64,
    p50_seconds: f64,
    p99_seconds: f64,
}

#[derive(Deserialize)]
struct Lane {
    lane: String,
    waiting: u64,
    in_flight: u64,
    parked: u64,
    failing: bool,
    suspended: bool,
}

/// One hook, as text or as the daemon's JSON.
pub(super) async fn show(client: &AdminClient, name: &str, json: bool) -> anyhow::Result<String> {
    let shown: Value = client.get(&super::path(name, "")).await?;
    if json {
        return Ok(format!("{shown:#}\n"));
    }
    Ok(text(&serde_json::from_value(shown)?))
}

fn text(shown: &Shown) -> String {
    let Shown { status, cursor, read, lanes, responses, latency } = shown;
    let responses: Vec<String> = responses
        .iter()
        .filter(|(_, count)| count.as_u64() != Some(0))
        .map(|(class, count)| format!("{} {count}", printable(class)))
        .collect();
    let mut lines = vec![
        format!("hook           {} ({})", printable(&status.name), printable(&status.state)),
        format!("lag            {} events, the oldest {} old", status.lag_events, age(status.lag_seconds)),
        format!("journal        read to {read}, settled or on disk to {cursor}"),
        format!("dead letters   {}", status.dead_letters),
        format!("responses      {}", if responses.is_empty() { "none yet".to_owned() } else { responses.join(", ") }),
    ];
    if let Some(Latency { events, p50_seconds, p99_seconds }) = latency {
        let (half, most) = (bound(*p50_seconds), bound(*p99_seconds));
        lines.push(format!("latency        of {events} events half within {half}, 99 in 100 within {most}"));
    }
    if let Some(progress) = status.progress {
        lines.push(format!("progress       {:.0} %", progress * 100.0));
    }
    if let (Some(response), Some(at)) = (&status.last_response, &status.last_response_at) {
        lines.push(format!("last response  {} at {}", printable(response), printable(at)));
    }
    let mut text = lines.join("\n") + "\n";
    if !lanes.is_empty() {
        let rows = lanes.iter().map(|lane| {
            let state = match (lane.suspended, lane.failing) {
                (true, _) => "suspended",
                (false, true) => "failing",
                (false, false) => "flowing",
            };
            let numbers = [lane.waiting, lane.in_flight, lane.parked].map(|number| number.to_string());
            let [waiting, in_flight, parked] = numbers;
            vec![printable(&lane.lane), state.to_owned(), waiting, in_flight, parked]
        });
        text.push('\n');
        text.push_str(&plain_table(&["LANE", "STATE", "WAITING", "IN FLIGHT", "PARKED"], 2..=4, rows));
    }
    text
}

/// An upper bound of a bucket of time.
fn bound(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0}ms", seconds * 1000.0) } else { age(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hook_is_shown_with_its_lanes() {
        let shown = json!({
            "name": "webhook", "state": "active", "lag_events": 12, "lag_seconds": 61.0, "in_flight": 1, "parked": 9,
            "dead_letters": 2, "last_response": "503 busy\n", "last_response_at": "2026-11-25T08:00:00Z",
            "cursor": 100, "read": 112, "responses": {"2xx": 5, "4xx": 0, "5xx": 3},
            "latency": {"events": 5, "p50_seconds": 0.025, "p99_seconds": 300.0},
            "lanes": [
                {"lane": "t1.log_hook", "waiting": 2, "in_flight": 1, "parked": 9, "failing": true, "suspended": false},
                {"lane": "t2.log_hook", "waiting": 0, "in_flight": 0, "parked": 0, "failing": false, "suspended": false},
            ],
        });
        let text = text(&serde_json::from_value(shown).unwrap());
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "hook webhook (active)",
                "lag 12 events, the oldest 1m 1s old",
                "journal read to 112, settled or on disk to 100",
                "dead letters 2",
                "responses 2xx 5, 5xx 3",
                "latency of 5 events half within 25ms, 99 in 100 within 5m 0s",
                "last response 503 busy at 2026-11-25T08:00:00Z",
                "",
                "LANE STATE WAITING IN FLIGHT PARKED",
                "t1.log_hook failing 2 1 9",
                "t2.log_hook flowing 0 0 0",
            ]
        );
    }
}
