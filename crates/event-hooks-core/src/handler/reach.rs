//! How a target is reached: as whom, through whom, believing whom, and with which signature of its own.

use super::webhook::Signatures;
use crate::hook::Section;
use waybill_webhook_core::{Auth, Basic, CustomHeader, Oauth2, Oauth2Style, Proxy, ProxyNames, Tls, Token};
use waybill_webhook_sign::{Secret, StandardKey};

/// Who we are to the application: one of three.
pub(super) fn auth(config: &mut Section<'_>) -> Option<Auth> {
    let found = config.section("auth", |auth| [basic(auth), bearer(auth), oauth2(auth)])?;
    let mut found = found.into_iter().flatten();
    match (found.next(), found.next()) {
        (Some(auth), None) => auth,
        _ => {
            let why = "expected one of: basic, bearer, oauth2; a PATCH that names another sets the one before to null";
            config.wrong("auth", why);
            None
        }
    }
}

/// Nothing where it is not there, and nothing within where something is wrong with it.
fn basic(auth: &mut Section<'_>) -> Option<Option<Auth>> {
    auth.section("basic", |basic| {
        let username = basic.required("username", |basic| basic.string("username"));
        let password = basic.required("password", |basic| basic.secret("password"));
        Some(Auth::Basic(Basic { username: username?, password: password? }))
    })
}

fn bearer(auth: &mut Section<'_>) -> Option<Option<Auth>> {
    auth.section("bearer", |bearer| {
        let token = bearer.required("token", |bearer| bearer.secret("token"))?;
        Some(Auth::Bearer(Token { token }))
    })
}

fn oauth2(auth: &mut Section<'_>) -> Option<Option<Auth>> {
    auth.section("oauth2", |oauth2| {
        let token_url = oauth2.required("token_url", |oauth2| oauth2.target("token_url"));
        let client_id = oauth2.required("client_id", |oauth2| oauth2.string("client_id"));
        let client_secret = oauth2.required("client_secret", |oauth2| oauth2.secret("client_secret"));
        let (scope, audience) = (oauth2.string("scope"), oauth2.string("audience"));
        let styles = [("basic", Oauth2Style::Basic), ("body", Oauth2Style::Body)];
        let style = oauth2.one_of("style", &styles).unwrap_or_default();
        let (token_url, client_id, client_secret) = (token_url?, client_id?, client_secret?);
        Some(Auth::Oauth2(Oauth2 { token_url, client_id, client_secret, scope, audience, style }))
    })
}

/// Names are always looked up here: whoever makes a hook may not have a proxy look behind the guard.
pub(super) fn proxy(config: &mut Section<'_>) -> Option<Proxy> {
    config.section("proxy", |proxy| {
        let url = proxy.required("url", |proxy| proxy.target("url"));
        let (username, password) = (proxy.string("username"), proxy.secret("password"));
        Some(Proxy { url: url?, username, password, names: ProxyNames::Checked })
    })?
}

/// Whom to believe and who we are, all but whether anybody is checked at all.
pub(super) fn tls(config: &mut Section<'_>) -> Tls {
    let found = config.section("tls", |tls| Tls {
        ca: tls.string("ca"),
        client_certificate: tls.string("client_certificate"),
        client_key: tls.secret("client_key"),
        ..Tls::default()
    });
    found.unwrap_or_default()
}

/// A header of the operator's own with a signature in it, by the hook's secret.
pub(super) fn signature_header(config: &mut Section<'_>, secret: Option<&Secret>) -> Option<CustomHeader> {
    let found = config.section("signature_header", |header| {
        let name = header.required("header", |header| header.string("header"))?;
        let mut custom = CustomHeader::new(name, secret.cloned().unwrap_or_else(|| Secret::new("")));
        for (field, place) in [
            ("value", &mut custom.value),
            ("signed", &mut custom.signed),
            ("algorithm", &mut custom.algorithm),
            ("encoding", &mut custom.encoding),
        ] {
            if let Some(text) = header.string(field) {
                *place = text;
            }
        }
        Some(custom)
    })??;
    if secret.is_none() {
        config.wrong("signature_header", "goes with secret, by which it is signed");
        return None;
    }
    Some(found)
}

/// Signatures by secrets of their own.
pub(super) fn signatures(config: &mut Section<'_>) -> Signatures {
    let found = config.section("signatures", |signatures| {
        let standard = signatures.secret("standard").filter(|secret| {
            StandardKey::parse(secret.reveal()).map_err(|error| signatures.wrong("standard", error.to_string())).is_ok()
        });
        Signatures { standard, klev: signatures.secret("klev") }
    });
    found.unwrap_or_default()
}
