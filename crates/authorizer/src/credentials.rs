//! The token that a request shows, wherever it shows it.

use http::{HeaderMap, header};
use waybill_tokens::Bearer;

/// Where Kong's clients put theirs.
const KONG: &str = "kong-admin-token";
/// No token of ours is longer.
const MAX_LENGTH: usize = 512;

/// The token of a request; `None` when it shows none.
///
/// # Errors
/// What is wrong with how it is shown, without repeating it.
pub(crate) fn shown(headers: &HeaderMap) -> Result<Option<Bearer>, &'static str> {
    let authorization = one(headers, header::AUTHORIZATION.as_str(), "the Authorization header is there twice")?;
    let kong = one(headers, KONG, "the Kong-Admin-Token header is there twice")?;
    let bearer = match authorization {
        None => None,
        Some(value) => {
            let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err("the Authorization header has to be `Bearer TOKEN` here");
            }
            Some(token.trim())
        }
    };
    match (bearer, kong.map(str::trim)) {
        (None, None) => Ok(None),
        (Some(one), Some(other)) if one != other => Err("Authorization and Kong-Admin-Token differ"),
        (Some(""), _) | (_, Some("")) => Err("the token is empty"),
        (Some(token), _) | (None, Some(token)) => Ok(Some(Bearer::presented(token))),
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &str, twice: &'static str) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(twice);
    }
    if value.len() > MAX_LENGTH {
        return Err("the token is longer than any");
    }
    value.to_str().map(Some).map_err(|_| "the token is not ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn of(headers: &[(&'static str, &str)]) -> Result<Option<String>, &'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        shown(&map).map(|bearer| bearer.map(|bearer| bearer.reveal().to_owned()))
    }

    #[test]
    fn a_token_is_taken_from_either_header() {
        assert_eq!(of(&[]), Ok(None));
        for headers in [
            &[("authorization", "Bearer t")][..],
            &[("authorization", "bearer  t ")],
            &[("kong-admin-token", "t")],
            &[("kong-admin-token", "t"), ("authorization", "Bearer t")],
        ] {
            assert_eq!(of(headers), Ok(Some("t".into())), "{headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_one_token_is_refused() {
        let long = format!("Bearer {}", "x".repeat(100_000));
        for headers in [
            &[("authorization", "Basic am9lOmE=")][..],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer ")],
            &[("authorization", "t")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
            &[("authorization", "Bearer ä")],
            &[("authorization", &long)],
            &[("kong-admin-token", "")],
            &[("kong-admin-token", "a"), ("kong-admin-token", "b")],
            &[("kong-admin-token", "a"), ("authorization", "Bearer b")],
            &[("kong-admin-token", "a"), ("authorization", "Basic x")],
        ] {
            assert!(of(headers).is_err(), "{headers:?}");
        }
    }
}
