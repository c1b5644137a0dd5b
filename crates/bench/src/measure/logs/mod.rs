//! Logs from outside: publishing against a bare RocksDB loop, consuming against a bare HTTP server, ten thousand who wait, and
//! an egress webhook against the bare loop with one connection.

mod client;
mod server;
mod store;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use self::client::Client;
use self::server::Static;
use super::Setting;
use crate::args::Scale;
use crate::bare;
use crate::daemon::Daemon;
use crate::endpoint::Nginx;
use crate::process::{LOOK_EVERY, wait_until};
use crate::report::{Bar, Figure};
use crate::scratch::Scratch;

/// Bytes of a value.
pub(super) const VALUE: usize = 128;
/// Messages of a publish, and of a consume.
pub(super) const BATCH: u64 = 1_000;
/// What most is measured with.
const SMALL: Page = Page { value: VALUE, messages: BATCH };
/// Larger values: with these the bytes count, and less what surrounds them.
const LARGE: Page = Page { value: 4 << 10, messages: 250 };
/// Who publishes at once: what waits while one batch is synced goes into the next.
const PUBLISHERS: u64 = 4;
/// Consumers at once.
const CONSUMERS: usize = 2;
/// What one who waits may cost.
const MOST_KIBIBYTES: f64 = 20.0;
const DELIVERED_WITHIN: Duration = Duration::from_secs(900);

/// What is published, and consumed, at once.
#[derive(Clone, Copy)]
struct Page {
    /// Bytes of a value.
    value: usize,
    messages: u64,
}

pub(crate) fn measure(setting: &Setting<'_>) -> Result<Vec<Figure>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("logs").enable_all().build()?;
    let messages = setting.scale.messages();
    let limit = store::limit(messages)?;
    let daemon = daemon(setting)?;
    let log = made(&runtime, &daemon, "/logs", &json!({}), "log_id")?;
    let per_second = published(&runtime, daemon.http, &log, messages, SMALL)?;
    let small = consumed(&runtime, &daemon, &log, messages, SMALL)?;
    let (log, messages) = (made(&runtime, &daemon, "/logs", &json!({}), "log_id")?, messages / 16);
    published(&runtime, daemon.http, &log, messages, LARGE)?;
    let large = consumed(&runtime, &daemon, &log, messages, LARGE)?;
    let mut figures = vec![
        Figure::plain("bare RocksDB loop, batches of 1,000 synced", "msg/s", limit),
        Figure::plain("published in batches of 1,000, synced", "msg/s", per_second),
        Figure::ratio("publish against the bare RocksDB loop", Bar::AtLeast(0.5), per_second / limit),
        Figure::plain("consumed over HTTP", "msg/s", small.per_second),
        Figure::ratio("consume over HTTP against a bare HTTP server, bytes", Bar::AtLeast(0.6), small.share),
        Figure::plain("consumed over HTTP, values of 4 KiB", "msg/s", large.per_second),
        Figure::ratio("the same against a bare HTTP server, bytes", Bar::AtLeast(0.6), large.share),
    ];
    figures.extend(waiting(setting, &runtime, &daemon)?);
    figures.extend(sent(setting, &runtime, &daemon)?);
    daemon.stop()?;
    Ok(figures)
}

/// A daemon that may call endpoints on this machine.
fn daemon(setting: &Setting<'_>) -> Result<Daemon> {
    let scratch = Scratch::create(setting.keep)?;
    let folder = scratch.path().display();
    let script = format!(
        "local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool {{ name = 'data', path = '{folder}/spool/data', min_free_space = '1%' }}
  kumo.define_spool {{ name = 'meta', path = '{folder}/spool/meta', min_free_space = '1%' }}
  kumo.configure_webhooks {{ allow_targets = {{ '127.0.0.0/8' }} }}
  kumo.start_esmtp_listener {{ listen = '127.0.0.1:0', relay_hosts = {{ '127.0.0.1' }} }}
  kumo.start_http_listener {{ listen = '127.0.0.1:0' }}
end)
"
    );
    Daemon::start_script(setting.binary, scratch, &script)
}

