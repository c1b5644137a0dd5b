use super::args::InspectSchedQ;
use super::table::{column, table};
use super::{Ctl, with_query};
use crate::show::{cut, printable};
use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// For a large spool on a slow disk. The daemon goes on when we give up.
const COMPACTION: Duration = Duration::from_secs(24 * 60 * 60);

impl Ctl {
    pub(super) async fn inspect_message(&self, id: &str, want_body: bool) -> Result<String> {
        let body = want_body.to_string();
        self.get(&with_query("/api/admin/inspect-message/v1", &[("id", id), ("want_body", &body)])).await
    }

    pub(super) async fn inspect_scheduled(&self, query: &InspectSchedQ) -> Result<String> {
        let (body, limit) = (query.want_body.to_string(), query.limit.to_string());
        let mut pairs = vec![("queue_name", query.queue_name.as_str()), ("want_body", &body)];
        if !query.no_limit {
            pairs.push(("limit", &limit));
        }
        let path = with_query("/api/admin/inspect-sched-q/v1", &pairs);
        if !self.wants_table() {
            return self.get(&path).await;
        }
        Ok(scheduled(&self.client.get(&path).await?))
    }

    pub(super) async fn inspect_ready(&self, queue: &str, with_scheduled: bool) -> Result<String> {
        let with = with_scheduled.to_string();
        let pairs = [("queue_name", queue), ("include_scheduled_queues", &with)];
        self.get(&with_query("/api/admin/inspect-ready-q/v1", &pairs)).await
    }

    pub(super) async fn ready_states(&self, queues: &[String]) -> Result<String> {
        let pairs: Vec<(&str, &str)> = queues.iter().map(|queue| ("queues", queue.as_str())).collect();
        self.get(&with_query("/api/admin/ready-q-states/v1", &pairs)).await
    }

    pub(super) async fn abort(&self, queue: &str, session: &str) -> Result<String> {
        let body = json!({"queue_name": queue, "session_id": session});
        Ok(self.tell(Method::POST, "/api/admin/abort-ready-q-conn/v1", &body).await?)
    }

    pub(super) async fn resolve(&self, domain: &str, source: Option<&str>) -> Result<String> {
        let mut pairs = vec![("domain", domain)];
        pairs.extend(source.map(|source| ("source", source)));
        self.get(&with_query("/api/admin/resolve-egress-path/v1", &pairs)).await
    }

    pub(super) async fn set_log_filter(&self, filter: &str) -> Result<String> {
        let path = "/api/admin/set_diagnostic_log_filter/v1";
        Ok(self.tell(Method::POST, path, &json!({"filter": filter})).await?)
    }

    pub(super) async fn compact_spool(&self, name: &str) -> Result<String> {
        let client = self.client.with_patience(COMPACTION);
        Ok(client.send(Method::POST, "/api/admin/spool-compact/v1", &json!({"name": name})).await?)
    }

    pub(super) async fn bump_epoch(&self) -> Result<String> {
        Ok(self.tell(Method::POST, "/api/admin/bump-config-epoch", &json!({})).await?)
    }
}

/// A longer list of recipients is cut in the table; `--json` shows all of it.
const RECIPIENT_WIDTH: usize = 60;

/// A scheduled queue for eyes: how it stands, then its messages, each with its content where that was asked for.
fn scheduled(queue: &Value) -> String {
    let messages = queue["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut text = format!(
        "queue         {}\nmessages      {}, of which {} wait for their time; {} shown\nlast changed  {}\n\n",
        column(&queue["queue_name"]),
        column(&queue["num_scheduled"]),
        column(&queue["delayed_metric"]),
        messages.len(),
        column(&queue["last_changed"]),
    );
    let rows = messages.iter().map(|entry| {
        let message = &entry["message"];
        let recipients = match &message["recipient"] {
            Value::Array(several) => several.iter().map(column).collect::<Vec<_>>().join(" "),
            one => column(one),
        };
        vec![
            column(&entry["id"]),
            column(&message["sender"]),
            cut(recipients, RECIPIENT_WIDTH),
            column(&message["num_attempts"]),
            column(&message["due"]),
        ]
    });
    text += &table(&["ID", "SENDER", "RECIPIENT", "ATTEMPTS", "DUE"], rows, "none of its messages is in the queue now");
    for entry in messages {
        let Some(data) = entry["message"]["data"].as_str() else { continue };
        let _ = write!(text, "\n{}\n", column(&entry["id"]));
        for line in data.lines() {
            let _ = writeln!(text, "  {}", printable(line));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(queue: &Value) -> Vec<String> {
        let text = scheduled(queue);
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_scheduled_queue_is_a_table_for_eyes() {
        let queue = json!({
            "queue_name": "t@a.example", "num_scheduled": 7, "delayed_metric": 6, "last_changed": "2026-11-26T08:00:00Z",
            "messages": [
                {"id": "m1", "message": {"sender": "s@x", "recipient": "a@a.example", "meta": {}, "num_attempts": 2,
                 "due": "2026-11-26T09:00:00Z", "data": "Subject: hi\u{1b}[2J\r\n\r\nbody\r\n"}},
                {"id": "m2", "message": {"sender": "", "recipient": ["a@a.example", "b@a.example"], "meta": {}}},
            ],
        });
        assert_eq!(
            lines(&queue),
            [
                "queue t@a.example",
                "messages 7, of which 6 wait for their time; 2 shown",
                "last changed 2026-11-26T08:00:00Z",
                "",
                "ID SENDER RECIPIENT ATTEMPTS DUE",
                "m1 s@x a@a.example 2 2026-11-26T09:00:00Z",
                "m2 a@a.example b@a.example - -",
                "",
                "m1",
                "Subject: hi\\u{1b}[2J",
                "",
                "body",
            ]
        );
        let empty = json!({"queue_name": "a", "num_scheduled": 0, "delayed_metric": 0, "messages": []});
        assert_eq!(lines(&empty).last().map(String::as_str), Some("none of its messages is in the queue now"));
    }
}
