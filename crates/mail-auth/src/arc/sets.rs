//! The fields of a chain, by instance.

use mail_auth::arc::{ChainValidation, Results, Seal, Signature};
use mail_auth::common::crypto::Algorithm;

use super::{MESSAGE, MOST_SETS, RESULTS, SEAL};
use crate::mail::{Field, Mail};

/// What one host added.
pub(crate) struct Set<'a> {
    pub(crate) results: Field<'a>,
    pub(crate) message: Field<'a>,
    pub(crate) message_parsed: Signature,
    pub(crate) seal: Field<'a>,
    pub(crate) seal_parsed: Seal,
}

impl<'a> Set<'a> {
    /// The fields that a seal covers, in their order (RFC 8617, section 5.1.1).
    pub(crate) fn fields(&self) -> [Field<'a>; 3] {
        [self.results, self.message, self.seal]
    }
}

/// The sets of a mail in their order, complete and numbered from 1; or what is wrong with them.
pub(crate) fn of<'a>(mail: &Mail<'a>) -> Result<Vec<Set<'a>>, String> {
    let mut results = read(mail, RESULTS, |value| Results::parse(value).map(|parsed| (parsed.i, parsed)))?;
    let mut messages = read(mail, MESSAGE, |value| Signature::parse(value).map(|parsed| (parsed.i, parsed)))?;
    let mut seals = read(mail, SEAL, |value| Seal::parse(value).map(|parsed| (parsed.i, parsed)))?;
    if results.len() != seals.len() || messages.len() != seals.len() {
        return Err("a set is not complete".to_owned());
    }
    let mut sets = Vec::with_capacity(seals.len());
    for instance in 1..=u32::try_from(seals.len()).unwrap_or(u32::MAX) {
        let missing = |name: &str| format!("there is no {name} with i={instance}");
        let (results, _) = take(&mut results, instance).ok_or_else(|| missing(RESULTS))?;
        let (message, message_parsed) = take(&mut messages, instance).ok_or_else(|| missing(MESSAGE))?;
        let (seal, seal_parsed) = take(&mut seals, instance).ok_or_else(|| missing(SEAL))?;
        let set = Set { results, message, message_parsed, seal, seal_parsed };
        judge(&set, instance)?;
        sets.push(set);
    }
    Ok(sets)
}

type Read<'a, T> = Vec<(u32, Field<'a>, T)>;

fn read<'a, T>(
    mail: &Mail<'a>,
    name: &str,
    parse: impl Fn(&'a [u8]) -> mail_auth::Result<(u32, T)>,
) -> Result<Read<'a, T>, String> {
    let mut found = Vec::new();
    for field in mail.named(name) {
        if found.len() == MOST_SETS {
            return Err(format!("there are more than {MOST_SETS} sets"));
        }
        let (instance, parsed) = parse(field.1).map_err(|error| format!("{name}: {error}"))?;
        found.push((instance, field, parsed));
    }
    Ok(found)
}

fn take<'a, T>(from: &mut Read<'a, T>, instance: u32) -> Option<(Field<'a>, T)> {
    let index = from.iter().position(|(known, ..)| *known == instance)?;
    let (_, field, parsed) = from.swap_remove(index);
    Some((field, parsed))
}

/// What a set must say whatever its signatures are worth.
fn judge(set: &Set<'_>, instance: u32) -> Result<(), String> {
    let says = match (instance, &set.seal_parsed.cv) {
        (1, ChainValidation::None) | (2.., ChainValidation::Pass) => Ok(()),
        (_, ChainValidation::Fail) => Err("the chain was broken before"),
        _ => Err("the tag cv does not fit"),
    };
    says.map_err(|why| format!("{SEAL} with i={instance}: {why}"))?;
    for (name, algorithm) in [(SEAL, set.seal_parsed.a), (MESSAGE, set.message_parsed.a)] {
        if algorithm == Algorithm::RsaSha1 {
            return Err(format!("{name} with i={instance}: rsa-sha1 is not accepted (RFC 8301)"));
        }
    }
    if set.message_parsed.h.iter().any(|name| name.eq_ignore_ascii_case(SEAL)) {
        return Err(format!("{MESSAGE} with i={instance}: it may not sign a seal"));
    }
    Ok(())
}
