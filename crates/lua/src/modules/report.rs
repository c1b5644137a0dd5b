//! `generate_rfc3464_message`: the report that a sender gets about mail that was given up.

use bytes::Bytes;
use mlua::{IntoLua, Lua, Table, UserDataRef, Value};
use serde::Deserialize;
use serde_json::Value as Json;
use waybill_mime::headers;
use waybill_types::{EnvelopeAddress, Objects, text};

use super::config::options;
use super::messages::new_message;
use crate::convert::to_json;
use crate::engine::Engine;
use crate::error::raise;
use crate::message::{MessageObject, body};

pub(super) fn register(lua: &Lua, kumo: &Table) -> mlua::Result<()> {
    kumo.set("generate_rfc3464_message", lua.create_async_function(generate)?)
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of reporting_mta, enable_bounce, enable_expiration, include_original_message"
)]
struct Params {
    reporting_mta: Mta,
    /// Whether a Bounce is reported.
    #[serde(default)]
    enable_bounce: bool,
    /// Whether an Expiration is.
    #[serde(default)]
    enable_expiration: bool,
    #[serde(default)]
    include_original_message: Original,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mta {
    #[serde(default = "dns", deserialize_with = "text::name")]
    mta_type: String,
    #[serde(deserialize_with = "text::name")]
    name: String,
}

fn dns() -> String {
    "dns".to_owned()
}

/// What the report shows of the mail.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
enum Original {
    No,
    #[default]
    HeadersOnly,
    FullContent,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Record {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    sender: String,
    recipient: Json,
    response: Response,
    #[serde(default)]
    peer_address: Option<Peer>,
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct Response {
    code: u16,
    #[serde(default)]
    enhanced_code: Option<Enhanced>,
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
struct Enhanced {
    class: u8,
    subject: u16,
    detail: u16,
}

#[derive(Deserialize)]
struct Peer {
    name: String,
}

impl Record {
    fn recipients(&self) -> Vec<&str> {
        match &self.recipient {
            Json::String(one) => vec![one],
            Json::Array(all) => all.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }

    fn status(&self) -> String {
        match &self.response.enhanced_code {
            Some(Enhanced { class, subject, detail }) => format!("{class}.{subject}.{detail}"),
            None => format!("{}.0.0", if self.response.code >= 500 { 5 } else { 4 }),
        }
    }
}

/// The report as a message to whoever sent the mail; nil when nobody is to hear of it: it was no failure that is
/// reported, or it came from the null sender, to whom no report may go.
async fn generate(
    lua: Lua,
    (params, message, record): (Value, Option<UserDataRef<MessageObject>>, Value),
) -> mlua::Result<Value> {
    let params: Params = options(&lua, "kumo.generate_rfc3464_message", &params)?;
    let record = to_json(&lua, &record)?;
    let record = Record::deserialize(Objects::of_table(&record))
        .map_err(|error| raise(format!("kumo.generate_rfc3464_message: this is no log record: {error}")))?;
    let reported = match record.kind.as_str() {
        "Bounce" => params.enable_bounce,
        "Expiration" => params.enable_expiration,
        _ => false,
    };
    let Ok(to) = record.sender.parse::<EnvelopeAddress>() else { return Ok(Value::Nil) };
    if !reported || to.is_null() {
        return Ok(Value::Nil);
    }
    let hops = message.as_ref().map_or(0, |message| message.message().hops());
    let original = match message {
        Some(message) if params.include_original_message != Original::No => {
            let message = message.message().clone();
            Some(body::load(&lua, &message).await?)
        }
        _ => None,
    };
    let engine = Engine::of(&lua).ok_or_else(|| raise("the policy engine is shutting down"))?;
    let now = engine.inner().settings.clock.now().to_utc().to_rfc2822();
    let data = build(&params, &record, &now, original.as_ref());
    let report = new_message(&lua, EnvelopeAddress::null_sender(), vec![to], data)?;
    report.message().set_hops(hops);
    report.into_lua(&lua)
}

/// One line of a header or a field: what a peer said must not begin another.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn build(params: &Params, record: &Record, now: &str, original: Option<&Bytes>) -> Bytes {
    let mta = line(&params.reporting_mta.name);
    // Whoever sent the mail does not know the id that it got here.
    let boundary = format!("=_report_{}", record.id);
    let (kind, status) = (&params.reporting_mta.mta_type, record.status());
    let answer = line(&format!("{} {}", record.response.code, record.response.content));
    let recipients = record.recipients();
    let mut out = format!(
        "Date: {now}\r\nFrom: Mail Delivery Subsystem <mailer-daemon@{mta}>\r\nTo: <{to}>\r\n\
         Subject: Your message could not be delivered\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n\r\n\
         --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         The message that you sent could not be delivered to:\r\n\r\n",
        to = line(&record.sender),
    );
    for recipient in &recipients {
        out.push_str(&format!("  {}\r\n", line(recipient)));
    }
    out.push_str(&match record.kind.as_str() {
        "Expiration" => {
            format!("\r\nIt was tried for as long as allowed, and is not tried any more:\r\n\r\n  {answer}\r\n")
        }
        _ => format!("\r\nThe reason that was given:\r\n\r\n  {answer}\r\n"),
    });
    out.push_str(&format!(
        "\r\n--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: {}; {mta}\r\n",
        line(kind)
    ));
    for recipient in &recipients {
        out.push_str(&format!(
            "\r\nFinal-Recipient: rfc822; {}\r\nAction: failed\r\nStatus: {status}\r\nDiagnostic-Code: smtp; {answer}\r\n",
            line(recipient)
        ));
        if let Some(peer) = &record.peer_address {
            out.push_str(&format!("Remote-MTA: dns; {}\r\n", line(&peer.name)));
        }
        out.push_str(&format!("Last-Attempt-Date: {now}\r\n"));
    }
    let mut out = out.into_bytes();
    if let Some(original) = original {
        let full = params.include_original_message == Original::FullContent;
        let (kind, shown) = match full {
            true => ("message/rfc822", &original[..]),
            false => ("text/rfc822-headers", headers::section(original)),
        };
        let encoding = if shown.is_ascii() { "7bit" } else { "8bit" };
        let head = format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(shown);
    }
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out.into()
}
