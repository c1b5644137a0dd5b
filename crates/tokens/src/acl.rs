use std::fmt;
use std::str::FromStr;

/// A longer object names nothing of ours.
const MAX_OBJECT: usize = 256;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum $name { $($(#[$about])* $variant),+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }

            fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a permission is about.
    Subject {
        /// Egress webhooks of logs.
        EgressWebhooks = "egress_webhooks",
        /// Filters between logs.
        Filters = "filters",
        /// Ingress webhooks of logs.
        IngressWebhooks = "ingress_webhooks",
        /// Logs.
        Logs = "logs",
        /// Messages in logs; the object is the log.
        Messages = "messages",
        /// Offsets of logs.
        Offsets = "offsets",
        /// Tokens.
        Tokens = "tokens",
        /// Event hooks (contract/kong-event-hooks.md).
        EventHooks = "event_hooks",
        /// The daemon itself: hooks of the policy, for one.
        Admin = "admin",
    }
}

words! {
    /// What may be done with it.
    Action {
        /// See that there are any.
        List = "list",
        /// Make one.
        Create = "create",
        /// See one.
        Get = "get",
        /// Change one.
        Update = "update",
        /// End one.
        Delete = "delete",
        /// Put messages into a log.
        Publish = "publish",
        /// Read messages of a log.
        Consume = "consume",
        /// Trim and compact a log.
        Cleanup = "cleanup",
        /// Replace a secret.
        Rotate = "rotate",
        /// See how it does.
        Status = "status",
        /// Have code of one's own run: event hooks with the handler `lambda`. Has to be named, see [`Permission`].
        Lambda = "lambda",
    }
}

impl Subject {
    fn takes(self, action: Action) -> bool {
        action != Action::Lambda || self == Subject::EventHooks
    }
}

/// One line of an access list: `subject[:action[:object]]`.
///
/// Without an object it is about all of them, without an action about every action, but for [`Action::Lambda`]: whoever may
/// run code of their own was given that by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Permission {
    subject: Subject,
    action: Option<Action>,
    object: Option<String>,
}

/// Why a text is no permission.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AclError {
    /// It begins with no subject.
    #[error("{0:?} begins with no subject, expected one of {known}", known = list(Subject::ALL.iter().copied()))]
    Subject(String),
    /// What follows the subject is no action of it.
    #[error(
        "{text:?} names no action of {subject}, expected one of {known}",
        known = list(Action::ALL.iter().copied().filter(|action| subject.takes(*action)))
    )]
    Action {
        /// What was given.
        text: String,
        /// What it begins with.
        subject: Subject,
    },
    /// What follows the action names nothing.
    #[error("{0:?}: the object behind the action has to be 1 to 256 characters that can be seen; leave it out for all")]
    Object(String),
}

impl AclError {
    /// The code that klev's clients know. They have none for an object.
    pub const fn code(&self) -> &'static str {
        match self {
            AclError::Subject(_) => "acl-subject-invalid",
            AclError::Action { .. } | AclError::Object(_) => "acl-action-invalid",
        }
    }
}

fn list(words: impl Iterator<Item = impl fmt::Display>) -> String {
    words.map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}

/// So much of a text is repeated in an error.
fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

impl Permission {
    /// Everything that can be done with a subject, whatever the object, but for [`Action::Lambda`].
    pub const fn all_of(subject: Subject) -> Self {
        Permission { subject, action: None, object: None }
    }

    /// One action, whatever the object.
    pub const fn of(subject: Subject, action: Action) -> Self {
        Permission { subject, action: Some(action), object: None }
    }

    /// Whether it allows this; without an object the question is about all of them.
    pub fn permits(&self, subject: Subject, action: Action, object: Option<&str>) -> bool {
        let action_fits = self.action.map_or(action != Action::Lambda, |own| own == action);
        let object_fits = self.object.is_none() || self.object.as_deref() == object;
        self.subject == subject && action_fits && object_fits
    }

    /// Whether it allows all that `other` allows.
    fn includes(&self, other: &Permission) -> bool {
        let action_fits = match (self.action, other.action) {
            (None, None) => true,
            (None, Some(action)) => action != Action::Lambda,
            (own, action) => own == action,
        };
        self.subject == other.subject && action_fits && (self.object.is_none() || self.object == other.object)
    }
}

impl FromStr for Permission {
    type Err = AclError;

    fn from_str(text: &str) -> Result<Self, AclError> {
        let mut parts = text.splitn(3, ':');
        let subject = parts.next().and_then(Subject::from_word).ok_or_else(|| AclError::Subject(shown(text)))?;
        let wrong_action = || AclError::Action { text: shown(text), subject };
        let action = match parts.next() {
            None => None,
            Some(word) => {
                Some(Action::from_word(word).filter(|action| subject.takes(*action)).ok_or_else(wrong_action)?)
            }
        };
        let visible = |object: &str| {
            let length = object.chars().count();
            (1..=MAX_OBJECT).contains(&length) && !object.chars().any(|c| c.is_control() || c.is_whitespace())
        };
        let object = match parts.next() {
            None => None,
            Some(object) if visible(object) => Some(object.to_owned()),
            Some(_) => return Err(AclError::Object(shown(text))),
        };
        Ok(Permission { subject, action, object })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subject)?;
        if let Some(action) = self.action {
            write!(f, ":{action}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ":{object}")?;
        }
        Ok(())
    }
}

/// An access list: what is not in it is not allowed. In the order in which it was given, without repetitions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Acl(Vec<Permission>);

