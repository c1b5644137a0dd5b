//! Access control lists: who may do what with a resource (contract/kumomta.md section 7.1).
//!
//! A resource is a path: `http_listener/ADDR/api/admin/bounce/v1`. For each resource from the full path upwards there is
//! a list, that of the policy's `get_acl_definition` or else the built-in one; the first rule of the first list that fits
//! decides. Where none fits, nobody may.

use crate::access::Access;
use crate::auth::AuthInfo;
use axum::http::Method;
use serde_json::Value as Json;

/// Whom a rule is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Who {
    /// Everybody.
    Anyone,
    /// Whoever proved some identity.
    Authenticated,
    /// The members of a group.
    Group(String),
    /// One identity.
    Individual(String),
}

/// One line of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rule {
    who: Who,
    /// A method; unset is every one.
    privilege: Option<Method>,
    allow: bool,
}

/// The built-in lists, by what stands behind `http_listener/*`.
const TABLE: &[(&str, &[(Known, Method)])] = &[
    ("/api/check-liveness/v1", &[(Known::Anyone, Method::GET)]),
    ("/rapidoc", &[(Known::Anyone, Method::GET)]),
    ("/api-docs/openapi.json", &[(Known::Anyone, Method::GET)]),
    ("/api/inject/v1", &[(Known::Trusted, Method::POST), (Known::Authenticated, Method::POST)]),
    ("/api/xfer/inject/v1", &[(Known::Trusted, Method::POST)]),
    ("/api/admin", &[(Known::Trusted, Method::GET), (Known::Trusted, Method::POST), (Known::Trusted, Method::DELETE)]),
    ("/api/machine-info", &[(Known::Trusted, Method::GET)]),
    ("/metrics", &[(Known::Trusted, Method::GET)]),
    ("/metrics.json", &[(Known::Trusted, Method::GET)]),
];

/// Whom the built-in lists know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Known {
    Anyone,
    Authenticated,
    Trusted,
}

impl Known {
    fn is(self, who: &AuthInfo) -> bool {
        match self {
            Known::Anyone => true,
            Known::Authenticated => who.identity.is_some(),
            Known::Trusted => who.trusted,
        }
    }
}

impl Rule {
    /// Whether this rule decides, and how.
    pub(crate) fn decide(&self, who: &AuthInfo, method: &Method) -> Option<bool> {
        let method_fits = self.privilege.as_ref().is_none_or(|privilege| privilege == method);
        (method_fits && self.who.is(who)).then_some(self.allow)
    }
}

impl Who {
    fn is(&self, info: &AuthInfo) -> bool {
        match self {
            Who::Anyone => true,
            Who::Authenticated => info.identity.is_some(),
            Who::Group(group) => info.groups().any(|own| own == group),
            Who::Individual(name) => {
                info.identity.as_ref().is_some_and(|identity| identity.names.iter().any(|(own, _)| own == name))
            }
        }
    }
}

/// The resources of a request, from the most to the least specific.
pub(crate) fn resources(via: &str, path: &str) -> Vec<String> {
    let path = path.trim_end_matches('/');
    let mut all = Vec::new();
    for listener in [via, "*"] {
        let mut rest = path;
        loop {
            all.push(format!("http_listener/{listener}{rest}"));
            match rest.rfind('/') {
                Some(at) => rest = &rest[..at],
                None => break,
            }
        }
    }
    all.push("http_listener".to_owned());
    all
}

/// What the built-in list of a resource says. A route that is in none has a list of its own, made of what its crate asks
/// for.
pub(crate) fn built_in(resource: &str, path: &str, access: Access, who: &AuthInfo, method: &Method) -> Option<bool> {
    let at = resource.strip_prefix("http_listener/*")?;
    if let Some((_, rules)) = TABLE.iter().find(|(known, _)| *known == at) {
        return rules.iter().any(|(default, allowed)| allowed == method && default.is(who)).then_some(true);
    }
    let covered =
        TABLE.iter().any(|(known, _)| path.strip_prefix(known).is_some_and(|r| r.is_empty() || r.starts_with('/')));
    if at != path.trim_end_matches('/') || covered {
        return None;
    }
    let allowed = match access {
        Access::Anyone => true,
        Access::Inject => who.trusted || who.identity.is_some(),
        Access::Trusted => who.trusted,
        // Control has its own rule, and the last one is never asked about here.
        Access::Control | Access::Itself => false,
    };
    allowed.then_some(true)
}

/// The list that policy gave: each rule a table `{ criteria, privilege, access }`.
///
/// # Errors
/// A sentence about what is wrong with which rule: a list that is half understood is no protection.
pub(crate) fn parse(list: &Json) -> Result<Vec<Rule>, String> {
    // An empty Lua table arrives as an object.
    if list.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(Vec::new());
    }
    let rules = list.as_array().ok_or_else(|| "expected a list of rules".to_owned())?;
    let numbered = rules.iter().enumerate();
    numbered.map(|(number, rule)| parse_rule(rule).map_err(|why| format!("rule {}: {why}", number + 1))).collect()
}

