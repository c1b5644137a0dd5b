//! A receiver that notes how old each event is when it arrives.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::histogram::Histogram;

/// What arrived.
#[derive(Debug, Default)]
struct Arrivals {
    ages: Histogram,
    bytes: u64,
}

/// One thread of its own that answers 200 to everything.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    arrivals: Arc<Mutex<Arrivals>>,
    _runtime: Runtime,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Event {
    /// RFC 3339.
    event_time: String,
}

impl Receiver {
    pub(crate) fn start() -> Result<Receiver> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("receiver").enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let arrivals = Arc::<Mutex<Arrivals>>::default();
        let noted = Arc::clone(&arrivals);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Answers are small, and the next request waits for each.
                let _ = stream.set_nodelay(true);
                let noted = Arc::clone(&noted);
                let service = service_fn(move |request| answer(request, Arc::clone(&noted)));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    // A client that goes away is no event.
                    let _ = connection.await;
                });
            }
        });
        Ok(Receiver { address, arrivals, _runtime: runtime })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/log", self.address)
    }

    /// Events that arrived.
    pub(crate) fn count(&self) -> Result<u64> {
        self.look(|arrivals| arrivals.ages.count())
    }

    /// Their bytes together.
    pub(crate) fn bytes(&self) -> Result<u64> {
        self.look(|arrivals| arrivals.bytes)
    }

    /// The age at arrival that this share of events did not exceed.
    pub(crate) fn age(&self, share: f64) -> Result<Duration> {
        self.look(|arrivals| arrivals.ages.quantile(share))?.context("no event arrived")
    }

    /// Begins to count anew.
    pub(crate) fn forget(&self) -> Result<()> {
        self.look(|arrivals| *arrivals = Arrivals::default())
    }

    fn look<T>(&self, ask: impl FnOnce(&mut Arrivals) -> T) -> Result<T> {
        let mut arrivals = self.arrivals.lock().map_err(|_| anyhow::anyhow!("the receiver has panicked"))?;
        Ok(ask(&mut arrivals))
    }
}

async fn answer(
    request: Request<Incoming>,
    arrivals: Arc<Mutex<Arrivals>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let now = Utc::now();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if let Ok(event) = serde_json::from_slice::<Event>(&body)
        && let Ok(event_time) = DateTime::parse_from_rfc3339(&event.event_time)
        && let Ok(mut arrivals) = arrivals.lock()
    {
        // An event from the future is one of a clock that was set back.
        arrivals.ages.record((now - event_time.to_utc()).to_std().unwrap_or_default());
        arrivals.bytes += body.len() as u64;
    }
    Ok(Response::new(Full::from("ok\n")))
}
