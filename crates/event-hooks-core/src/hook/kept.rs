//! Secrets that a PATCH does not name: they are sent to whom they were given for, or have to be given again.
//!
//! Whoever may change a hook need not know its secrets. With another `url` of their choice they would be told them.

use super::show::is_secret_header;
use crate::{Document, Violations};
use serde_json::{Map, Value};
use waybill_webhook_core::Target;

/// A field within a `config`.
type Path = &'static [&'static str];

const URL: Path = &["url"];
const PROXY: Path = &["proxy", "url"];
const TOKEN_URL: Path = &["auth", "oauth2", "token_url"];
/// Who sees what a request carries. What goes through a proxy may be seen by it: whether the rest of the way is one that
/// it cannot look into (`ssl_verify`, `tls.ca`) is changed as easily.
const TARGET: &[Path] = &[URL, PROXY];

/// Secrets that are sent, each with the fields that name whom it is sent to. What signs (`secret`, `signatures`) and what proves
/// who we are (`tls.client_key`) never leaves.
const SENT: &[(Path, &[Path])] = &[
    (&["auth", "basic", "password"], TARGET),
    (&["auth", "bearer", "token"], TARGET),
    (&["auth", "oauth2", "client_secret"], &[URL, PROXY, TOKEN_URL]),
    (&["proxy", "password"], &[PROXY]),
];

/// A `config` before and after a PATCH, and what that says of it.
struct Change<'a> {
    old: Option<&'a Map<String, Value>>,
    new: &'a Map<String, Value>,
    given: Option<&'a Map<String, Value>>,
}

/// What `patch` makes of a description, unless it would send a secret that it does not name to somebody else.
pub(super) fn patched(old: &Document, patch: &Document) -> Result<Document, Violations> {
    let merged = old.clone().merged(patch.clone());
    let mut violations = Violations::default();
    if let Some(new) = config(&merged) {
        let change = Change { old: config(old), new, given: config(patch) };
        for (secret, homes) in SENT {
            change.check(secret, homes, &mut violations);
        }
        for map in ["headers", "secret_headers"] {
            let Some(Value::Object(headers)) = new.get(map) else { continue };
            for name in headers.keys().filter(|name| map == "secret_headers" || is_secret_header(name)) {
                change.check(&[map, name], TARGET, &mut violations);
            }
        }
    }
    violations.or(Some(merged))
}

fn config(document: &Document) -> Option<&Map<String, Value>> {
    document.0.get("config")?.as_object()
}

/// What stands at a path of names, where it is no null.
fn at<'a>(map: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(map.get(*first)?, |value, name| value.get(*name)).filter(|value| !value.is_null())
}

/// Whom a URL names: scheme, host and port.
fn whom(map: &Map<String, Value>, path: Path) -> Option<String> {
    Some(Target::parse(at(map, path)?.as_str()?).ok()?.to_string())
}