fn parse_rule(rule: &Json) -> Result<Rule, String> {
    let table = rule.as_object().ok_or("expected a table { criteria, privilege, access }")?;
    if let Some(unknown) = table.keys().find(|key| !["criteria", "privilege", "access"].contains(&key.as_str())) {
        return Err(format!("unknown field {unknown:?}, expected criteria, privilege and access"));
    }
    let who = parse_who(table.get("criteria").unwrap_or(&Json::Null))?;
    let privilege = match table.get("privilege").and_then(Json::as_str) {
        None | Some("*" | "Any") => None,
        Some(word) => Some(word.to_ascii_uppercase().parse().map_err(|_| format!("privilege {word:?} is no method"))?),
    };
    let allow = match table.get("access").and_then(Json::as_str) {
        Some("Allow") => true,
        Some("Deny") => false,
        other => return Err(format!("access has to be Allow or Deny, not {other:?}")),
    };
    Ok(Rule { who, privilege, allow })
}

fn parse_who(criteria: &Json) -> Result<Who, String> {
    let wrong =
        || format!("criteria has to be \"Any\", \"Authenticated\", {{ Group }} or {{ Individual }}, not {criteria}");
    match criteria {
        Json::Null => Ok(Who::Anyone),
        Json::String(word) if word == "Any" => Ok(Who::Anyone),
        Json::String(word) if word == "Authenticated" => Ok(Who::Authenticated),
        Json::Object(table) if table.len() == 1 => {
            let name = |key: &str| table.get(key).and_then(Json::as_str).map(str::to_owned);
            let group = name("Group").map(Who::Group);
            group.or_else(|| name("Individual").map(Who::Individual)).ok_or_else(wrong)
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Identity;
    use crate::connection::Peer;
    use serde_json::json;
    use std::sync::Arc;

    fn who(trusted: bool, name: Option<&str>) -> AuthInfo {
        let identity = name.map(|name| {
            Arc::new(Identity { names: vec![(name.to_owned(), "HttpBasicAuth".into())], groups: vec!["ops".into()] })
        });
        AuthInfo { peer: Peer::ip([192, 0, 2, 1].into()), trusted, identity }
    }

    #[test]
    fn resources_go_from_the_full_path_of_this_listener_to_every_listener() {
        assert_eq!(
            resources("127.0.0.1:8000", "/api/admin/bounce"),
            [
                "http_listener/127.0.0.1:8000/api/admin/bounce",
                "http_listener/127.0.0.1:8000/api/admin",
                "http_listener/127.0.0.1:8000/api",
                "http_listener/127.0.0.1:8000",
                "http_listener/*/api/admin/bounce",
                "http_listener/*/api/admin",
                "http_listener/*/api",
                "http_listener/*",
                "http_listener",
            ]
        );
    }

    #[test]
    fn the_built_in_lists_are_those_of_the_contract() {
        let may = |path: &str, method: Method, who: &AuthInfo| {
            resources("a", path)
                .iter()
                .find_map(|at| built_in(at, path, Access::Trusted, who, &method))
                .unwrap_or(false)
        };
        let (stranger, member, trusted) = (who(false, None), who(false, Some("joe")), who(true, None));
        let admin = "/api/admin/bounce/v1";
        for (path, method, expected) in [
            ("/api/check-liveness/v1", Method::GET, [true, true, true]),
            ("/rapidoc", Method::GET, [true, true, true]),
            ("/api-docs/openapi.json", Method::GET, [true, true, true]),
            ("/api/inject/v1", Method::POST, [false, true, true]),
            ("/api/inject/v1", Method::GET, [false, false, false]),
            (admin, Method::GET, [false, false, true]),
            (admin, Method::POST, [false, false, true]),
            (admin, Method::DELETE, [false, false, true]),
            (admin, Method::PUT, [false, false, false]),
            ("/api/machine-info", Method::GET, [false, false, true]),
            ("/metrics", Method::GET, [false, false, true]),
            ("/metrics.json", Method::GET, [false, false, true]),
            ("/api/xfer/inject/v1", Method::POST, [false, false, true]),
        ] {
            let got = [&stranger, &member, &trusted].map(|who| may(path, method.clone(), who));
            assert_eq!(got, expected, "{method} {path}");
        }
    }

    #[test]
    fn a_list_of_the_policy_is_read_whole_or_not_at_all() {
        let rules = parse(&json!([
            {"criteria": {"Individual": "joe"}, "privilege": "GET", "access": "Deny"},
            {"criteria": {"Group": "ops"}, "access": "Allow"},
        ]))
        .unwrap();
        let decide = |who: &AuthInfo, method: &Method| rules.iter().find_map(|rule| rule.decide(who, method));
        assert_eq!(decide(&who(false, Some("joe")), &Method::GET), Some(false));
        assert_eq!(decide(&who(false, Some("joe")), &Method::POST), Some(true));
        assert_eq!(decide(&who(false, Some("ann")), &Method::GET), Some(true));
        assert_eq!(decide(&who(true, None), &Method::GET), None);
        assert_eq!(parse(&json!({})).unwrap(), []);
        for (list, why) in [
            (json!(1), "expected a list"),
            (json!([{"criteria": "Any", "access": "allow"}]), "rule 1: access has to be Allow or Deny"),
            (json!([{"criteria": {"Groop": "x"}, "access": "Allow"}]), "rule 1: criteria has to be"),
            (json!([{"who": "x", "access": "Allow"}]), "unknown field \"who\""),
            (json!([{"privilege": "GE T", "access": "Allow"}]), "is no method"),
        ] {
            let error = parse(&list).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
