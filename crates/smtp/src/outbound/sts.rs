//! The MTA-STS policies of domains: asked for, fetched, remembered.

use super::told::Now;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use waybill_dns::Resolver;
use waybill_mta_sts::{Cache, Policy, announced};

/// Domains that are remembered, with a policy or without.
const DOMAINS: usize = 16 * 1024;

/// Fetches the files that policies stand in.
///
/// # Contract
/// - It asks for `https://mta-sts.DOMAIN/.well-known/mta-sts.txt`, and believes a server only by its certificate.
/// - It follows no redirect, and gives a file only when the status is 200 and the type `text/plain`, and whole.
/// - It ends within a time limit of its own, whatever the server does. Dropping the future gives it up.
pub trait PolicyFetch: Send + Sync + 'static {
    /// The file of a domain (ASCII, lower case), or why there is none, as it stands behind "failed: ".
    fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Bytes, String>>;
}

/// What the sessions of a client share.
pub(super) struct Policies {
    resolver: Arc<dyn Resolver>,
    fetch: Arc<dyn PolicyFetch>,
    now: Now,
    cache: Mutex<Cache>,
    /// Domains that somebody asks right now: the others wait for what they hear.
    asking: Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<()>>>>,
}

impl Policies {
    pub(super) fn new(resolver: Arc<dyn Resolver>, fetch: Arc<dyn PolicyFetch>, now: Now) -> Self {
        Policies { resolver, fetch, now, cache: Mutex::new(Cache::new(DOMAINS)), asking: Mutex::default() }
    }

    /// The policy that counts for a domain (ASCII, lower case) now, if there is one. Asks where that is due.
    pub(super) async fn of(&self, domain: &str) -> Option<Arc<Policy>> {
        if let Some(known) = self.known(domain) {
            return known;
        }
        let turn = Turn::of(&self.asking, domain);
        let _first = turn.gate.lock().await;
        match self.known(domain) {
            Some(known) => known,
            None => self.ask(domain).await,
        }
    }

    fn known(&self, domain: &str) -> Option<Option<Arc<Policy>>> {
        self.cache.lock().get(domain, (self.now)())
    }

    async fn ask(&self, domain: &str) -> Option<Arc<Policy>> {
        let unchanged = || self.cache.lock().unchanged(domain, (self.now)());
        let texts = match self.resolver.txt(&format!("_mta-sts.{domain}")).await {
            Ok(answer) => answer.records,
            Err(error) => {
                tracing::debug!(domain, "failed to ask for an MTA-STS policy: {error}");
                return unchanged();
            }
        };
        let Some(id) = announced(&texts) else { return unchanged() };
        if !self.cache.lock().wants(domain, &id, (self.now)()) {
            return unchanged();
        }
        let text = self.fetch.fetch(domain).await;
        match text.and_then(|text| Policy::parse(&text).map_err(|error| error.to_string())) {
            Ok(policy) => {
                tracing::info!(domain, %id, mode = %policy.mode, "fetched an MTA-STS policy");
                self.cache.lock().fetched(domain, id, policy, (self.now)())
            }
            Err(why) => {
                let goes_on = unchanged();
                let then = if goes_on.is_some() { "the one before goes on" } else { "it counts as none" };
                tracing::warn!(domain, %id, "an MTA-STS policy is announced, and fetching it failed: {why}; {then}");
                goes_on
            }
        }
    }
}

/// A place among those who want to know the same.
struct Turn<'a> {
    all: &'a Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<()>>>>,
    domain: &'a str,
    gate: Arc<tokio::sync::Mutex<()>>,
}

impl<'a> Turn<'a> {
    fn of(all: &'a Mutex<HashMap<Box<str>, Arc<tokio::sync::Mutex<()>>>>, domain: &'a str) -> Self {
        let gate = all.lock().entry(domain.into()).or_default().clone();
        Turn { all, domain, gate }
    }
}

