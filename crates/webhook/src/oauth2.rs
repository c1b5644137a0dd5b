//! Tokens that another server gives for a while: OAuth 2, client credentials (RFC 6749, section 4.4).

use crate::connect::Ground;
use crate::endpoint::{Road, base_headers, basic_header, bearer_header};
use crate::exchange::{Call, call};
use crate::failure::Failure;
use crate::opening::Opening;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use waybill_runtime::Clock;
use waybill_types::Timestamp;
use waybill_webhook_core::{Oauth2, Oauth2Style, Stage, Trouble, printable};
use waybill_webhook_sign::Secret;

use crate::progress::Progress;

/// The token of one endpoint.
pub(crate) struct Tokens {
    config: Oauth2,
    road: Road,
    /// Held while a token is fetched, so that a hundred attempts ask for one.
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    token: Option<(HeaderValue, Timestamp)>,
    /// Grows with every token, so that a 401 for an old one does not throw a new one away.
    number: u64,
}

/// A token lives for this long where the server does not say.
const UNTOLD: Duration = Duration::from_secs(300);
/// It is replaced this long before its end, or a tenth of its life if that is less: clocks differ, and a request takes
/// its time.
const MARGIN: Duration = Duration::from_secs(30);
/// No token is kept longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Tokens {
    pub(crate) fn new(config: Oauth2, road: Road) -> Self {
        Tokens { config, road, last: Mutex::default() }
    }

    /// The value of `Authorization`, and the token's number. `stale` is the number of one that was refused.
    pub(crate) async fn get(
        &self,
        ground: &Ground<'_>,
        clock: &dyn Clock,
        stale: Option<u64>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<(HeaderValue, u64), Failure> {
        progress.enter(Stage::Authorising);
        let mut last = self.last.lock().await;
        if let Some((value, until)) = &last.token
            && clock.now() < *until
            && stale != Some(last.number)
        {
            return Ok((value.clone(), last.number));
        }
        last.token = None;
        let (value, life) = self.fetch(ground, deadline).await?;
        last.number += 1;
        last.token = Some((value.clone(), clock.now() + (life - MARGIN.min(life / 10))));
        Ok((value, last.number))
    }

    async fn fetch(&self, ground: &Ground<'_>, deadline: Instant) -> Result<(HeaderValue, Duration), Failure> {
        // What is told of an attempt is about the endpoint, not about the server of tokens.
        let progress = Progress::new();
        let (headers, body) = self.request()?;
        let opening = Opening::new(Method::POST, &self.road.target, headers);
        let opening = opening.map_err(|why| Trouble::Token(format!("{}: {why}", self.road.target)))?;
        let head = call(ground, &self.road, Call { opening: &opening, own: &[], body }, &progress).await?;
        let response = head.read(ground.limits, deadline, &progress).await;
        let refused = |why: String| Failure::Trouble(Trouble::Token(format!("{}: {why}", self.road.target)));
        if response.status != 200 {
            // RFC 6749, section 5.2: a code of visible ASCII. The rest of the answer may hold what is secret.
            let code = serde_json::from_slice::<Refusal>(&response.body).ok().map(|refusal| refusal.error);
            let code = code.map(|code| format!(" ({})", printable(code.as_bytes(), 100))).unwrap_or_default();
            return Err(refused(format!("status {}{code}", response.status)));
        }
        let granted: Granted = serde_json::from_slice(&response.body)
            .map_err(|_| refused("its answer is no JSON with an access_token and a token_type".to_owned()))?;
        if !granted.token_type.eq_ignore_ascii_case("bearer") {
            return Err(refused(format!(
                "a token of the unknown type {}",
                printable(granted.token_type.as_bytes(), 100)
            )));
        }
        let value =
            bearer_header(&granted.access_token).map_err(|_| refused("a token that cannot be sent".to_owned()))?;
        let life = granted.expires_in.map_or(UNTOLD, Duration::from_secs).min(LONGEST);
        Ok((value, life))
    }

    /// Headers and body.
    fn request(&self) -> Result<(HeaderMap, Bytes), Failure> {
        let config = &self.config;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        config.scope.iter().for_each(|scope| {
            form.append_pair("scope", scope);
        });
        config.audience.iter().for_each(|audience| {
            form.append_pair("audience", audience);
        });
        let mut headers = base_headers();
        match config.style {
            Oauth2Style::Basic => {
                // Section 2.3.1: both are form-encoded first.
                let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let secret = Secret::new(encoded(config.client_secret.reveal()));
                let value = basic_header(&encoded(&config.client_id), &secret);
                headers.insert(header::AUTHORIZATION, value.map_err(|error| Trouble::Token(error.to_string()))?);
            }
            Oauth2Style::Body => {
                form.append_pair("client_id", &config.client_id);
                form.append_pair("client_secret", config.client_secret.reveal());
            }
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Ok((headers, form.finish().into()))
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    token_type: String,
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}
