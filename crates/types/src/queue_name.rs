use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// From its text, taken as it is.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// Its text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

name_type! {
    /// The name of a scheduled queue: `[campaign:][tenant]@domain[!routing_domain]`.
    QueueName
}

name_type! {
    /// The name of a ready queue: `SOURCE->SITE@PROTOCOL`. Several scheduled queues feed one ready queue.
    ReadyQueueName
}

/// The parts of a [`QueueName`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueParts<'a> {
    /// Before the `:`.
    pub campaign: Option<&'a str>,
    /// Before the `@`, behind the `:` if there is one.
    pub tenant: Option<&'a str>,
    /// Behind the `@`, or everything.
    pub domain: &'a str,
    /// Behind the `!`.
    pub routing_domain: Option<&'a str>,
}

impl QueueName {
    /// The domain of the queue that holds injections by HTTP whose messages are generated later.
    pub const GENERATOR: &'static str = "generator.kumomta.internal";
    /// The domain of the queue that holds mail whose policy runs after it was taken (`deferred_queue` of SMTP listeners).
    pub const DEFERRED_SMTP_INJECT: &'static str = "deferred_smtp_inject.kumomta.internal";

    /// The queue of a message: the domain is lower-cased, empty parts count as absent.
    pub fn compose(campaign: Option<&str>, tenant: Option<&str>, domain: &str, routing: Option<&str>) -> Self {
        let campaign = campaign.filter(|c| !c.is_empty());
        let tenant = tenant.filter(|t| !t.is_empty());
        let mut name = String::with_capacity(domain.len() + 32);
        if let Some(campaign) = campaign {
            name.push_str(campaign);
            name.push(':');
        }
        if let Some(tenant) = tenant {
            // Else what is before its `:` would be read as a campaign.
            if campaign.is_none() && tenant.contains(':') {
                name.push(':');
            }
            name.push_str(tenant);
        }
        // An `@` further behind would be read as the one that ends the tenant.
        let odd = domain.contains('@') || routing.is_some_and(|routing| routing.contains('@'));
        if campaign.is_some() || tenant.is_some() || odd {
            name.push('@');
        }
        name.push_str(&domain.to_lowercase());
        if let Some(routing) = routing.filter(|r| !r.is_empty()) {
            name.push('!');
            name.push_str(routing);
        }
        QueueName::new(name)
    }

    /// Splits the name at the first `@`, then at the first `:` before it and the first `!` behind it.
    pub fn parts(&self) -> QueueParts<'_> {
        let (prefix, rest) = match self.as_str().split_once('@') {
            Some((prefix, rest)) => (Some(prefix), rest),
            None => (None, self.as_str()),
        };
        let (campaign, tenant) = match prefix.map(|p| p.split_once(':').ok_or(p)) {
            None => (None, None),
            Some(Ok((campaign, tenant))) => (Some(campaign), Some(tenant)),
            Some(Err(tenant)) => (None, Some(tenant)),
        };
        let (domain, routing_domain) = match rest.split_once('!') {
            Some((domain, routing)) => (domain, Some(routing)),
            None => (rest, None),
        };
        QueueParts {
            campaign: campaign.filter(|c| !c.is_empty()),
            tenant: tenant.filter(|t| !t.is_empty()),
            domain,
            routing_domain: routing_domain.filter(|r| !r.is_empty()),
        }
    }

    /// True for the queue whose messages are accepted and thrown away.
    pub fn is_null(&self) -> bool {
        self.as_str() == "null"
    }
}

impl ReadyQueueName {
    /// `SOURCE->SITE@PROTOCOL`.
    pub fn compose(source: &str, site: &str, protocol: &str) -> Self {
        ReadyQueueName::new(format!("{source}->{site}@{protocol}"))
    }

    /// The way of delivery that it is for: `lua`, `smtp_client`, `maildir`.
    pub fn protocol(&self) -> &str {
        let name = self.as_str();
        // Asked for each attempt: the library's search for a text prepares itself for longer ones than this.
        let arrow = name.as_bytes().windows(2).position(|two| two == b"->");
        let rest = arrow.map_or(name, |at| &name[at + 2..]);
        let protocol = rest.split_once('@').map_or("", |(_, protocol)| protocol);
        protocol.split_once(':').map_or(protocol, |(protocol, _)| protocol)
    }

    /// Its label `service` in metrics: `lua:NAME` (contract section 9).
    pub fn service(&self) -> String {
        format!("{}:{self}", self.protocol())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_compose_and_split() {
        for (c, t, r, name) in [
            (Some("c"), Some("t"), None, "c:t@d.example"),
            (Some("c"), None, None, "c:@d.example"),
            (None, Some("t"), None, "t@d.example"),
            (None, None, None, "d.example"),
            (Some("c"), Some("t"), Some("r.example"), "c:t@d.example!r.example"),
            (None, None, Some("r.example"), "d.example!r.example"),
        ] {
            let queue = QueueName::compose(c, t, "D.example", r);
            assert_eq!(queue.as_str(), name);
            let expected = QueueParts { campaign: c, tenant: t, domain: "d.example", routing_domain: r };
            assert_eq!(queue.parts(), expected);
        }
    }

    #[test]
    fn a_tenant_with_a_colon_stays_the_tenant() {
        let name = QueueName::compose(None, Some("a:b"), "d.example", None);
        assert_eq!(name.as_str(), ":a:b@d.example");
        assert_eq!((name.parts().campaign, name.parts().tenant), (None, Some("a:b")));
        let both = QueueName::compose(Some("c"), Some("a:b"), "d.example", None);
        assert_eq!((both.parts().campaign, both.parts().tenant), (Some("c"), Some("a:b")));
    }

    #[test]
    fn a_domain_with_an_at_sign_stays_the_domain() {
        let odd = QueueName::new("@a@b");
        assert_eq!((odd.parts().tenant, odd.parts().domain), (None, "a@b"));
        assert_eq!(QueueName::compose(None, None, "a@b", None), odd);
        assert_eq!(QueueName::compose(None, None, "a", Some("@b")).as_str(), "@a!@b");
    }

    #[test]
    fn a_ready_queue_tells_its_protocol_and_its_label() {
        let hook = ReadyQueueName::compose("unspecified", "webhook.log_hook", "lua:make.webhook.log_hook");
        assert_eq!(hook.protocol(), "lua");
        assert_eq!(hook.service(), "lua:unspecified->webhook.log_hook@lua:make.webhook.log_hook");
        let file = ReadyQueueName::compose("unspecified", "a.example", "maildir:/var/mail/{{ user }}@{{ domain }}");
        assert_eq!((file.protocol(), ReadyQueueName::new("nothing").protocol()), ("maildir", ""));
        let mail = ReadyQueueName::compose("src1", "mx.example.com", "smtp_client");
        assert_eq!(
            (mail.protocol(), &*mail.service()),
            ("smtp_client", "smtp_client:src1->mx.example.com@smtp_client")
        );
    }

    #[test]
    fn a_chosen_queue_keeps_its_case() {
        assert_eq!(QueueName::new("Webhook.Log_Hook").parts().domain, "Webhook.Log_Hook");
    }
}
