use crate::{Mode, Policy, PolicyId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_types::Timestamp;

/// How long what is known of a domain is not asked for again, whatever came of the last time: the DNS is asked this often,
/// and a server of policies that is down no more often.
const ASK_AGAIN: Duration = Duration::from_secs(5 * 60);
/// No policy is forgotten sooner, whatever its owner says: it counts for the mail that it was fetched for.
const SHORTEST: Duration = ASK_AGAIN;
/// A policy that is this old is fetched again although its id is the same, long before its end: whoever keeps us from
/// fetching it would have to do so for all of `max_age` (RFC 8461 section 10.2).
const REFRESH: Duration = Duration::from_secs(24 * 3600);

/// What is known of the policies of domains. The caller asks the DNS and fetches, and tells what came of it.
///
/// A policy that was fetched goes on until the end of its `max_age`, whether or not the domain can be asked in between
/// (RFC 8461 section 3.3). There are never more domains than it has room for: the one that was not used for the longest
/// time goes, those without a policy first.
#[derive(Debug)]
pub struct Cache {
    domains: HashMap<Box<str>, Known>,
    capacity: usize,
}

#[derive(Debug)]
struct Known {
    held: Option<Held>,
    ask_again: Timestamp,
    used: Timestamp,
}

#[derive(Debug)]
struct Held {
    id: PolicyId,
    policy: Arc<Policy>,
    refresh: Timestamp,
    until: Timestamp,
}

impl Known {
    /// The policy that counts now. One of mode `none` is the domain's word that it has none.
    fn policy(&self, now: Timestamp) -> Option<Arc<Policy>> {
        let held = self.held.as_ref().filter(|held| now < held.until)?;
        (held.policy.mode != Mode::None).then(|| held.policy.clone())
    }
}

impl Cache {
    /// With room for so many domains, at least one.
    pub fn new(capacity: usize) -> Self {
        Cache { domains: HashMap::new(), capacity: capacity.max(1) }
    }

    /// What is known of a domain. `None` when it is to be asked.
    pub fn get(&mut self, domain: &str, now: Timestamp) -> Option<Option<Arc<Policy>>> {
        let known = self.domains.get_mut(domain)?;
        known.used = now;
        (now < known.ask_again).then(|| known.policy(now))
    }

    /// Whether the policy that a domain announces has to be fetched.
    pub fn wants(&self, domain: &str, id: &PolicyId, now: Timestamp) -> bool {
        let held = self.domains.get(domain).and_then(|known| known.held.as_ref());
        held.is_none_or(|held| held.id != *id || now >= held.refresh || now >= held.until)
    }

    /// It was fetched. Gives the policy that counts.
    pub fn fetched(&mut self, domain: &str, id: PolicyId, policy: Policy, now: Timestamp) -> Option<Arc<Policy>> {
        let until = now + policy.max_age.max(SHORTEST);
        let held = Held { id, policy: Arc::new(policy), refresh: now + REFRESH, until };
        self.put(domain, Some(held), now)
    }

    /// There was nothing to fetch, or nothing came of it: the one that is held goes on. Gives the policy that counts.
    pub fn unchanged(&mut self, domain: &str, now: Timestamp) -> Option<Arc<Policy>> {
        let held = self.domains.remove(domain).and_then(|known| known.held);
        self.put(domain, held.filter(|held| now < held.until), now)
    }

    /// How many domains are remembered.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    fn put(&mut self, domain: &str, held: Option<Held>, now: Timestamp) -> Option<Arc<Policy>> {
        if self.domains.len() >= self.capacity && !self.domains.contains_key(domain) {
            self.make_room(now);
        }
        let known = Known { held, ask_again: now + ASK_AGAIN, used: now };
        let policy = known.policy(now);
        self.domains.insert(domain.into(), known);
        policy
    }

    /// A tenth at a time, so that not every new domain looks through all.
    fn make_room(&mut self, now: Timestamp) {
        let worth = |known: &Known| (known.policy(now).is_some(), known.used);
        let mut order: Vec<_> = self.domains.values().map(worth).collect();
        let last = self.capacity.div_ceil(10) - 1;
        let (_, limit, _) = order.select_nth_unstable(last);
        let (limit, mut left) = (*limit, last + 1);
        self.domains.retain(|_, known| {
            let goes = left > 0 && worth(known) <= limit;
            left -= usize::from(goes);
            !goes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::announced;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    fn id(text: &str) -> PolicyId {
        announced(&[format!("v=STSv1; id={text}").into_bytes()]).unwrap()
    }

    fn policy(mode: &str, max_age: u64) -> Policy {
        Policy::parse(format!("version: STSv1\nmode: {mode}\nmx: mx.example\nmax_age: {max_age}").as_bytes()).unwrap()
    }

    #[test]
    fn a_policy_is_fetched_once_an_id_and_once_a_day() {
        let mut cache = Cache::new(10);
        let start = at(0);
        assert_eq!(cache.get("a.example", start), None);
        assert!(cache.wants("a.example", &id("1"), start));
        let held = cache.fetched("a.example", id("1"), policy("enforce", 604_800), start).unwrap();
        assert_eq!(cache.get("a.example", start + 4 * MINUTE), Some(Some(held.clone())));
        let later = start + 5 * MINUTE;
        assert_eq!(cache.get("a.example", later), None, "the DNS is asked again");
        assert!(!cache.wants("a.example", &id("1"), later), "and the same id is the same policy");
        assert!(cache.wants("a.example", &id("2"), later));
        assert_eq!(cache.unchanged("a.example", later), Some(held));
        assert!(cache.wants("a.example", &id("1"), start + DAY), "once a day all the same");
    }

    #[test]
    fn a_policy_goes_on_until_its_end_when_the_domain_cannot_be_asked() {
        let mut cache = Cache::new(10);
        cache.fetched("a.example", id("1"), policy("enforce", 3600), at(0));
        assert!(cache.unchanged("a.example", at(3599)).is_some());
        assert_eq!(cache.get("a.example", at(3600)), Some(None), "its time is over");
        assert_eq!(cache.unchanged("a.example", at(3600)), None);
        assert!(cache.wants("a.example", &id("1"), at(3601)));
    }

    #[test]
    fn a_policy_that_may_not_be_kept_counts_for_the_mail_it_was_fetched_for() {
        let mut cache = Cache::new(10);
        assert!(cache.fetched("a.example", id("1"), policy("enforce", 0), at(0)).is_some());
        assert!(matches!(cache.get("a.example", at(299)), Some(Some(_))));
        assert_eq!(cache.get("a.example", at(300)), None);
    }

    #[test]
    fn mode_none_takes_the_place_of_a_policy() {
        let mut cache = Cache::new(10);
        cache.fetched("a.example", id("1"), policy("enforce", 604_800), at(0));
        assert_eq!(cache.fetched("a.example", id("2"), policy("none", 604_800), at(400)), None);
        assert_eq!(cache.get("a.example", at(401)), Some(None));
        assert!(!cache.wants("a.example", &id("2"), at(800)));
    }

    #[test]
    fn a_domain_without_a_policy_is_not_asked_at_every_mail() {
        let mut cache = Cache::new(10);
        assert_eq!(cache.unchanged("a.example", at(0)), None);
        assert_eq!(cache.get("a.example", at(299)), Some(None));
        assert_eq!(cache.get("a.example", at(300)), None);
    }

    #[test]
    fn when_there_is_no_room_domains_without_a_policy_go_first_then_those_not_used_for_long() {
        let mut cache = Cache::new(10);
        for number in 0..9 {
            cache.fetched(&format!("p{number}"), id("1"), policy("enforce", 604_800), at(number));
        }
        cache.unchanged("none", at(50));
        cache.get("p0", at(60));
        cache.unchanged("new", at(61));
        assert_eq!((cache.len(), cache.get("none", at(62))), (10, None), "the one without a policy went");
        cache.fetched("p9", id("1"), policy("enforce", 604_800), at(70));
        assert!(matches!(cache.get("p0", at(71)), Some(Some(_))), "it was just used");
        cache.fetched("p10", id("1"), policy("enforce", 604_800), at(72));
        assert_eq!((cache.len(), cache.get("p1", at(73))), (10, None));
        assert!(Cache::new(0).unchanged("one", at(0)).is_none(), "there is room for one at least");
    }
}