impl Change<'_> {
    /// Adds a violation where a secret is kept and one of those to whom it goes is another now.
    fn check(&self, secret: &[&str], homes: &[Path], violations: &mut Violations) {
        let is_kept = at(self.new, secret).is_some() && self.given.is_none_or(|given| at(given, secret).is_none());
        if let Some(why) = homes.iter().find_map(|home| self.moved(home)).filter(|_| is_kept) {
            violations.add(format!("config.{}", secret.join(".")), why);
        }
    }

    /// What is to be said where this field names somebody else than it did. One that is no URL is refused elsewhere.
    fn moved(&self, home: Path) -> Option<String> {
        let new = whom(self.new, home)?;
        let old = self.old.and_then(|old| whom(old, home));
        let field = home.join(".");
        (old.as_ref() != Some(&new)).then(|| {
            let before = old.as_deref().unwrap_or("null");
            format!("it was given while config.{field} was {before}, which is {new} now: give it again, or null to take it out")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A `config` with every secret that there is.
    fn full() -> Value {
        json!({
            "url": "https://a.example/x", "secret": "hunter2-s",
            "headers": {"Authorization": "hunter2-a", "x-team": "mail"}, "secret_headers": {"X-Pass": "hunter2-h"},
            "auth": {
                "basic": {"username": "u", "password": "hunter2-b"}, "bearer": {"token": "hunter2-t"},
                "oauth2": {"token_url": "https://id.example/t", "client_id": "me", "client_secret": "hunter2-o"},
            },
            "proxy": {"url": "http://proxy.example:3128", "username": "u", "password": "hunter2-p"},
            "tls": {"client_certificate": "CERT", "client_key": "hunter2-k"},
        })
    }

    fn document(config: &Value) -> Document {
        let Value::Object(map) = json!({"source": "log", "config": config}) else { panic!("an object") };
        Document(map)
    }

    /// Which fields a PATCH would have to give again.
    fn refused(old: &Value, patch: &Value) -> Vec<String> {
        match patched(&document(old), &document(patch)) {
            Ok(_) => Vec::new(),
            Err(violations) => {
                let text = violations.to_string();
                assert!(!text.contains("hunter2"), "{text}");
                violations.sorted().into_iter().map(|violation| violation.field.clone()).collect()
            }
        }
    }

    const OF_THE_TARGET: [&str; 5] = [
        "config.auth.basic.password",
        "config.auth.bearer.token",
        "config.auth.oauth2.client_secret",
        "config.headers.Authorization",
        "config.secret_headers.X-Pass",
    ];

    #[test]
    fn another_origin_gets_no_secret_that_is_not_given_again() {
        for url in ["https://b.example/x", "http://a.example/x", "https://a.example:8443/x", "https://x.a.example/x"] {
            assert_eq!(refused(&full(), &json!({ "url": url })), OF_THE_TARGET, "{url}");
        }
    }

    #[test]
    fn the_same_origin_may_be_called_at_another_path_and_however_it_is_spelled() {
        for url in ["https://a.example/y?z=1", "HTTPS://A.example:443", "https://a.example./"] {
            assert_eq!(refused(&full(), &json!({ "url": url })), [""; 0], "{url}");
        }
        assert_eq!(refused(&full(), &json!({"headers": {"x-team": "ops"}, "timeout": 5})), [""; 0]);
    }

    #[test]
    fn what_goes_through_another_proxy_is_given_again_and_without_one_it_stays() {
        let all = [&OF_THE_TARGET[..4], &["config.proxy.password"], &OF_THE_TARGET[4..]].concat();
        let evil = json!({"proxy": {"url": "http://evil.example:3128"}});
        assert_eq!(refused(&full(), &evil), all);
        assert_eq!(refused(&full(), &json!({"proxy": null})), [""; 0], "nobody sees more than before");
        let mut direct = full();
        direct["proxy"] = Value::Null;
        assert_eq!(refused(&direct, &evil), OF_THE_TARGET);
    }

    #[test]
    fn another_server_of_tokens_is_not_told_the_old_one_s_client_secret() {
        let patch = json!({"auth": {"oauth2": {"token_url": "https://evil.example/t"}}});
        assert_eq!(refused(&full(), &patch), ["config.auth.oauth2.client_secret"]);
        let patch = json!({"auth": {"oauth2": {"token_url": "https://id.example/v2/t", "scope": "mail"}}});
        assert_eq!(refused(&full(), &patch), [""; 0]);
    }

    #[test]
    fn what_is_given_again_or_taken_out_is_no_secret_that_was_kept() {
        let patch = json!({
            "url": "https://b.example/x",
            "headers": {"Authorization": null}, "secret_headers": {"X-Pass": "new"},
            "auth": {"basic": null, "bearer": {"token": "new"}, "oauth2": {"client_secret": "new"}},
        });
        assert_eq!(refused(&full(), &patch), [""; 0]);
        let whole = json!({"url": "https://b.example/x", "headers": null, "secret_headers": null, "auth": null});
        assert_eq!(refused(&full(), &whole), [""; 0], "what signs does not leave, and stays");
        // Another spelling is another field: the old one would still be there.
        let other = json!({"url": "https://b.example/x", "headers": {"authorization": "new"}});
        assert!(refused(&full(), &other).contains(&"config.headers.Authorization".to_owned()));
    }

    #[test]
    fn a_refusal_says_whom_it_was_for_and_what_to_do() {
        let old = json!({"url": "https://a.example/x", "auth": {"bearer": {"token": "hunter2"}}});
        let patch = json!({"url": "https://b.example/services/T"});
        assert_eq!(
            patched(&document(&old), &document(&patch)).unwrap_err().to_string(),
            "schema violation (config.auth.bearer.token: it was given while config.url was https://a.example, which is \
             https://b.example now: give it again, or null to take it out)"
        );
        // What is no URL is told by whoever reads the description.
        assert_eq!(refused(&old, &json!({"url": "no url"})), [""; 0]);
    }
}