/// The id of something new.
fn made(runtime: &Runtime, daemon: &Daemon, path: &str, body: &Value, id: &str) -> Result<String> {
    let answer = runtime.block_on(async {
        let mut client = Client::connect(daemon.http).await?;
        client.post(path, Bytes::from(body.to_string())).await
    })?;
    let answer: Value = serde_json::from_slice(&answer)?;
    Ok(answer[id].as_str().with_context(|| format!("no {id} in {answer}"))?.to_owned())
}

/// The body of a publish.
fn batch(page: Page) -> Bytes {
    let messages = vec![json!({ "value": "x".repeat(page.value) }); page.messages as usize];
    Bytes::from(json!({ "encoding": "string", "messages": messages }).to_string())
}

/// Messages a second of several publishers, each of whom waits for its batch to be synced.
fn published(runtime: &Runtime, daemon: SocketAddr, log: &str, messages: u64, page: Page) -> Result<f64> {
    let (path, body) = (format!("/messages/{log}"), batch(page));
    let each = messages / page.messages / PUBLISHERS;
    let started = Instant::now();
    runtime.block_on(async {
        let publish = move |path: String, body: Bytes| async move {
            let mut client = Client::connect(daemon).await?;
            for _ in 0..each {
                client.post(&path, body.clone()).await?;
            }
            anyhow::Ok(())
        };
        let tasks: Vec<_> = (0..PUBLISHERS).map(|_| tokio::spawn(publish(path.clone(), body.clone()))).collect();
        for task in tasks {
            task.await.context("a publisher panicked")??;
        }
        anyhow::Ok(())
    })?;
    Ok((each * PUBLISHERS * page.messages) as f64 / started.elapsed().as_secs_f64())
}

/// How fast a log was read.
struct Consumed {
    per_second: f64,
    /// Of the bytes a second that a bare HTTP server gives for answers of this size.
    share: f64,
}

fn consumed(runtime: &Runtime, daemon: &Daemon, log: &str, messages: u64, page: Page) -> Result<Consumed> {
    let len = page.messages;
    let pages = messages / len / PUBLISHERS * PUBLISHERS;
    let path = |page: u64| format!("/messages/{log}?offset={}&len={len}", page * len);
    let first = runtime.block_on(async { Client::connect(daemon.http).await?.get(&path(0)).await })?;
    let answer: Value = serde_json::from_slice(&first)?;
    ensure!(answer["messages"].as_array().map(Vec::len) == Some(len as usize), "a page is not full: {answer}");
    let bare = Static::start(first)?;
    let (bytes, seconds) = read_all(runtime, daemon.http, (0..pages).map(path).collect())?;
    let (bare_bytes, bare_seconds) = read_all(runtime, bare.address(), vec!["/".to_owned(); pages as usize])?;
    let rate = bytes / seconds;
    Ok(Consumed { per_second: (pages * len) as f64 / seconds, share: rate / (bare_bytes / bare_seconds) })
}

/// Bytes, and the seconds that they took, of all these answers over a few connections.
fn read_all(runtime: &Runtime, server: SocketAddr, paths: Vec<String>) -> Result<(f64, f64)> {
    let started = Instant::now();
    let bytes = runtime.block_on(async {
        let share = paths.len().div_ceil(CONSUMERS).max(1);
        let read = move |paths: Vec<String>| async move {
            let (mut client, mut bytes) = (Client::connect(server).await?, 0);
            for path in &paths {
                bytes += client.get(path).await?.len();
            }
            anyhow::Ok(bytes)
        };
        let tasks: Vec<_> = paths.chunks(share).map(|paths| tokio::spawn(read(paths.to_vec()))).collect();
        let mut bytes = 0;
        for task in tasks {
            bytes += task.await.context("a consumer panicked")??;
        }
        anyhow::Ok(bytes)
    })?;
    Ok((bytes as f64, started.elapsed().as_secs_f64()))
}

