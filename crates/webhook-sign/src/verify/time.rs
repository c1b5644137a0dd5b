use super::{Received, Refusal, klev, seconds, standard, third_party, timed};

/// Schemes whose signatures cover a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timed {
    /// [`super::klev`].
    Klev,
    /// [`super::standard`].
    Standard,
    /// [`super::slack`].
    Slack,
    /// [`super::stripe`].
    Stripe,
}

/// The second at which a message says that it was signed. Whoever has checked the message may believe it; together with
/// the body it tells a repetition of the very same bytes from everything else.
///
/// # Errors
/// When the header is missing or cannot be read.
pub fn signed_at(scheme: Timed, received: &Received<'_>) -> Result<i64, Refusal> {
    let listed = |name, separator| Ok(timed(received.one(name)?, separator, name)?.0);
    match scheme {
        Timed::Klev => listed(klev::SIGNATURE, ';'),
        Timed::Stripe => listed(third_party::STRIPE, ','),
        Timed::Standard => seconds(received.one(standard::TIMESTAMP)?, standard::TIMESTAMP),
        Timed::Slack => seconds(received.one(third_party::SLACK_TIME)?, third_party::SLACK_TIME),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_its_time_where_its_signature_has_it() {
        for (scheme, name, value) in [
            (Timed::Klev, "X-Klev-Signature", "t=17;v1=00"),
            (Timed::Stripe, "Stripe-Signature", "v1=00,t=17"),
            (Timed::Standard, "webhook-timestamp", "17"),
            (Timed::Slack, "X-Slack-Request-Timestamp", "17"),
        ] {
            let headers = [(name, value.as_bytes())];
            assert_eq!(signed_at(scheme, &Received { headers: &headers, body: b"" }), Ok(17));
            assert!(signed_at(scheme, &Received { headers: &[], body: b"" }).is_err());
        }
    }
}
