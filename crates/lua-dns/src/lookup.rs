//! Questions about addresses, texts and names.

use crate::{address, asked, raise, within_limit};
use futures::join;
use mlua::{Lua, LuaString};
use std::net::IpAddr;
use waybill_dns::{Answer, LookupError, Resolver, SharedResolver};

/// Which kinds of addresses are asked for: the words of `ip_lookup_strategy`.
#[derive(Clone, Copy)]
enum Strategy {
    Both,
    Only4,
    Only6,
    First4,
    First6,
}

/// The IPv4 and IPv6 addresses of a host. A host that does not exist is an error, one without addresses is not.
pub(crate) async fn addr(
    lua: Lua,
    (name, resolver, strategy): (String, Option<String>, Option<String>),
) -> mlua::Result<Vec<String>> {
    const NAME: &str = "lookup_addr";
    let strategy = Strategy::of(strategy.as_deref())?;
    let resolver = asked(&lua, NAME, resolver.as_deref())?;
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![address.to_string()]);
    }
    let answer =
        within_limit(NAME, async { strategy.ask(&resolver, &name).await.map_err(|error| failed(NAME, &name, &error)) });
    let answer = answer.await?;
    if !answer.exists {
        return Err(raise(NAME, format_args!("there is no host {name}")));
    }
    Ok(answer.records.iter().map(IpAddr::to_string).collect())
}

impl Strategy {
    fn of(word: Option<&str>) -> mlua::Result<Strategy> {
        Ok(match word {
            None | Some("Ipv4AndIpv6") => Strategy::Both,
            Some("Ipv4Only") => Strategy::Only4,
            Some("Ipv6Only") => Strategy::Only6,
            Some("Ipv4ThenIpv6") => Strategy::First4,
            Some("Ipv6ThenIpv4") => Strategy::First6,
            Some(other) => {
                let words = "Ipv4AndIpv6, Ipv4Only, Ipv6Only, Ipv4ThenIpv6, Ipv6ThenIpv4";
                return Err(raise("lookup_addr", format_args!("unknown strategy {other:?}, expected one of {words}")));
            }
        })
    }

    async fn ask(self, resolver: &SharedResolver, name: &str) -> Result<Answer<IpAddr>, LookupError> {
        let four = async || resolver.ipv4(name).await.map(|answer| answer.map(IpAddr::V4));
        let six = async || resolver.ipv6(name).await.map(|answer| answer.map(IpAddr::V6));
        let has_some = |found: &Result<Answer<IpAddr>, _>| found.as_ref().is_ok_and(|found| !found.records.is_empty());
        match self {
            Strategy::Only4 => four().await,
            Strategy::Only6 => six().await,
            Strategy::First4 => match four().await {
                found if has_some(&found) => found,
                _ => six().await,
            },
            Strategy::First6 => match six().await {
                found if has_some(&found) => found,
                _ => four().await,
            },
            Strategy::Both => match join!(four(), six()) {
                (Ok(mut found), Ok(more)) => {
                    found.exists |= more.exists;
                    found.records.extend(more.records);
                    Ok(found)
                }
                // What one of the two knows is enough, whatever becomes of the other.
                (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.records.is_empty() => Ok(found),
                (Err(error), _) | (_, Err(error)) => Err(error),
            },
        }
    }
}

/// The texts of a name; none where it has none, or does not exist.
pub(crate) async fn txt(lua: Lua, (name, resolver): (String, Option<String>)) -> mlua::Result<Vec<LuaString>> {
    const NAME: &str = "lookup_txt";
    let resolver = asked(&lua, NAME, resolver.as_deref())?;
    let question = async { resolver.txt(&name).await.map_err(|error| failed(NAME, &name, &error)) };
    let texts = within_limit(NAME, question).await?.records;
    texts.iter().map(|text| lua.create_string(text)).collect()
}

/// The names of an address, with a dot at the end; none where it has none.
pub(crate) async fn ptr(lua: Lua, (ip, resolver): (String, Option<String>)) -> mlua::Result<Vec<String>> {
    const NAME: &str = "lookup_ptr";
    let address = address::parse(NAME, &ip)?;
    let resolver = asked(&lua, NAME, resolver.as_deref())?;
    let question = async { resolver.ptr(address).await.map_err(|error| failed(NAME, &ip, &error)) };
    let names = within_limit(NAME, question).await?.records;
    Ok(names.iter().map(|name| format!("{name}.")).collect())
}

/// What a block list says of an address, and why; two nils when it is not on the list.
pub(crate) async fn rbl(
    lua: Lua,
    (ip, list, resolver): (String, String, Option<String>),
) -> mlua::Result<(Option<String>, Option<LuaString>)> {
    const NAME: &str = "rbl_lookup";
    let name = format!("{}.{list}", address::backwards(address::parse(NAME, &ip)?));
    let resolver = asked(&lua, NAME, resolver.as_deref())?;
    let question = async {
        let wrong = |error: LookupError| failed(NAME, &name, &error);
        let Some(listed) = resolver.ipv4(&name).await.map_err(wrong)?.records.into_iter().next() else {
            return Ok((None, None));
        };
        // On the list is on the list, whether or not somebody says why.
        let reason = resolver.txt(&name).await.ok().and_then(|answer| answer.records.into_iter().next());
        Ok((Some(listed.to_string()), reason))
    };
    let (listed, reason) = within_limit(NAME, question).await?;
    Ok((listed, reason.map(|text| lua.create_string(text)).transpose()?))
}

fn failed(function: &str, name: &str, error: &LookupError) -> mlua::Error {
    match error {
        LookupError::NotAName(_) => raise(function, error),
        LookupError::Failed(_) => raise(function, format_args!("failed to resolve {name}: {error}")),
    }
}