/// What one who waits costs the daemon, its connection included; and that all are answered by one message.
fn waiting(setting: &Setting<'_>, runtime: &Runtime, daemon: &Daemon) -> Result<Vec<Figure>> {
    let consumers = setting.scale.waiting();
    let log = made(runtime, daemon, "/logs", &json!({}), "log_id")?;
    let path = format!("/messages/{log}?offset=0&poll=30000");
    let before = daemon.cost()?.resident;
    let waits: Vec<_> = runtime.block_on(async {
        let mut waits = Vec::new();
        for _ in 0..consumers {
            let mut client = Client::connect(daemon.http).await?;
            let path = path.clone();
            waits.push(tokio::spawn(async move { client.get(&path).await }));
        }
        anyhow::Ok(waits)
    })?;
    let most = settled(daemon)?;
    let started = Instant::now();
    runtime.block_on(async {
        let message = Bytes::from_static(br#"{"value":"now"}"#);
        Client::connect(daemon.http).await?.post(&format!("/message/{log}"), message).await?;
        for wait in waits {
            let answer = wait.await.context("who waits panicked")??;
            ensure!(answer.windows(5).any(|part| part == b"\"now\""), "{}", String::from_utf8_lossy(&answer));
        }
        anyhow::Ok(())
    })?;
    let each = most.saturating_sub(before) as f64 / 1024.0 / consumers as f64;
    Ok(vec![
        Figure::new(format!("memory of one of {consumers} who wait"), "KiB", Bar::AtMost(MOST_KIBIBYTES), each),
        Figure::plain("until all of them are answered", "ms", started.elapsed().as_secs_f64() * 1e3),
    ])
}

/// Memory once it grows no more.
fn settled(daemon: &Daemon) -> Result<u64> {
    let mut most = daemon.cost()?.resident;
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(LOOK_EVERY);
        let now = daemon.cost()?.resident;
        if now > most {
            (most, since) = (now, Instant::now());
        }
    }
    Ok(most)
}

/// Messages through an egress webhook, against the bare loop with one connection.
fn sent(setting: &Setting<'_>, runtime: &Runtime, daemon: &Daemon) -> Result<Vec<Figure>> {
    let mut nginx = Nginx::start()?;
    let requests = setting.scale.bare_requests() / 10;
    let bare = bare::run(nginx.address(), sent_body(), 1, requests)?;
    let log = made(runtime, daemon, "/logs", &json!({}), "log_id")?;
    let pages = requests.div_ceil(BATCH * PUBLISHERS) * PUBLISHERS;
    published(runtime, daemon.http, &log, pages * BATCH, SMALL)?;
    let first = nginx.requests()?;
    let started = Instant::now();
    let egress = json!({"log_id": log, "destination": nginx.url(), "offset": -2});
    made(runtime, daemon, "/egress_webhooks", &egress, "webhook_id")?;
    wait_until("every message is out", DELIVERED_WITHIN, || Ok(nginx.requests()? - first >= pages * BATCH))?;
    let per_second = (pages * BATCH) as f64 / started.elapsed().as_secs_f64();
    Ok(vec![
        Figure::plain("bare loop, one connection", "req/s", bare.per_second),
        Figure::plain("egress webhook", "msg/s", per_second),
        Figure::ratio("egress webhook against the bare loop", Bar::AtLeast(0.6), per_second / bare.per_second),
    ])
}

/// What is sent for one of the messages of [`batch`]: the same bytes but for offset and time, and as many.
fn sent_body() -> Bytes {
    // `xxx` in base64, and the two that are left of [`VALUE`].
    let value = format!("{}eHg=", "eHh4".repeat(VALUE / 3));
    let body = json!({"encoding": "base64", "offset": 10_000, "time": 1_700_000_000_000_000_i64, "value": value});
    Bytes::from(body.to_string())
}

impl Scale {
    fn messages(self) -> u64 {
        match self {
            Scale::Quick => 20_000,
            Scale::Standard => 400_000,
            Scale::Full => 2_000_000,
        }
    }

    fn waiting(self) -> u64 {
        match self {
            Scale::Quick => 500,
            Scale::Standard | Scale::Full => 10_000,
        }
    }
}
