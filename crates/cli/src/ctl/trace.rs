//! `trace-smtp-server`, `trace-smtp-client`: conversations as they happen, line by line.

use super::Ctl;
use super::args::{Listening, TraceClient, TraceServer};
use crate::show::{print, printable};
use anyhow::{Context, Result, bail};
use futures::StreamExt;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use tokio_tungstenite::tungstenite::Message;

/// Who is at the other end, which decides what arrows mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A client of ours: what is read is its words.
    Client,
    /// A server: what is read is its answers.
    Server,
}

impl Ctl {
    pub(super) async fn trace_server(&self, options: TraceServer) -> Result<String> {
        let mut filter = Map::from_iter([("terse".into(), json!(options.how.terse))]);
        if !options.source.is_empty() {
            filter.insert("source_addr".into(), json!(options.source));
        }
        self.trace("/api/admin/trace-smtp-server/v1", filter, &options.how, Side::Client).await
    }

    pub(super) async fn trace_client(&self, options: TraceClient) -> Result<String> {
        let lists = [
            ("campaign", options.campaign),
            ("tenant", options.tenant),
            ("domain", options.domain),
            ("routing_domain", options.routing_domain),
            ("egress_pool", options.egress_pool),
            ("egress_source", options.egress_source),
            ("mail_from", options.mail_from),
            ("rcpt_to", options.rcpt_to),
            ("mx_host", options.mx_host),
            ("ready_queue", options.ready_queue),
            ("mx_addr", options.mx_addr),
        ];
        let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let mut filter: Map<_, _> = given.map(|(name, list)| (name.to_owned(), json!(list))).collect();
        filter.insert("terse".into(), json!(options.how.terse));
        self.trace("/api/admin/trace-smtp-client/v1", filter, &options.how, Side::Server).await
    }

    async fn trace(&self, path: &str, filter: Map<String, Value>, how: &Listening, side: Side) -> Result<String> {
        let mut socket = self.client.listen(path, Value::Object(filter).to_string()).await?;
        let mut choice = Choice::new(how);
        while let Some(message) = socket.next().await {
            let text = match message.context("the trace broke off")? {
                Message::Text(text) => text,
                Message::Close(Some(frame)) if !frame.reason.is_empty() => {
                    bail!("the daemon ended the trace: {}", printable(&frame.reason));
                }
                _ => continue,
            };
            let event: Value = serde_json::from_str(&text).context("the daemon's event is not understood")?;
            let wanted = choice.wants(&event);
            if wanted != Wanted::No {
                print(&if self.json { format!("{}\n", &*text) } else { lines(&event, side) })?;
            }
            if wanted == Wanted::Last {
                return Ok(String::new());
            }
        }
        bail!("the daemon ended the trace")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Yes,
    No,
    /// And nothing after it.
    Last,
}

/// Which sessions are shown.
struct Choice {
    only_new: bool,
    only_one: bool,
    /// Sessions whose beginning was seen, or with `only_one` the one.
    begun: HashSet<String>,
}

impl Choice {
    fn new(how: &Listening) -> Self {
        Choice { only_new: how.only_new, only_one: how.only_one, begun: HashSet::new() }
    }

    fn wants(&mut self, event: &Value) -> Wanted {
        // What is about no session is about the trace itself.
        let Some(session) = event["conn_meta"]["session_id"].as_str() else { return Wanted::Yes };
        let payload = &event["payload"];
        if !self.only_new && !self.only_one {
            return Wanted::Yes;
        }
        let begins = payload == "Connected" || payload == "BeginSession";
        let chosen = self.begun.contains(session);
        if !chosen && (begins || !self.only_new) && (!self.only_one || self.begun.is_empty()) {
            self.begun.insert(session.to_owned());
        } else if !chosen {
            return Wanted::No;
        }
        if payload != "Closed" {
            return Wanted::Yes;
        }
        if self.only_one {
            return Wanted::Last;
        }
        Wanted::Yes
    }
}

/// An event as lines of `TIME PEER ARROW TEXT`.
fn lines(event: &Value, side: Side) -> String {
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let meta = &event["conn_meta"];
    let peer = match side {
        Side::Client => text(&meta["received_from"]),
        Side::Server => {
            let host = text(&meta["mx_host"]);
            if host.is_empty() { text(&meta["ready_queue"]) } else { format!("{host}[{}]", text(&meta["mx_addr"])) }
        }
    };
    let (read, write) = match side {
        Side::Client => ("->", "<-"),
        Side::Server => ("<-", "->"),
    };
    let (arrow, said) = said(&event["payload"], read, write);
    let when = text(&event["when"]);
    let mut all = String::new();
    for line in said.lines() {
        all.push_str(&format!("{} {} {arrow} {}\n", printable(&when), printable(&peer), printable(line)));
    }
    all
}

fn said<'a>(payload: &Value, read: &'a str, write: &'a str) -> (&'a str, String) {
    if let Some(name) = payload.as_str() {
        return ("==", name.to_owned());
    }
    let Some((name, value)) = payload.as_object().and_then(|table| table.iter().next()) else {
        return ("==", payload.to_string());
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let short = |value: &Value| format!("{} [... {} bytes]", text(&value["snippet"]), value["len"]);
    match name.as_str() {
        "Read" => (read, text(value)),
        "Write" => (write, text(value)),
        "AbbreviatedRead" => (read, short(value)),
        "AbbreviatedWrite" => (write, short(value)),
        "Diagnostic" => ("==", format!("{}: {}", text(&value["level"]), text(&value["message"]))),
        _ => ("==", format!("{name} {value}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(session: &str, payload: Value) -> Value {
        json!({
            "conn_meta": {"session_id": session, "received_from": "192.0.2.1:25"},
            "payload": payload,
            "when": "2026-01-01T00:00:00+00:00",
        })
    }

    #[test]
    fn every_line_says_when_who_and_in_which_direction() {
        let read = event("s", json!({"Read": "EHLO \u{1b}[31mx\r\n"}));
        assert_eq!(lines(&read, Side::Client), "2026-01-01T00:00:00+00:00 192.0.2.1:25 -> EHLO \\u{1b}[31mx\n");
        let write = event("s", json!({"Write": "250-a\r\n250 b\r\n"}));
        assert_eq!(
            lines(&write, Side::Client),
            "2026-01-01T00:00:00+00:00 192.0.2.1:25 <- 250-a\n2026-01-01T00:00:00+00:00 192.0.2.1:25 <- 250 b\n"
        );
        let short = event("s", json!({"AbbreviatedRead": {"snippet": "Subject: x", "len": 20}}));
        assert!(lines(&short, Side::Client).ends_with("-> Subject: x [... 20 bytes]\n"));
        assert!(lines(&event("s", json!("Closed")), Side::Client).ends_with("== Closed\n"));
    }

    #[test]
    fn one_session_or_new_ones_are_chosen_by_what_was_seen_of_them() {
        let run = |only_new, only_one| {
            let how = Listening { only_new, only_one, terse: false };
            let mut choice = Choice::new(&how);
            [("a", "Read"), ("b", "Connected"), ("a", "Closed"), ("b", "Closed")]
                .map(|(session, what)| choice.wants(&event(session, json!(what))))
        };
        use Wanted::{Last, No, Yes};
        assert_eq!(run(false, false), [Yes, Yes, Yes, Yes]);
        assert_eq!(run(true, false), [No, Yes, No, Yes]);
        assert_eq!(run(false, true), [Yes, No, Last, No]);
        assert_eq!(run(true, true), [No, Yes, No, Last]);
    }
}
