use crate::attempt::{Attempt, Response};
use crate::compress::compressed;
use crate::connect::Ground;
use crate::endpoint::{Authorisation, Endpoint, HOPS, Ready};
use crate::exchange::{Call, Head, call};
use crate::failure::Failure;
use crate::guard::Guard;
use crate::opening::Opening;
use crate::pool::Pool;
use crate::progress::Progress;
use crate::request::Request;
use http::{HeaderName, HeaderValue, header};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use waybill_dns::Resolver;
use waybill_runtime::{Clock, Supervisor};
use waybill_tls::Trust;
use waybill_types::Timestamp;
use waybill_webhook_core::{
    Auth, Blocked, ConfigError, EndpointConfig, Limits, Outcome, Refused, Target, Trouble, checked, outcome_of,
    retry_after,
};

/// Sends. Cheap to clone; clones are the same sender.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

struct Inner {
    limits: Limits,
    guard: RwLock<Arc<Guard>>,
    resolver: Arc<dyn Resolver>,
    clock: Arc<dyn Clock>,
    supervisor: Supervisor,
    trust: Trust,
}

impl Sender {
    /// The supervisor owns the tasks that drive connections.
    pub fn new(
        limits: Limits,
        guard: Guard,
        resolver: impl Resolver,
        clock: impl Clock,
        supervisor: Supervisor,
    ) -> Self {
        Sender(Arc::new(Inner {
            limits,
            guard: RwLock::new(Arc::new(guard)),
            resolver: Arc::new(resolver),
            clock: Arc::new(clock),
            supervisor,
            trust: Trust::system(),
        }))
    }

    /// From the next attempt on this guard decides, over open connections too.
    pub fn set_guard(&self, guard: Guard) {
        *self.0.guard.write() = Arc::new(guard);
    }

    /// Makes an endpoint ready to be called. Nothing is sent, and nobody is asked.
    ///
    /// # Errors
    /// What is wrong with the description, and in which field.
    pub fn endpoint(&self, config: EndpointConfig) -> Result<Endpoint, ConfigError> {
        Endpoint::new(config, &self.0.trust, || Pool::new(self.0.supervisor.clone(), self.0.limits.idle))
    }

    /// What can be said of a description's addresses before they are called: for the moment at which somebody saves it.
    ///
    /// # Errors
    /// The first field whose address would certainly be refused, and what opens it.
    pub fn permits(&self, config: &EndpointConfig) -> Result<(), ConfigError> {
        let guard = Arc::clone(&self.0.guard.read());
        let target = |field: &str, url: &Target| {
            guard.targets.check_literal(url).map_err(|refused| ConfigError::new(field, refused.to_string()))
        };
        target("url", &config.url)?;
        if let Some(Auth::Oauth2(oauth2)) = &config.auth {
            target("auth.oauth2.token_url", &oauth2.token_url)?;
        }
        let Some(proxy) = &config.proxy else { return Ok(()) };
        let refused = guard.proxies.check_literal(&proxy.url);
        refused.map_err(|refused| ConfigError::new("proxy.url", refused.told("allow_proxies")))
    }

