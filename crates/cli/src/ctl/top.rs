//! A live view of a server, out of `/metrics.json`: what flows, what waits, and where.

use super::Ctl;
use super::summary::{split, values};
use super::table::table;
use crate::show::printable;
use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// Lines of a view that is no terminal's.
const PLAIN_ROWS: usize = 10;
/// To the upper left, and everything away from there (ECMA-48, CUP and ED).
const CLEAR: &str = "\x1b[H\x1b[J";
const TOTALS: [(&str, &str); 4] = [
    ("RECEIVED", "total_messages_received"),
    ("DELIVERED", "total_messages_delivered"),
    ("TRANSFAIL", "total_messages_transfail"),
    ("FAIL", "total_messages_fail"),
];
const SERVICES: [&str; 4] = ["esmtp_listener", "http_listener", "smtp_client", "lua"];

/// `top`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Top {
    /// Print one view and end; so it is where output is no terminal
    #[arg(long)]
    once: bool,
    /// Seconds between two views
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// So many ready queues at most
    #[arg(long, default_value_t = PLAIN_ROWS)]
    limit: usize,
}

/// What a server counted up to a moment.
#[derive(Clone, PartialEq, Debug, Default)]
struct Snapshot {
    totals: [u64; 4],
    scheduled: u64,
    messages: u64,
    memory: u64,
    connections: Vec<(&'static str, u64)>,
    /// Delivered, failed for now, failed for good, connections, ready.
    ready: BTreeMap<String, [u64; 5]>,
}

impl Ctl {
    /// Shows the view again and again on a terminal, until ctrl-c; gives the one that is left to print elsewhere.
    pub(super) async fn top(&self, top: &Top) -> Result<String> {
        if top.once || self.json || !std::io::stdout().is_terminal() {
            return Ok(self.snapshot().await?.view(None, top.limit));
        }
        // Listens from here on, so that no key is lost between two waits, and none waits for a server that does not answer.
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for ctrl-c")?;
        tokio::select! {
            biased;
            _ = interrupt.recv() => Ok(String::new()),
            ended = self.show(top) => match ended? {},
        }
    }

    /// One view after the other; ends by an error only.
    async fn show(&self, top: &Top) -> Result<Infallible> {
        let (mut before, mut taken) = (self.snapshot().await?, Instant::now());
        let mut view = before.view(None, top.limit);
        loop {
            let mut out = std::io::stdout().lock();
            write!(out, "{CLEAR}{view}\nevery {} s; ctrl-c ends\n", top.interval)?;
            out.flush()?;
            drop(out);
            tokio::time::sleep(Duration::from_secs(top.interval)).await;
            let now = self.snapshot().await?;
            view = now.view(Some((&before, taken.elapsed())), top.limit);
            (before, taken) = (now, Instant::now());
        }
    }

    async fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::of(&self.client.get("/metrics.json").await?))
    }
}

impl Snapshot {
    fn of(metrics: &Value) -> Snapshot {
        let services = |metric: &str| values(metrics, metric, "service");
        // Of listeners and protocols; their parts have a `:` or an arrow in the name.
        let sum = |metric: &str| {
            let own = services(metric).into_iter().filter(|(name, _)| !name.contains(':') && !name.contains("->"));
            own.map(|(_, count)| count).fold(0, u64::saturating_add)
        };
        let gauge = |metric: &str| metrics[metric]["value"].as_f64().map_or(0, count);
        let connections: BTreeMap<String, u64> = services("connection_count").into_iter().collect();
        let connections = SERVICES.iter().map(|name| (*name, connections.get(*name).copied().unwrap_or_default()));
        let mut ready: BTreeMap<String, [u64; 5]> = BTreeMap::new();
        let columns = [
            "total_messages_delivered",
            "total_messages_transfail",
            "total_messages_fail",
            "connection_count",
            "ready_count",
        ];
        for (index, metric) in columns.iter().enumerate() {
            for (name, count) in services(metric).into_iter().filter(|(name, _)| name.contains("->")) {
                ready.entry(name).or_default()[index] = count;
            }
        }
        Snapshot {
            totals: TOTALS.map(|(_, metric)| sum(metric)),
            scheduled: gauge("scheduled_count_total"),
            messages: gauge("message_count"),
            memory: gauge("memory_usage"),
            connections: connections.collect(),
            ready,
        }
    }

