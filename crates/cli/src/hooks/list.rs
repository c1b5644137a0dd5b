use crate::client::AdminClient;
use crate::show::{cut, plain_table, printable};
use serde::Deserialize;

/// A longer answer of an endpoint is cut in the table; `--json` shows all of it.
const RESPONSE_WIDTH: usize = 60;

/// A hook as `GET /api/hooks/v1` shows it. Members that a later daemon adds are ignored.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub struct HookStatus {
    /// Its name.
    pub name: String,
    /// `active`, `paused`, `replay`, or `detached` when the policy no longer has it.
    pub state: String,
    /// Events that it has not settled.
    pub lag_events: u64,
    /// Age of the oldest of them.
    pub lag_seconds: f64,
    /// Events on their way to the endpoint.
    pub in_flight: u64,
    /// Events that wait on disk for their next try.
    pub parked: u64,
    /// Events given up and kept.
    pub dead_letters: u64,
    /// They are being tried again.
    #[serde(default)]
    pub redriving: bool,
    /// What the endpoint last said.
    #[serde(default)]
    pub last_response: Option<String>,
    /// When (RFC 3339).
    #[serde(default)]
    pub last_response_at: Option<String>,
    /// Of a replay: how much of its part of the journal is settled, from 0 to 1.
    #[serde(default)]
    pub progress: Option<f64>,
}

impl HookStatus {
    /// Whether it sends a part of the journal again.
    pub(super) fn is_replay(&self) -> bool {
        self.progress.is_some()
    }

    /// Whether it rests until somebody resumes it: whoever waits for what it does would wait for that.
    pub(super) fn is_paused(&self) -> bool {
        self.state == "paused"
    }
}

/// The hooks of the daemon, as a table or as its JSON.
pub(crate) async fn list(client: &AdminClient, json: bool) -> anyhow::Result<String> {
    const PATH: &str = "/api/hooks/v1";
    if json {
        let all: serde_json::Value = client.get(PATH).await?;
        return Ok(format!("{all:#}\n"));
    }
    let hooks: Vec<HookStatus> = client.get(PATH).await?;
    if hooks.is_empty() {
        return Ok("no hooks: the policy configures none (see kumo.configure_log_hook)\n".to_owned());
    }
    Ok(table(&hooks))
}

fn table(hooks: &[HookStatus]) -> String {
    let rows = hooks.iter().map(|hook| {
        let response = hook.last_response.as_deref().map_or("-", telling);
        let state = match hook.progress {
            Some(progress) => format!("{} {:.0}%", printable(&hook.state), progress * 100.0),
            None => printable(&hook.state),
        };
        vec![
            printable(&hook.name),
            state,
            hook.lag_events.to_string(),
            age(hook.lag_seconds),
            hook.in_flight.to_string(),
            hook.parked.to_string(),
            hook.dead_letters.to_string(),
            cut(printable(response), RESPONSE_WIDTH),
            printable(hook.last_response_at.as_deref().unwrap_or("-")),
        ]
    });
    plain_table(&["HOOK", "STATE", "LAG", "OLDEST", "IN FLIGHT", "PARKED", "DEAD", "LAST RESPONSE", "AT"], 2..=6, rows)
}

/// Of an error of a script, what went wrong: without the words in front, which are the same for all of them and would
/// fill the column, and without the stack. `--json` shows both.
fn telling(response: &str) -> &str {
    const SAME_FOR_ALL: [&str; 3] = ["400 ", "KumoMTA internal: error in deliver_message: ", "sender:"];
    const FAILED: [&str; 2] = ["send method failed: ", "send_batch method failed: "];
    let mut rest = response;
    for words in SAME_FOR_ALL {
        let Some(behind) = rest.strip_prefix(words) else { return response };
        rest = behind;
    }
    let Some(error) = FAILED.iter().find_map(|words| rest.strip_prefix(words)) else { return response };
    let error = error.split_once(" stack traceback:").map_or(error, |(error, _)| error);
    // Where a request went is known: why it came to nothing is not.
    let cause = error.strip_prefix("error sending request for url (").and_then(|rest| rest.split_once("): "));
    cause.map_or(error, |(_, cause)| cause)
}

/// Seconds in the two largest units: `0.4s`, `12s`, `3m 5s`, `2h 0m`, `4d 6h`.
pub(super) fn age(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{:.1}s", seconds.max(0.0));
    }
    // Whatever a float holds beyond the range of u64 is cut to it.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float-to-int cast saturates")]
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole}s"),
        60..3600 => format!("{}m {}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {}m", whole / 3600, whole % 3600 / 60),
        _ => format!("{}d {}h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_for_eyes() {
        let hook = |name: &str, response: Option<&str>| HookStatus {
            name: name.into(),
            state: "active".into(),
            lag_events: 1204,
            lag_seconds: 185.2,
            in_flight: 10,
            parked: 3,
            dead_letters: 0,
            redriving: false,
            last_response: response.map(Into::into),
            last_response_at: response.map(|_| "2026-11-23T16:12:56Z".into()),
            progress: None,
        };
        let text = table(&[hook("webhook", Some("503 slow\x1b[2J")), hook("x", None)]);
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "HOOK STATE LAG OLDEST IN FLIGHT PARKED DEAD LAST RESPONSE AT",
                "webhook active 1204 3m 5s 10 3 0 503 slow\\u{1b}[2J 2026-11-23T16:12:56Z",
                "x active 1204 3m 5s 10 3 0 - -",
            ]
        );
        let columns: Vec<_> = text.lines().map(|line| line.find("STATE").or_else(|| line.find("active"))).collect();
        assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    }

    #[test]
    fn of_an_error_of_a_script_the_telling_part_is_shown() {
        let refused = "error sending request for url (http://127.0.0.1:1/)";
        for method in ["send", "send_batch"] {
            let response = format!(
                "400 KumoMTA internal: error in deliver_message: sender:{method} method failed: {refused} stack traceback: \t[C]: in method 'send'"
            );
            assert_eq!(telling(&response), refused);
        }
        let why = "client error (Connect): tcp connect error: Connection refused (os error 111)";
        let response = format!(
            "400 KumoMTA internal: error in deliver_message: sender:send method failed: {refused}: {why} stack traceback: \t[C]: in method 'send'"
        );
        assert_eq!(telling(&response), why);
        for whole in
            ["200 OK: thanks", "400 bad request", "400 KumoMTA internal: error in deliver_message: no such thing"]
        {
            assert_eq!(telling(whole), whole);
        }
    }

    #[test]
    fn ages_are_read_at_a_glance() {
        for (seconds, text) in [
            (0.0, "0.0s"),
            (-1.0, "0.0s"),
            (0.44, "0.4s"),
            (12.7, "12s"),
            (185.0, "3m 5s"),
            (7200.0, "2h 0m"),
            (367_200.0, "4d 6h"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }
}
