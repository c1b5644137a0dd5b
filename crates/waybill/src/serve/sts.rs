//! Fetches MTA-STS policies, with the sender that webhooks go by.

use super::daemon::Common;
use super::plan::WebhooksSection;
use super::webhooks::{answer, guard};
use anyhow::Result;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::CONTENT_TYPE;
use std::sync::Arc;
use std::time::Duration;
use waybill_runtime::{Supervisor, SystemClock};
use waybill_smtp::outbound::PolicyFetch;
use waybill_webhook::{Request, Response, Sender};
use waybill_webhook_core::{EndpointConfig, HttpVersion, Limits, Target};
use waybill_webhook_sign::EventId;

/// From the first question to the DNS to the last byte.
const LIMIT: Duration = Duration::from_secs(20);
/// A policy that is longer is refused (RFC 8461 section 3.3 suggests this limit).
const LONGEST: usize = 64 * 1024;

/// Asks the servers of domains. Their addresses are looked at as those of webhooks are.
struct PolicyFiles {
    sender: Sender,
}

/// One for the SMTP client. `supervisor` owns its connections.
pub(crate) fn files(
    common: &Common,
    section: &WebhooksSection,
    supervisor: &Supervisor,
) -> Result<Arc<dyn PolicyFetch>> {
    let limits = Limits { kept_body: LONGEST, ..Limits::default() };
    let sender = Sender::new(limits, guard(section)?, common.resolver.clone(), SystemClock, supervisor.clone());
    Ok(Arc::new(PolicyFiles { sender }))
}

impl PolicyFiles {
    async fn get(&self, domain: &str) -> Result<Bytes, String> {
        let url = Target::parse(&format!("https://mta-sts.{domain}/.well-known/mta-sts.txt"));
        let config = EndpointConfig {
            method: http::Method::GET,
            timeout: LIMIT,
            max_connections: 1,
            http_version: HttpVersion::Http1,
            ..EndpointConfig::of(url.map_err(|error| error.to_string())?)
        };
        // Asked once a day at most: a connection that is kept would be for nothing.
        let endpoint = self.sender.endpoint(config).map_err(|error| error.to_string())?;
        let id = EventId::new("mta-sts").map_err(|error| error.to_string())?;
        let response = answer(self.sender.send(&endpoint, Request::new(id, Bytes::new())).await)?;
        text_of(response)
    }
}

/// The file in an answer.
fn text_of(response: Response) -> Result<Bytes, String> {
    if response.status != 200 {
        return Err(format!("status {}", response.status));
    }
    // Where users may put files of their own under such a name, they are seldom plain text.
    let kind = response.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("none");
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/plain")) {
        return Err(format!("the type is {kind}, not text/plain"));
    }
    match response.cut {
        None => Ok(response.body),
        Some(waybill_webhook::Cut::TooLong) => Err(format!("it is longer than {LONGEST} bytes")),
        Some(_) => Err("it broke off".to_owned()),
    }
}

impl PolicyFetch for PolicyFiles {
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Bytes, String>> {
        self.get(domain).boxed()
    }
}
