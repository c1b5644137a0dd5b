//! What may be handed on: a partial order, and never more than one has.

use proptest::prelude::*;
use proptest::sample::select;
use waybill_tokens::{Acl, Action, Grant, Permission, Subject};

/// Objects that a list may name, and one that none does.
const OBJECTS: [Option<&str>; 4] = [None, Some("a"), Some("b"), Some("unnamed")];
const TENANTS: [Option<&str>; 4] = [None, Some("t"), Some("u"), Some("unnamed")];

/// Few subjects and actions, so that lists meet; no list is long enough to name every action.
fn permission() -> impl Strategy<Value = Permission> {
    let subject = select(vec!["logs", "tokens", "event_hooks"]);
    let action = select(vec!["", ":get", ":list", ":lambda"]);
    (subject, action, select(vec!["", ":a", ":b"])).prop_filter_map("no permission", |(subject, action, object)| {
        let object = if action.is_empty() { "" } else { object };
        format!("{subject}{action}{object}").parse().ok()
    })
}

fn grant() -> impl Strategy<Value = Grant> {
    let acl = proptest::collection::vec(permission(), 0..5).prop_map(|all| all.into_iter().collect::<Acl>());
    (acl, select(vec![None, Some("t"), Some("u")]))
        .prop_map(|(acl, tenant)| Grant::new(acl, tenant.map(str::to_owned)).unwrap())
}

/// Every question there is, and whether the grant says yes.
fn answers(grant: &Grant) -> Vec<bool> {
    let mut answers = Vec::new();
    for subject in Subject::ALL {
        for action in Action::ALL {
            for object in OBJECTS {
                answers.extend(TENANTS.map(|tenant| grant.permits(*subject, *action, object, tenant)));
            }
        }
    }
    answers
}

fn within(inner: &Grant, outer: &Grant) -> bool {
    answers(inner).into_iter().zip(answers(outer)).all(|(inner, outer)| outer || !inner)
}

proptest! {
    #[test]
    fn every_grant_includes_itself_and_the_operator_includes_every_grant(a in grant()) {
        prop_assert!(a.includes(&a));
        prop_assert!(Grant::operator().includes(&a));
    }

    #[test]
    fn including_is_transitive(a in grant(), b in grant(), c in grant()) {
        prop_assert!(!(a.includes(&b) && b.includes(&c)) || a.includes(&c));
    }

    #[test]
    fn grants_that_include_each_other_allow_the_same(a in grant(), b in grant()) {
        prop_assert!(!(a.includes(&b) && b.includes(&a)) || answers(&a) == answers(&b));
    }

    #[test]
    fn what_is_included_allows_nothing_more_and_what_allows_nothing_more_is_included(a in grant(), b in grant()) {
        let allows_nothing_more = within(&b, &a);
        prop_assert!(!a.includes(&b) || allows_nothing_more, "{a:?} hands on {b:?}");
        // An empty list allows nothing anywhere, but its tenant may be another.
        if !b.acl().permissions().is_empty() {
            prop_assert_eq!(a.includes(&b), allows_nothing_more);
        }
    }

    #[test]
    fn half_of_a_grant_can_be_handed_on_and_a_grant_with_more_cannot(a in grant(), extra in permission()) {
        let lines = a.acl().permissions();
        let half: Acl = lines.iter().take(lines.len() / 2).cloned().collect();
        prop_assert!(a.includes(&Grant::new(half, a.tenant().map(str::to_owned)).unwrap()));
        let more: Acl = lines.iter().cloned().chain([extra]).collect();
        let more = Grant::new(more, a.tenant().map(str::to_owned)).unwrap();
        prop_assert!(more.includes(&a));
        prop_assert_eq!(a.includes(&more), within(&more, &a));
    }

    #[test]
    fn any_text_is_a_permission_that_prints_as_it_was_or_an_error_with_a_code(text in "[a-z_:* ]{0,24}|\\PC{0,12}") {
        match text.parse::<Permission>() {
            Ok(permission) => prop_assert_eq!(permission.to_string(), text),
            Err(error) => prop_assert!(["acl-subject-invalid", "acl-action-invalid"].contains(&error.code())),
        }
    }
}