impl Acl {
    /// Reads one.
    ///
    /// # Errors
    /// Names the first line that is none.
    pub fn parse<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Result<Self, AclError> {
        lines.into_iter().map(|line| line.as_ref().parse()).collect()
    }

    /// Everything that there is, [`Action::Lambda`] included.
    pub fn everything() -> Self {
        let named = Permission::of(Subject::EventHooks, Action::Lambda);
        Subject::ALL.iter().copied().map(Permission::all_of).chain([named]).collect()
    }

    /// Whether it allows this.
    pub fn permits(&self, subject: Subject, action: Action, object: Option<&str>) -> bool {
        self.0.iter().any(|permission| permission.permits(subject, action, object))
    }

    /// Whether every line of `other` is within a line of this. Never says yes where `other` allows more; a list of all
    /// actions by name is not taken for a subject without action, as that will allow what comes later, too.
    pub fn includes(&self, other: &Acl) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|own| own.includes(theirs)))
    }

    /// Its lines.
    pub fn permissions(&self) -> &[Permission] {
        &self.0
    }

    /// Those lines that may be handed on without being named: neither [`Subject::Admin`] nor [`Action::Lambda`].
    #[must_use]
    pub fn harmless(&self) -> Acl {
        let harmless = |permission: &&Permission| {
            permission.subject != Subject::Admin && permission.action != Some(Action::Lambda)
        };
        self.0.iter().filter(harmless).cloned().collect()
    }

    /// Its lines as texts.
    pub fn lines(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

impl FromIterator<Permission> for Acl {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let mut seen = std::collections::HashSet::new();
        Acl(permissions.into_iter().filter(|permission| seen.insert(permission.clone())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(text: &str) -> Permission {
        text.parse().unwrap()
    }

    #[test]
    fn every_subject_and_action_of_the_contract_is_read_and_printed_as_it_was() {
        let subjects = "egress_webhooks filters ingress_webhooks logs messages offsets tokens event_hooks admin";
        let actions = "list create get update delete publish consume cleanup rotate status";
        for subject in subjects.split(' ') {
            assert_eq!(permission(subject).to_string(), subject);
            for action in actions.split(' ') {
                for text in [format!("{subject}:{action}"), format!("{subject}:{action}:log_x:y")] {
                    assert_eq!(permission(&text).to_string(), text);
                }
            }
        }
        assert_eq!(Subject::ALL.len(), subjects.split(' ').count());
        assert_eq!(Action::ALL.len(), actions.split(' ').count() + 1);
    }

    #[test]
    fn what_is_no_permission_names_its_code_and_what_there_is() {
        for (text, code, words) in [
            ("", "acl-subject-invalid", "egress_webhooks, filters"),
            ("log", "acl-subject-invalid", "\"log\" begins with no subject"),
            ("Logs", "acl-subject-invalid", "logs"),
            (" logs", "acl-subject-invalid", "logs"),
            ("*", "acl-subject-invalid", "admin"),
            ("*:get", "acl-subject-invalid", "admin"),
            ("logs:", "acl-action-invalid", "list, create, get"),
            ("logs:read", "acl-action-invalid", "no action of logs"),
            ("logs:*", "acl-action-invalid", "status"),
            ("logs:lambda", "acl-action-invalid", "no action of logs"),
            ("logs::log_x", "acl-action-invalid", "list"),
            ("logs:get:", "acl-action-invalid", "leave it out for all"),
            ("logs:get:a b", "acl-action-invalid", "can be seen"),
            ("logs:get:a\r\nb", "acl-action-invalid", "can be seen"),
        ] {
            let error = text.parse::<Permission>().unwrap_err();
            assert_eq!(error.code(), code, "{text:?}");
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = format!("logs:get:{}", "x".repeat(100_000)).parse::<Permission>().unwrap_err().to_string();
        assert!(error.len() < 300, "{error}");
    }

    #[test]
    fn a_subject_alone_is_every_action_but_lambda_on_every_object() {
        let hooks = permission("event_hooks");
        assert!(hooks.permits(Subject::EventHooks, Action::Create, None));
        assert!(hooks.permits(Subject::EventHooks, Action::Delete, Some("x")));
        assert!(!hooks.permits(Subject::Logs, Action::Get, Some("x")));
        assert!(!hooks.permits(Subject::EventHooks, Action::Lambda, None), "code of one's own has to be named");
        assert!(permission("event_hooks:lambda").permits(Subject::EventHooks, Action::Lambda, None));
        assert!(!hooks.includes(&permission("event_hooks:lambda")));
        assert!(Acl::everything().includes(&Acl::parse(["event_hooks:lambda"]).unwrap()));
    }

    #[test]
    fn an_object_is_that_one_and_no_question_about_all() {
        let one = permission("logs:get:log_a");
        assert!(one.permits(Subject::Logs, Action::Get, Some("log_a")));
        assert!(!one.permits(Subject::Logs, Action::Get, Some("log_ab")));
        assert!(!one.permits(Subject::Logs, Action::Get, None));
        assert!(permission("logs:get").includes(&one) && permission("logs").includes(&one));
        assert!(!one.includes(&permission("logs:get")));
    }

    #[test]
    fn a_list_keeps_its_order_and_says_nothing_twice() {
        let acl = Acl::parse(["tokens", "logs:get", "tokens", "admin", "event_hooks:lambda"]).unwrap();
        assert_eq!(acl.lines(), ["tokens", "logs:get", "admin", "event_hooks:lambda"]);
        assert_eq!(acl.harmless().lines(), ["tokens", "logs:get"]);
        assert!(!Acl::default().permits(Subject::Logs, Action::Get, None), "an empty list allows nothing");
    }
}
