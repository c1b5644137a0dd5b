//! The mails of the demo, and the events that each must cause.

use std::collections::BTreeSet;
use std::fmt;

use super::event::Event;

/// The domains whose fate the example policy decides.
pub(super) const DOMAINS: [&str; 3] = ["delivered.example", "deferred.example", "bounced.example"];

/// A mail and what becomes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mail {
    /// To whom.
    pub(super) recipient: &'static str,
    /// About what.
    pub(super) subject: &'static str,
    /// The event that follows its reception.
    pub(super) outcome: &'static str,
}

/// What the demo sends.
pub(super) const HANDFUL: &[Mail] = &[
    Mail { recipient: "ada@delivered.example", subject: "The first one", outcome: "Delivery" },
    Mail { recipient: "ben@delivered.example", subject: "The second one", outcome: "Delivery" },
    Mail { recipient: "cleo@deferred.example", subject: "Not now", outcome: "TransientFailure" },
    Mail { recipient: "dan@bounced.example", subject: "Not ever", outcome: "Bounce" },
    Mail { recipient: "eve@delivered.example", subject: "The last one", outcome: "Delivery" },
];

/// Events that have not come yet.
#[derive(Debug, Default)]
pub(super) struct Expected(BTreeSet<(&'static str, &'static str)>);

impl Expected {
    /// Expects the events of a mail: its reception and its outcome.
    pub(super) fn add(&mut self, mail: &Mail) {
        self.0.extend([(mail.recipient, "Reception"), (mail.recipient, mail.outcome)]);
    }

    /// Notes that an event has come.
    pub(super) fn note(&mut self, event: &Event) {
        self.0.retain(|(recipient, kind)| (*recipient, *kind) != (event.recipient.as_str(), event.kind.as_str()));
    }

    /// Whether all have come.
    pub(super) fn is_met(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(|(recipient, kind)| format!("{kind} of {recipient}")).collect();
        write!(f, "{}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(kind: &str, recipient: &str) -> Event {
        Event { kind: kind.into(), recipient: recipient.into(), response: String::new(), happened: Duration::ZERO }
    }

    #[test]
    fn every_mail_is_expected_twice_and_repeats_do_not_count() {
        let mut expected = Expected::default();
        expected.add(&HANDFUL[2]);
        expected.note(&event("Reception", "cleo@deferred.example"));
        expected.note(&event("Reception", "cleo@deferred.example"));
        assert_eq!(expected.to_string(), "TransientFailure of cleo@deferred.example");
        assert!(!expected.is_met());
        expected.note(&event("TransientFailure", "cleo@deferred.example"));
        assert!(expected.is_met());
    }

    #[test]
    fn each_fate_is_among_the_mails() {
        for domain in DOMAINS {
            assert!(HANDFUL.iter().any(|mail| mail.recipient.ends_with(&format!("@{domain}"))), "{domain}");
        }
    }
}