    /// Makes one attempt. It ends within the endpoint's time limit, whatever the endpoint does. Dropping the future
    /// closes its connection; whether the event arrived is then unknown.
    pub async fn send(&self, endpoint: &Endpoint, request: Request) -> Attempt {
        let at = self.0.clock.now();
        let begun = Instant::now();
        let limit = endpoint.0.config.timeout;
        let deadline = begun + limit;
        let progress = Progress::new();
        let guard = Arc::clone(&self.0.guard.read());
        let exchange = Box::pin(self.exchange(&endpoint.0, &guard, request, deadline, &progress));
        let result = match timeout_at(deadline, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Trouble::TimedOut { stage: progress.get().0, limit }.into()),
        };
        let result = match result {
            Ok((head, _place)) => Ok(head.read(&self.0.limits, deadline, &progress).await),
            Err(failure) => Err(failure),
        };
        let now = self.0.clock.now();
        attempt(at, begun.elapsed(), &progress, result, now)
    }

    /// Up to the head of the response, with the place that is taken until its body has been read.
    async fn exchange<'a>(
        &self,
        ready: &'a Ready,
        guard: &Guard,
        request: Request,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<(Head<'a>, tokio::sync::SemaphorePermit<'a>), Failure> {
        self.check(&request)?;
        let headers = headers(&request)?;
        // The semaphore is never closed.
        let place = ready.road.places.acquire().await.map_err(|error| Trouble::Connect(error.to_string()))?;
        let elsewhere = elsewhere(ready, &request)?;
        let opening = elsewhere.as_ref().unwrap_or(&ready.opening);
        let body = compressed(request.body.clone(), ready.config.compression).await;
        let (body, encoding) = body.map_err(|error| Trouble::Exchange(format!("cannot compress: {error}")))?;
        let ground = self.ground(guard, Blocked::Target);
        let mut stale = None;
        loop {
            let mut own = headers.clone();
            own.extend(encoding.map(|encoding| (header::CONTENT_ENCODING, HeaderValue::from_static(encoding))));
            let number = self.authorise(ready, guard, &mut own, stale, deadline, progress).await?;
            // Signed as late as possible: receivers look at the time.
            sign(ready, &request, self.0.clock.now(), &body, &mut own)?;
            let sent = Call { opening, own: &own, body: body.clone() };
            let head = call(&ground, &ready.road, sent, progress).await?;
            if head.status() == 401 && number.is_some() && stale.is_none() {
                // The token was taken back before its end: one more, and then 401 is the answer.
                let _ = head.read(&self.0.limits, deadline, progress).await;
                stale = number;
                continue;
            }
            return Ok((head, place));
        }
    }

    fn check(&self, request: &Request) -> Result<(), Blocked> {
        let limits = &self.0.limits;
        if request.body.len() > limits.request_body {
            return Err(Blocked::Body { found: request.body.len(), most: limits.request_body });
        }
        if request.hops >= limits.hops { Err(Blocked::Loop(request.hops)) } else { Ok(()) }
    }

    /// Sets `Authorization`; gives the number of the token, where it is one that can be renewed.
    async fn authorise(
        &self,
        ready: &Ready,
        guard: &Guard,
        own: &mut Headers,
        stale: Option<u64>,
        deadline: Instant,
        progress: &Progress,
    ) -> Result<Option<u64>, Failure> {
        match &ready.authorisation {
            Authorisation::None => Ok(None),
            Authorisation::Fixed(value) => {
                put(own, header::AUTHORIZATION, value.clone());
                Ok(None)
            }
            Authorisation::Tokens(tokens) => {
                let ground = self.ground(guard, Blocked::TokenServer);
                let (value, number) = tokens.get(&ground, &*self.0.clock, stale, deadline, progress).await?;
                put(own, header::AUTHORIZATION, value);
                Ok(Some(number))
            }
        }
    }

    fn ground<'a>(&'a self, guard: &'a Guard, blocked: fn(Refused) -> Blocked) -> Ground<'a> {
        Ground { limits: &self.0.limits, guard, resolver: &*self.0.resolver, supervisor: &self.0.supervisor, blocked }
    }
}

/// Headers of one request, each name once.
type Headers = Vec<(HeaderName, HeaderValue)>;

fn put(headers: &mut Headers, name: HeaderName, value: HeaderValue) {
    match headers.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => headers.push((name, value)),
    }
}

fn headers(request: &Request) -> Result<Headers, Blocked> {
    let own = request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut headers = checked(own)?;
    put(&mut headers, HOPS, HeaderValue::from(u16::from(request.hops) + 1));
    Ok(headers)
}

/// Adds the signatures of this very moment.
fn sign(ready: &Ready, request: &Request, now: Timestamp, body: &[u8], own: &mut Headers) -> Result<(), Trouble> {
    for (name, value) in ready.signer.headers(&request.id, now, body) {
        let wrong = |why: String| Trouble::Exchange(format!("the header {name}: {why}"));
        let known = SIGNED.iter().find(|known| known.as_str() == name);
        let name = match known {
            Some(known) => known.clone(),
            None => HeaderName::from_bytes(name.as_bytes()).map_err(|error| wrong(error.to_string()))?,
        };
        let value = HeaderValue::try_from(value).map_err(|error| wrong(error.to_string()))?;
        put(own, name, value);
    }
    Ok(())
}

/// Names of nearly every signature.
static SIGNED: [HeaderName; 4] = [
    HeaderName::from_static("webhook-id"),
    HeaderName::from_static("webhook-timestamp"),
    HeaderName::from_static("webhook-signature"),
    HeaderName::from_static("x-klev-signature"),
];

/// The opening at the path of this request, where that adds something to the endpoint's.
fn elsewhere(ready: &Ready, request: &Request) -> Result<Option<Opening>, Trouble> {
    if request.query.is_empty() {
        return Ok(None);
    }
    let path = ready.road.target.path();
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&request.query).finish();
    let joint = if path.contains('?') { '&' } else { '?' };
    ready.opening.at(&format!("{path}{joint}{query}")).map(Some).map_err(Trouble::Exchange)
}

fn attempt(
    at: Timestamp,
    duration: Duration,
    progress: &Progress,
    result: Result<Response, Failure>,
    now: Timestamp,
) -> Attempt {
    let peer = progress.get().1;
    let (response, trouble, outcome) = match result {
        Ok(response) => {
            let wish = response.headers.get(header::RETRY_AFTER);
            let wish = wish.and_then(|value| retry_after(value.as_bytes(), now));
            let outcome = outcome_of(response.status, wish);
            (Some(response), None, outcome)
        }
        Err(Failure::Blocked(blocked)) => (None, None, Outcome::Blocked(blocked)),
        Err(Failure::Trouble(trouble)) => (None, Some(trouble), Outcome::Transient { retry_after: None }),
    };
    Attempt { at, duration, address: peer.address, proxy: peer.proxy, response, trouble, outcome }
}