    /// As text; with what happened in each second since another moment, where there is one.
    fn view(&self, since: Option<(&Snapshot, Duration)>, limit: usize) -> String {
        let rate = |now: u64, before: u64| {
            let seconds = since.map_or(0.0, |(_, time)| time.as_secs_f64());
            // A server that began anew counts from zero.
            if seconds > 0.0 {
                format!("{:.1}", as_float(now.saturating_sub(before)) / seconds)
            } else {
                "-".to_owned()
            }
        };
        let totals = TOTALS.iter().enumerate().map(|(index, (name, _))| {
            let before = since.map_or(0, |(before, _)| before.totals[index]);
            vec![(*name).to_owned(), self.totals[index].to_string(), rate(self.totals[index], before)]
        });
        let totals = table(&["MAIL", "SINCE START", "PER SECOND"], totals, "");
        let connections: Vec<String> = self.connections.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let memory = as_float(self.memory) / f64::from(1 << 20);
        let state = format!(
            "scheduled {}   messages {}   memory {memory:.0} MiB   connections: {}\n",
            self.scheduled,
            self.messages,
            connections.join(", ")
        );
        let done = |counts: &[u64; 5]| counts[..3].iter().copied().fold(0, u64::saturating_add);
        let before = |name: &String| since.and_then(|(before, _)| before.ready.get(name)).map_or(0, done);
        let mut ready: Vec<(&String, &[u64; 5])> = self.ready.iter().collect();
        // The busiest first: what it did since the last view, then what waits, then what it ever did.
        ready.sort_by_key(|(name, counts)| {
            let recent = if since.is_some() { done(counts).saturating_sub(before(name)) } else { 0 };
            std::cmp::Reverse((recent, counts[4], done(counts)))
        });
        let rows = ready.into_iter().take(limit).map(|(name, counts)| {
            let [site, source, protocol] = split(name).map(|part| printable(&part));
            let [delivered, transfailed, failed, connections, waits] = counts.map(|count| count.to_string());
            let busy = rate(done(counts), before(name));
            vec![site, source, protocol, delivered, transfailed, failed, connections, waits, busy]
        });
        let header = ["SITE", "SOURCE", "PROTO", "DELIVERED", "TRANSFAIL", "FAIL", "CONN", "READY", "PER SECOND"];
        let ready = table(&header, rows, "no ready queues are in memory");
        format!("{totals}\n{state}\n{ready}")
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, which saturate")]
fn count(value: f64) -> u64 {
    value as u64
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metrics(delivered: u64, waits: u64) -> Value {
        json!({
            "total_messages_received": {"value": {"service": {"esmtp_listener": 12, "esmtp_listener:127.0.0.1:25": 12, "http_listener": 3}}},
            "total_messages_delivered": {"value": {"service": {"smtp_client": delivered, "lua": 1,
                "smtp_client:ip-1->a.example@smtp_client": delivered, "lua:unspecified->w.log_hook@lua:make.w": 1}}},
            "connection_count": {"value": {"service": {"smtp_client": 2, "smtp_client:ip-1->a.example@smtp_client": 2}}},
            "ready_count": {"value": {"service": {"smtp_client:ip-1->a.example@smtp_client": waits,
                "lua:unspecified->w.log_hook@lua:make.w": 9}}},
            "scheduled_count_total": {"value": 40},
            "memory_usage": {"value": 3.0 * 1024.0 * 1024.0},
        })
    }

    fn words(view: &str) -> Vec<Vec<&str>> {
        view.lines().map(|line| line.split_whitespace().collect()).collect()
    }

    #[test]
    fn what_a_server_counts_is_summed_without_counting_twice() {
        let now = Snapshot::of(&metrics(70, 0));
        assert_eq!((now.totals, now.scheduled), ([15, 71, 0, 0], 40));
        let view = now.view(None, 10);
        let lines = words(&view);
        assert!(lines.contains(&vec!["RECEIVED", "15", "-"]), "{view}");
        assert!(view.contains("scheduled 40   messages 0   memory 3 MiB   connections: esmtp_listener 0"), "{view}");
        assert!(lines.contains(&vec!["a.example", "ip-1", "smtp_client", "70", "0", "0", "2", "0", "-"]), "{view}");
        let first = view.lines().position(|line| line.contains("w.log_hook"));
        assert!(first < view.lines().position(|line| line.contains("a.example")), "what waits stands first: {view}");
    }

    #[test]
    fn a_second_view_tells_rates_and_the_busiest_first() {
        let (before, now) = (Snapshot::of(&metrics(70, 0)), Snapshot::of(&metrics(95, 1)));
        let view = now.view(Some((&before, Duration::from_secs(2))), 1);
        let lines = words(&view);
        assert!(lines.contains(&vec!["DELIVERED", "96", "12.5"]), "{view}");
        assert!(lines.contains(&vec!["a.example", "ip-1", "smtp_client", "95", "0", "0", "2", "1", "12.5"]), "{view}");
        assert!(!view.contains("w.log_hook"), "beyond the limit: {view}");
        let restarted = Snapshot::of(&metrics(5, 0)).view(Some((&now, Duration::from_secs(2))), 1);
        assert!(words(&restarted).contains(&vec!["DELIVERED", "6", "0.0"]), "{restarted}");
    }

    #[test]
    fn a_server_that_says_nothing_is_shown_all_the_same() {
        let view = Snapshot::of(&json!({})).view(None, 10);
        assert!(view.contains("no ready queues are in memory"), "{view}");
    }
}
