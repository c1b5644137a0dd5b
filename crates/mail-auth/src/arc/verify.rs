//! Whether a chain holds (RFC 8617, section 5.2).

use mail_auth::dkim::Canonicalization;
use waybill_dns::Resolver;

use super::sets::{self, Set};
use super::{MESSAGE, SEAL};
use crate::body;
use crate::dkim::fits;
use crate::domain_key::{PublicKey, Trouble};
use crate::mail::Mail;
use crate::result::AuthenticationResult;
use crate::tag;

/// What became of a chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChainStatus {
    /// There is none.
    None,
    /// Every seal holds, and the last host's signature.
    Pass,
    /// It does not hold, and why: the first thing that was found.
    Fail(String),
}

/// The chain of a mail, and whether it holds.
pub struct Chain<'a> {
    pub(super) mail: Mail<'a>,
    pub(super) sets: Vec<Set<'a>>,
    status: ChainStatus,
}

impl<'a> Chain<'a> {
    /// Reads the chain and hashes the body: what takes time and asks nobody. `now` is in seconds since 1970.
    pub fn begin(mail: &'a [u8], now: u64) -> Self {
        let mail = Mail::new(mail);
        let (sets, status) = match sets::of(&mail) {
            Ok(sets) => {
                let status = match sets.last().map(|last| body_fits(&mail, last, now)) {
                    None => ChainStatus::None,
                    Some(Ok(())) => ChainStatus::Pass,
                    Some(Err(why)) => ChainStatus::Fail(why),
                };
                (sets, status)
            }
            Err(why) => (Vec::new(), ChainStatus::Fail(why)),
        };
        Chain { mail, sets, status }
    }

    /// Asks for the keys, and compares. What cannot be asked for now fails as well; the reason says so.
    #[must_use]
    pub async fn finish(mut self, resolver: &dyn Resolver) -> Self {
        if self.status == ChainStatus::Pass
            && let Err(Trouble::Wrong(why) | Trouble::Never(why) | Trouble::Later(why)) = self.holds(resolver).await
        {
            self.status = ChainStatus::Fail(why);
        }
        self
    }

    async fn holds(&self, resolver: &dyn Resolver) -> Result<(), Trouble> {
        let Some(last) = self.sets.last() else { return Ok(()) };
        let signature = &last.message_parsed;
        let at = |name: &str, instance: usize| format!("{name} with i={instance}: ");
        let place = at(MESSAGE, self.sets.len());
        let key = PublicKey::find(resolver, &signature.s, &signature.d).await.map_err(|why| told(&place, why))?;
        fits(&self.mail, last.message, &signature.h, signature.ch, &signature.b, signature.a, &key)
            .map_err(|why| told(&place, why))?;
        for (index, set) in self.sets.iter().enumerate().rev() {
            let (seal, place) = (&set.seal_parsed, at(SEAL, index + 1));
            let key = PublicKey::find(resolver, &seal.s, &seal.d).await.map_err(|why| told(&place, why))?;
            let unsigned = tag::unsigned(set.seal.1);
            let before = self.sets[..index].iter().flat_map(Set::fields);
            let own = [set.results, set.message, (set.seal.0, &unsigned[..])];
            key.verify(before.chain(own), Canonicalization::Relaxed, &seal.b, seal.a)
                .map_err(|why| told(&place, why))?;
        }
        Ok(())
    }

    /// What became of it.
    pub fn status(&self) -> &ChainStatus {
        &self.status
    }

    /// The same as other checks have it.
    pub fn result(&self) -> AuthenticationResult {
        match &self.status {
            ChainStatus::None => AuthenticationResult::new("arc", "none"),
            ChainStatus::Pass => AuthenticationResult::new("arc", "pass"),
            ChainStatus::Fail(why) => AuthenticationResult::new("arc", "fail").because(why.as_str()),
        }
    }
}

fn told(place: &str, trouble: Trouble) -> Trouble {
    match trouble {
        Trouble::Wrong(why) => Trouble::Wrong(format!("{place}{why}")),
        Trouble::Never(why) => Trouble::Never(format!("{place}{why}")),
        Trouble::Later(why) => Trouble::Later(format!("{place}{why}")),
    }
}

/// Whether the last host signed this body.
fn body_fits(mail: &Mail<'_>, last: &Set<'_>, now: u64) -> Result<(), String> {
    let signature = &last.message_parsed;
    if signature.x != 0 && (signature.x <= signature.t || signature.x <= now) {
        return Err(format!("{MESSAGE}: it has expired"));
    }
    let limit = Some(signature.l).filter(|limit| *limit != 0);
    let body = body::hash(mail.body, signature.cb, limit);
    if body.hash != signature.bh || limit.is_some_and(|limit| limit != body.len) {
        return Err(format!("{MESSAGE}: the body is not the one that was signed"));
    }
    Ok(())
}
