//! What a domain announces of its MTA-STS policy, and the policy itself.

use waybill_mta_sts::{LONGEST_MAX_AGE, MOST_PATTERNS, Mode, Pattern, Policy, announced};

pub(crate) const WORDS: &[&str] = &[
    "v=STSv1;",
    "id=",
    "version: STSv1",
    "mode: ",
    "enforce",
    "testing",
    "none",
    "mx: ",
    "*.",
    "max_age: ",
    "9999999999",
    "\r\n",
    "\n",
    ":",
    ";",
];

/// A policy that is read says something, and the same when it is written down again; its patterns mean hosts and no more.
pub(crate) fn mta_sts(data: &[u8]) {
    if let Some(id) = announced(&[data.to_vec()]) {
        let id = id.to_string();
        assert!((1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id:?}");
        assert_eq!(announced(&[format!("v=STSv1; id={id};").into_bytes()]).map(|id| id.to_string()), Some(id));
        assert_eq!(announced(&[data.to_vec(), data.to_vec()]), None, "one of two is none");
    }
    let policy = match Policy::parse(data) {
        Ok(policy) => policy,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(policy.max_age <= LONGEST_MAX_AGE && policy.mx.len() <= MOST_PATTERNS);
    assert!(policy.mode == Mode::None || !policy.mx.is_empty());
    let mx: String = policy.mx.iter().map(|pattern| format!("mx: {pattern}\n")).collect();
    let again = format!("version: STSv1\nmode: {}\n{mx}max_age: {}\n", policy.mode, policy.max_age.as_secs());
    assert_eq!(Policy::parse(again.as_bytes()).as_ref(), Ok(&policy));
    for pattern in &policy.mx {
        let text = pattern.to_string();
        assert_eq!(Pattern::parse(&text).as_ref(), Some(pattern));
        let host = text.replacen('*', "host", 1);
        assert!(policy.lists(&host) && policy.lists(&format!("{}.", host.to_uppercase())), "{text}");
        assert!(!pattern.matches(&format!("one.more.{host}")), "{text}");
    }
}
