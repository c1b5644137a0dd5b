use super::args::RedriveArgs;
use super::list::HookStatus;
use super::replay::Progress;
use crate::client::AdminClient;
use crate::show::{cut, plain_table, printable};
use serde::Deserialize;
use serde_json::{Value, json};

/// A longer text is cut in the table; `--json` shows all of it.
const TEXT_WIDTH: usize = 60;
/// What is asked for at a time.
const PAGE: usize = 500;

#[derive(Deserialize)]
struct Page {
    dead_letters: Vec<Value>,
    #[serde(default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Letter {
    offset: u64,
    at: String,
    reason: String,
    text: String,
    attempts: u64,
    #[serde(default)]
    record: Value,
}

/// Dead letters, as a table or as JSON.
pub(super) async fn list(client: &AdminClient, name: &str, limit: usize, json: bool) -> anyhow::Result<String> {
    let mut letters = Vec::new();
    let mut after = String::new();
    while letters.len() < limit {
        let page = (limit - letters.len()).min(PAGE);
        let path = super::path(name, &format!("/dead-letters?limit={page}{after}"));
        let Page { dead_letters, next } = client.get(&path).await?;
        letters.extend(dead_letters);
        match next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    if json {
        return Ok(format!("{:#}\n", Value::Array(letters)));
    }
    if letters.is_empty() {
        return Ok(format!("no dead letters of {name}\n"));
    }
    let letters: Vec<Letter> = letters.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
    Ok(table(&letters))
}

fn table(letters: &[Letter]) -> String {
    let rows = letters.iter().map(|letter| {
        let of_record = |field: &str| printable(letter.record[field].as_str().unwrap_or("-"));
        vec![
            letter.offset.to_string(),
            printable(&letter.at),
            of_record("type"),
            of_record("recipient"),
            printable(&letter.reason),
            letter.attempts.to_string(),
            cut(printable(&letter.text), TEXT_WIDTH),
        ]
    });
    plain_table(&["OFFSET", "SINCE", "EVENT", "RECIPIENT", "REASON", "ATTEMPTS", "TEXT"], 5..=5, rows)
}

/// Has dead letters tried again, and shows how far that is.
pub(super) async fn redrive(client: &AdminClient, wanted: &RedriveArgs) -> anyhow::Result<String> {
    let name = &wanted.name;
    let mut body = json!({});
    if let Some(reason) = &wanted.reason {
        body["reason"] = reason.as_str().into();
    }
    if let Some(offset) = wanted.offset {
        body["offset"] = offset.into();
    }
    let before = client.get::<HookStatus>(&super::path(name, "")).await?.dead_letters;
    client.post::<Value, Value>(&super::path(name, "/redrive"), &body).await?;
    if wanted.detach {
        return Ok(format!("dead letters of {name} are tried again; see `waybill hooks status {name}`\n"));
    }
    let progress = Progress::new(&format!("dead letters of {name}"), before);
    // What is left then failed again, or was not meant. Other events of the hook may be in flight all the time.
    loop {
        tokio::time::sleep(super::replay::LOOK).await;
        let status: HookStatus = client.get(&super::path(name, "")).await?;
        progress.show(before.saturating_sub(status.dead_letters), &format!("{} left", status.dead_letters));
        if !status.redriving {
            progress.end();
            return Ok(format!("{} dead letters of {name} are left\n", status.dead_letters));
        }
        if status.is_paused() {
            progress.end();
            return Ok(format!(
                "{name} is paused: its dead letters are tried again once `waybill hooks resume {name}` has it go on\n"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_a_line() {
        let letter = |record: Value| Letter {
            offset: 7,
            at: "2026-11-25T08:00:00Z".into(),
            reason: "permanent".into(),
            text: "404 Not Found:\n".into(),
            attempts: 1,
            record,
        };
        let text = table(&[letter(json!({"type": "Bounce", "recipient": "a@b"})), letter(Value::Null)]);
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "OFFSET SINCE EVENT RECIPIENT REASON ATTEMPTS TEXT",
                "7 2026-11-25T08:00:00Z Bounce a@b permanent 1 404 Not Found:",
                "7 2026-11-25T08:00:00Z - - permanent 1 404 Not Found:",
            ]
        );
    }
}
