//! Taking out of an SMTP response what differs from message to message.
//!
//! Best effort, for grouping similar responses; it is not a promise that nothing personal is left.

use std::net::IpAddr;

/// Shorter runs of letters and digits are words or codes (`5.7.1`, `mx1`), not identifiers.
const MIN_HASH_LEN: usize = 10;
/// How many letters, and how many digits, an identifier has at least.
const MIN_HASH_OF_EACH: usize = 3;
/// Shorter text is too often a word that also happens to be valid base64.
const MIN_BASE64_LEN: usize = 16;
/// Punctuation that may stand around a value without being part of it.
const WRAPPING: &[char] = &['(', ')', '[', ']', '<', '>', '{', '}', '"', '\'', ',', ';', ':', '!', '.', '?'];

/// The response with identifiers, addresses and times replaced by names such as `{uuid}`. The blanks
/// between words stay as they are.
pub fn normalize_smtp_response(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (blank, after) = rest.split_at(rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len()));
        let (word, after) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
        out.push_str(blank);
        push_word(&mut out, word);
        rest = after;
    }
    out
}

fn push_word(out: &mut String, word: &str) {
    if let Some(token) = classify(word) {
        out.push_str(token);
        return;
    }
    let inner = word.trim_matches(WRAPPING);
    if inner.len() < word.len()
        && let Some(token) = classify(inner)
        && let Some((before, after)) = word.split_once(inner)
    {
        out.push_str(before);
        out.push_str(token);
        out.push_str(after);
        return;
    }
    // `lhs=rhs`: only the right side varies. An address in the left side would be found above.
    if let Some((left, right)) = word.split_once('=')
        && !right.is_empty()
        && !left.contains("://")
    {
        out.push_str(left);
        out.push('=');
        push_word(out, right);
        return;
    }
    out.push_str(word);
}

fn classify(word: &str) -> Option<&'static str> {
    // Words without a digit, `@` or sign are by far the most common.
    if word.is_empty() || word.bytes().all(|b| b.is_ascii_lowercase()) {
        None
    } else if is_timestamp(word) {
        Some("{timestamp}")
    } else if is_uuid(word) {
        Some("{uuid}")
    } else if is_ip_address(word) {
        Some("{ipaddr}")
    } else if is_email(word) {
        Some("{email}")
    } else if is_hash(word) {
        Some("{hash}")
    } else if is_base64(word) {
        Some("{base64}")
    } else {
        None
    }
}

fn is_timestamp(word: &str) -> bool {
    word.len() >= 20 && chrono::DateTime::parse_from_rfc3339(word).is_ok()
}

fn is_uuid(word: &str) -> bool {
    word.len() >= 32 && ::uuid::Uuid::try_parse(word).is_ok()
}

fn is_ip_address(word: &str) -> bool {
    // `::` alone is punctuation.
    word.len() > 2 && word.parse::<IpAddr>().is_ok()
}

fn is_email(word: &str) -> bool {
    let Some((local, domain)) = word.rsplit_once('@') else { return false };
    let local_char = |c: char| c.is_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
    let label_char = |c: char| c.is_alphanumeric() || c == '-';
    let literal = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let domain_is_good = match literal {
        Some(address) => address.trim_start_matches("IPv6:").parse::<IpAddr>().is_ok(),
        None => domain.split('.').all(|label| !label.is_empty() && label.chars().all(label_char)),
    };
    !local.is_empty() && local.chars().all(local_char) && domain_is_good
}

fn is_hash(word: &str) -> bool {
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let known = letters + digits + word.bytes().filter(|b| b".-_".contains(b)).count();
    known == word.len() && word.len() >= MIN_HASH_LEN && letters >= MIN_HASH_OF_EACH && digits >= MIN_HASH_OF_EACH
}

fn is_base64(word: &str) -> bool {
    let body = word.trim_end_matches('=');
    let padding = word.len() - body.len();
    let shape = word.len() >= MIN_BASE64_LEN && padding <= 2 && (padding == 0 || word.len().is_multiple_of(4));
    let alphabet = body.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(&b));
    // Both cases and a digit, or padding: else it is a long word, a path or a name.
    let varied = body.bytes().any(|b| b.is_ascii_lowercase())
        && body.bytes().any(|b| b.is_ascii_uppercase())
        && (padding > 0 || body.bytes().any(|b| b.is_ascii_digit()));
    shape && alphabet && varied
}