impl Drop for Turn<'_> {
    /// The last one puts the gate away.
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // Two: the map's and this one.
        if Arc::strong_count(&self.gate) == 2 {
            all.remove(self.domain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use parking_lot::RwLock;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
    use waybill_dns::{SharedResolver, Zones};
    use waybill_mta_sts::Mode;
    use waybill_types::Timestamp;

    const ENFORCE: &str = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 86400\n";

    /// Gives what it was told to, a moment later.
    struct Files {
        text: RwLock<Result<String, String>>,
        asked: AtomicUsize,
    }

    impl PolicyFetch for Files {
        fn fetch<'a>(&'a self, domain: &'a str) -> BoxFuture<'a, Result<Bytes, String>> {
            async move {
                assert_eq!(domain, "a.example");
                self.asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                self.text.read().clone().map(Bytes::from)
            }
            .boxed()
        }
    }

    struct Stage {
        policies: Arc<Policies>,
        files: Arc<Files>,
        resolver: SharedResolver,
        time: Arc<AtomicI64>,
    }

    impl Stage {
        fn new() -> Stage {
            let files = Arc::new(Files { text: RwLock::new(Ok(ENFORCE.into())), asked: AtomicUsize::new(0) });
            let resolver = SharedResolver::new(Zones::default());
            let time = Arc::new(AtomicI64::new(1_800_000_000));
            let clock = time.clone();
            let now: Now = Arc::new(move || Timestamp::from_secs(clock.load(Ordering::Relaxed)));
            let policies = Arc::new(Policies::new(Arc::new(resolver.clone()), files.clone(), now));
            let stage = Stage { policies, files, resolver, time };
            stage.announces("1");
            stage
        }

        fn announces(&self, id: &str) {
            let zone = format!("_mta-sts.a.example. TXT \"v=STSv1; id={id};\"");
            self.resolver.set(Arc::new(Zones::parse([zone.as_str()]).unwrap()));
        }

        async fn mode(&self) -> Option<Mode> {
            self.policies.of("a.example").await.map(|policy| policy.mode)
        }

        fn fetches(&self) -> usize {
            self.files.asked.load(Ordering::Relaxed)
        }

        fn seconds_later(&self, seconds: i64) {
            self.time.fetch_add(seconds, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn many_who_ask_at_once_fetch_once() {
        let stage = Stage::new();
        let all = (0..20).map(|_| stage.policies.of("a.example"));
        for policy in futures::future::join_all(all).await {
            assert_eq!(policy.unwrap().mode, Mode::Enforce);
        }
        assert_eq!((stage.fetches(), stage.policies.asking.lock().len()), (1, 0));
    }

    #[tokio::test]
    async fn a_new_id_is_fetched_and_the_same_one_is_not() {
        let stage = Stage::new();
        assert_eq!(stage.mode().await, Some(Mode::Enforce));
        stage.seconds_later(301);
        assert_eq!((stage.mode().await, stage.fetches()), (Some(Mode::Enforce), 1));
        stage.announces("2");
        *stage.files.text.write() = Ok(ENFORCE.replace("enforce", "testing"));
        assert_eq!((stage.mode().await, stage.fetches()), (Some(Mode::Enforce), 1), "five minutes are not over");
        stage.seconds_later(301);
        assert_eq!((stage.mode().await, stage.fetches()), (Some(Mode::Testing), 2));
    }

    #[tokio::test]
    async fn a_policy_outlives_servers_that_fail_and_records_that_vanish() {
        let stage = Stage::new();
        assert_eq!(stage.mode().await, Some(Mode::Enforce));
        *stage.files.text.write() = Err("status 500".into());
        stage.announces("2");
        stage.seconds_later(301);
        assert_eq!((stage.mode().await, stage.fetches()), (Some(Mode::Enforce), 2));
        *stage.files.text.write() = Ok("<html>".into());
        stage.seconds_later(301);
        assert_eq!((stage.mode().await, stage.fetches()), (Some(Mode::Enforce), 3));
        for zones in [Zones::default(), Zones::default().failing("_mta-sts.a.example")] {
            stage.resolver.set(Arc::new(zones));
            stage.seconds_later(301);
            assert_eq!((stage.mode().await, stage.fetches()), (Some(Mode::Enforce), 3));
        }
        stage.seconds_later(86_400);
        assert_eq!(stage.mode().await, None, "but not its own end");
    }

    #[tokio::test]
    async fn what_cannot_be_fetched_counts_as_none_and_is_not_asked_for_at_every_mail() {
        let stage = Stage::new();
        *stage.files.text.write() = Err("status 404".into());
        assert_eq!((stage.mode().await, stage.mode().await, stage.fetches()), (None, None, 1));
        stage.seconds_later(301);
        *stage.files.text.write() = Ok(ENFORCE.into());
        assert_eq!((stage.mode().await, stage.fetches()), (Some(Mode::Enforce), 2));
    }
}
