//! Errors on their way from Lua to the caller and, for nested calls, back into Lua.

use std::error::Error as StdError;
use std::fmt;

use waybill_policy::{PolicyError, Rejected};

/// What `kumo.reject` and `kumo.disconnect` raise.
///
/// It is an error object of its own, not a text: it survives nesting, callbacks and a script that catches and raises it
/// again. `tostring` shows `451 later`, and a script that raises *that* has made a plain error of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RejectError(pub Rejected);

impl fmt::Display for RejectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for RejectError {}

/// What the watchdog raises.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Stopped(pub(crate) String);

/// An error that `tostring` shows as `text` and nothing before it: scripts match on these texts.
pub fn raise(text: impl Into<String>) -> mlua::Error {
    mlua::Error::external(text.into())
}

/// The rejection in an error, however deep it is wrapped.
pub fn rejection(error: &mlua::Error) -> Option<&Rejected> {
    find::<RejectError>(error).map(|reject| &reject.0)
}

/// Whether the watchdog raised it.
pub(crate) fn is_stopped(error: &mlua::Error) -> bool {
    find::<Stopped>(error).is_some()
}

/// The error that a caller of policy gets to see.
pub fn policy_error(error: &mlua::Error) -> PolicyError {
    if let Some(rejected) = rejection(error) {
        return PolicyError::Rejected(rejected.clone());
    }
    if let Some(Stopped(text)) = find::<Stopped>(error) {
        return PolicyError::TimedOut(text.as_str().into());
    }
    if let Some(error) = find::<PolicyError>(error) {
        return error.clone();
    }
    PolicyError::Failed(with_causes(error).trim_end().into())
}

/// The text of an error, with why behind it what an error of ours does not say by itself: that a request was refused, say.
/// A script sees its text alone, as it knows it.
fn with_causes(error: &mlua::Error) -> String {
    let text = error.to_string();
    let Some(root) = error.chain().last() else { return text };
    let mut causes: Vec<String> = Vec::new();
    let mut source = root.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    let said = root.to_string();
    // What is said by the error itself is not said again.
    if causes.is_empty() || said.is_empty() || causes.iter().any(|cause| said.contains(cause.as_str())) {
        return text;
    }
    text.replacen(&said, &format!("{said}: {}", causes.join(": ")), 1)
}

/// The error that a script gets to see of a call to policy that it made itself.
pub fn lua_error(error: PolicyError) -> mlua::Error {
    match error {
        PolicyError::Rejected(rejected) => mlua::Error::external(RejectError(rejected)),
        other => mlua::Error::external(other),
    }
}

fn find<T: StdError + 'static>(error: &mlua::Error) -> Option<&T> {
    if let Some(found) = error.downcast_ref::<T>() {
        return Some(found);
    }
    // An error of another crate may have wrapped the Lua error of a call that it made.
    let mut source = error.chain().last().and_then(StdError::source);
    while let Some(inner) = source {
        if let Some(found) = inner.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(found) = inner.downcast_ref::<mlua::Error>().and_then(find::<T>) {
            return Some(found);
        }
        source = inner.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlua::{Error, Lua};
    use std::sync::Arc;

    fn reject() -> Error {
        Error::external(RejectError(Rejected::new(451, "later")))
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Error);

    #[test]
    fn a_rejection_is_found_behind_callbacks_context_and_foreign_errors() {
        let callback = Error::CallbackError { traceback: String::new(), cause: Arc::new(reject()) };
        let twice = Error::CallbackError { traceback: String::new(), cause: Arc::new(callback.clone()) };
        let foreign = Error::external(Outer(callback.clone()));
        for error in [reject(), callback, twice, foreign] {
            assert_eq!(policy_error(&error).rejected().map(|r| r.code), Some(451), "{error:?}");
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("error sending request")]
    struct Sending(#[source] std::io::Error);

    #[test]
    fn an_error_of_ours_is_told_with_its_causes_and_a_script_sees_it_alone() {
        let lua = Lua::new();
        let send = |_: &Lua, ()| {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            Err::<(), _>(Error::external(Sending(refused)))
        };
        lua.globals().set("send", lua.create_function(send).unwrap()).unwrap();
        let caught: String = lua.load("local ok, e = pcall(send) return tostring(e):match '^[^\\n]*'").eval().unwrap();
        assert_eq!(caught, "error sending request");
        let PolicyError::Failed(text) = policy_error(&lua.load("send()").exec().unwrap_err()) else { panic!() };
        assert!(text.starts_with("error sending request: connection refused\nstack traceback:"), "{text}");
    }

    #[test]
    fn raising_the_text_of_a_rejection_makes_a_plain_error() {
        let lua = Lua::new();
        lua.globals().set("reject", lua.create_function(|_, ()| Err::<(), _>(reject())).unwrap()).unwrap();
        let same = lua.load("local ok, e = pcall(reject) error(e)").exec().unwrap_err();
        assert!(rejection(&same).is_some());
        let text = lua.load("local ok, e = pcall(reject) error(tostring(e))").exec().unwrap_err();
        assert!(matches!(policy_error(&text), PolicyError::Failed(text) if text.contains("451 later")));
    }
}
