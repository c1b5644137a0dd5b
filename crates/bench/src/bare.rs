//! The bare loop: what posting these bodies costs when nothing else is done. Plain hyper, keep-alive, no code of the daemon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::cost::own_cpu;

/// What the loop reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bare {
    pub(crate) per_second: f64,
    /// User and system time of the client for each request.
    pub(crate) cpu: Duration,
}

/// Posts the body `requests` times over so many connections.
pub(crate) fn run(address: SocketAddr, body: Bytes, connections: usize, requests: u64) -> Result<Bare> {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("bare").enable_all().build()?;
    let cpu_before = own_cpu()?;
    let started = Instant::now();
    runtime.block_on(async {
        let left = Arc::new(AtomicU64::new(requests));
        let tasks: Vec<_> =
            (0..connections).map(|_| tokio::spawn(post(address, body.clone(), Arc::clone(&left)))).collect();
        for task in tasks {
            task.await.context("a connection of the bare loop panicked")??;
        }
        anyhow::Ok(())
    })?;
    let elapsed = started.elapsed();
    let cpu = own_cpu()?.saturating_sub(cpu_before);
    Ok(Bare { per_second: requests as f64 / elapsed.as_secs_f64(), cpu: cpu.div_f64(requests as f64) })
}

async fn post(address: SocketAddr, body: Bytes, left: Arc<AtomicU64>) -> Result<()> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        sender.ready().await?;
        let request = Request::post("/log")
            .header(HOST, address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if !status.is_success() {
            bail!("the endpoint answered the bare loop with {status}");
        }
    }
    drop(sender);
    driver.await??;
    Ok(())
}
