//! `kumo.spf`: whether a host may send for a domain.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mlua::{Lua, Table, UserDataRef, Value};
use serde_json::json;
use waybill_mail_auth::AuthenticationResult;
use waybill_mail_auth::spf::{self, Disposition, Query, Verdict};
use waybill_spool::MetaValue;

use super::names::resolver;
use crate::convert::from_json;
use crate::error::raise;
use crate::message::{ConnMetaObject, MessageObject};

/// A check that is not done by then is one for which nobody had time (RFC 7208, section 4.6.4).
const LIMIT: Duration = Duration::from_secs(20);

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    let spf = lua.create_table()?;
    spf.set("check_host", lua.create_async_function(check_host)?)?;
    spf.set("check_msg", lua.create_async_function(check_msg)?)?;
    kumo.set("spf", spf)
}

/// Who brings mail, and whose.
struct Session {
    /// An address with a port, or without.
    from: Option<String>,
    helo: Option<String>,
    host: Option<String>,
}

type HostArgs = (String, UserDataRef<ConnMetaObject>, Option<Value>, Option<String>);

async fn check_host(lua: Lua, (domain, meta, sender, resolver): HostArgs) -> mlua::Result<Value> {
    let text = |name: &str| meta.0.get(name).as_ref().and_then(|value| value.as_str().map(str::to_owned));
    let session = Session { from: text("received_from"), helo: text("ehlo_domain"), host: text("hostname") };
    drop(meta);
    let sender = match sender {
        None | Some(Value::Nil) => None,
        Some(sender) => Some(sender.to_string()?).filter(|sender| !sender.is_empty()),
    };
    check(&lua, "kumo.spf.check_host", &domain, sender.as_deref(), &session, resolver.as_deref()).await
}

async fn check_msg(lua: Lua, (message, resolver): (UserDataRef<MessageObject>, Option<String>)) -> mlua::Result<Value> {
    const WHAT: &str = "kumo.spf.check_msg";
    let message_of = message.message().clone();
    drop(message);
    let text = |name: &str| match message_of.meta(name) {
        Some(MetaValue::Json(value)) => value.as_str().map(str::to_owned),
        _ => None,
    };
    let session = Session { from: text("received_from"), helo: text("ehlo_domain"), host: text("hostname") };
    let sender = message_of.sender().to_string();
    match sender.rsplit_once('@') {
        Some((_, domain)) => check(&lua, WHAT, domain, Some(&sender), &session, resolver.as_deref()).await,
        // A mail without a sender is vouched for by who brings it (RFC 7208, section 2.4).
        None => {
            let helo = session.helo.clone();
            let helo = helo
                .ok_or_else(|| raise(format!("{WHAT}: the message has neither a sender nor the meta ehlo_domain")))?;
            check(&lua, WHAT, &helo, None, &session, resolver.as_deref()).await
        }
    }
}

async fn check(
    lua: &Lua,
    what: &str,
    domain: &str,
    sender: Option<&str>,
    session: &Session,
    named: Option<&str>,
) -> mlua::Result<Value> {
    let resolver = resolver(lua, what, named)?;
    let ip = address(what, session.from.as_deref())?;
    let postmaster = format!("postmaster@{domain}");
    let query = Query {
        ip,
        domain,
        sender: sender.unwrap_or(&postmaster),
        helo: session.helo.as_deref().unwrap_or(domain),
        host: session.host.as_deref().unwrap_or("unknown"),
    };
    let late = |_| Verdict { disposition: Disposition::TempError, reason: format!("not done within {LIMIT:?}") };
    let verdict = tokio::time::timeout(LIMIT, spf::check(&resolver, &query)).await.unwrap_or_else(late);
    let (name, value) = sender.map_or(("smtp.helo", domain), |sender| ("smtp.mailfrom", sender));
    let disposition = verdict.disposition.as_str();
    let result = AuthenticationResult {
        method: "spf".to_owned(),
        method_version: None,
        result: disposition.to_owned(),
        reason: Some(verdict.reason),
        props: [(name.to_owned(), value.to_owned())].into(),
    };
    from_json(lua, &json!({ "disposition": disposition, "result": result }))
}

/// Where mail comes from: SMTP has the port, too.
fn address(what: &str, from: Option<&str>) -> mlua::Result<IpAddr> {
    let from = from.ok_or_else(|| {
        raise(format!(
            "{what}: nobody knows where this comes from; the meta received_from is set for what SMTP and HTTP bring"
        ))
    })?;
    let ip = from.parse().or_else(|_| from.parse::<SocketAddr>().map(|socket| socket.ip()));
    ip.map_err(|_| {
        raise(format!("{what}: the meta received_from is {from:?}, expected an IP address, with a port or without"))
    })
}
