//! Logs, stored offsets and egress webhooks, as klev's command line has them: JSON indented by two.

mod args;
pub(crate) mod call;
mod json;
mod message;

pub use args::StreamsCommand;

use crate::client::AdminClient;
use crate::misuse::Misuse;
use crate::reach::{At, With};
use crate::show::{self, Reader};
use crate::tokens::ApiError;
use args::{
    CleanupArgs, ConsumeArgs, EgressCommand, FiltersCommand, GetArgs, IngressCommand, LogsCommand, OffsetsCommand,
};
use call::{Call, percent};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// More than a daemon waits, by default: its answer still has to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a daemon is to wait for what comes next where nobody says it, as long as it does by default: whoever went on
/// without waiting would ask as fast as it can.
const NEXT: Duration = Duration::from_secs(30);

/// Runs a command and prints what the daemon answers.
pub(crate) async fn run(command: StreamsCommand, socket: &Path) -> anyhow::Result<()> {
    let (reach, call) = match command {
        StreamsCommand::Consume(With { reach, args }) => return consume(args, &reach.client(socket)?).await,
        StreamsCommand::Logs(At { reach, command }) => (reach, logs(command)),
        StreamsCommand::Offsets(At { reach, command }) => (reach, offsets(command)),
        StreamsCommand::EgressWebhooks(At { reach, command }) => (reach, egress(command)?),
        StreamsCommand::Filters(At { reach, command }) => (reach, filters(command)),
        StreamsCommand::IngressWebhooks(At { reach, command }) => (reach, ingress(command)?),
        StreamsCommand::Publish(publish) => {
            let With { reach, args } = *publish;
            let call = Call::post(format!("/message/{}", percent(&args.log)), message::body(&args.message)?);
            (reach, Call { idempotency_key: args.idempotency_key, ..call })
        }
        StreamsCommand::GetByOffset(With { reach, args }) => (reach, get(&args)),
        StreamsCommand::Cleanup(With { reach, args }) => (reach, clean_up(&args)),
    };
    show::print(&json::indented(&answer(&call, &reach.client(socket)?).await?))
}

async fn answer(call: &Call, client: &AdminClient) -> anyhow::Result<String> {
    let client = client.with_patience(call.wait + PATIENCE).with_idempotency_key(call.idempotency_key.clone());
    match client.send(call.method.clone(), &call.path, &call.body).await {
        Ok(text) => Ok(text),
        Err(error) => Err(ApiError::of(&error).map_or_else(|| error.into(), Into::into)),
    }
}

fn logs(command: LogsCommand) -> Call {
    let log = |id: &str| format!("/log/{}", percent(id));
    match command {
        LogsCommand::List { metadata } => Call::list("/logs", metadata.as_deref()),
        LogsCommand::Create { metadata, compacting, tenant, limits } => {
            let mut body = limits.body();
            body.set("metadata", metadata).set("compacting", compacting.then_some(true)).set("tenant", tenant);
            Call::post("/logs".to_owned(), body.json())
        }
        LogsCommand::Get { id } => Call::get(log(&id)),
        LogsCommand::Stats { id } => Call::get(log(&id) + "/stats"),
        LogsCommand::Update { id, metadata, limits } => {
            let mut body = limits.body();
            body.set("metadata", metadata);
            Call::patch(log(&id), body.json())
        }
        LogsCommand::Delete { id } => Call::delete(log(&id)),
    }
}

fn offsets(command: OffsetsCommand) -> Call {
    let offset = |id: &str| format!("/offset/{}", percent(id));
    match command {
        OffsetsCommand::List { metadata } => Call::list("/offsets", metadata.as_deref()),
        OffsetsCommand::Create { log_id, metadata } => {
            let mut body = call::Body::default();
            body.set("log_id", Some(log_id)).set("metadata", metadata);
            Call::post("/offsets".to_owned(), body.json())
        }
        OffsetsCommand::Get { id } => Call::get(offset(&id)),
        OffsetsCommand::Update { id, metadata, value, value_metadata } => {
            let mut body = call::Body::default();
            body.set("metadata", metadata).set("value", value).set("value_metadata", value_metadata);
            Call::patch(offset(&id), body.json())
        }
        OffsetsCommand::Delete { id } => Call::delete(offset(&id)),
    }
}

fn egress(command: EgressCommand) -> anyhow::Result<Call> {
    let webhook = |id: &str| format!("/egress_webhook/{}", percent(id));
    Ok(match command {
        EgressCommand::List { metadata } => Call::list("/egress_webhooks", metadata.as_deref()),
        EgressCommand::Create { log_id, destination, payload, mode, metadata, offset } => {
            let mut body = call::Body::default();
            body.set("log_id", Some(log_id)).set("metadata", metadata).set("destination", Some(destination));
            body.set("payload", Some(payload)).set("mode", mode).set("offset", offset);
            Call::post("/egress_webhooks".to_owned(), body.json())
        }
        EgressCommand::Get { id } => Call::get(webhook(&id)),
        EgressCommand::Rotate { id, expire_seconds } => {
            Call::patch(webhook(&id) + "/secret", json!({ "expire_seconds": expire_seconds }))
        }
        EgressCommand::Status { id } => Call::get(webhook(&id) + "/status"),
        EgressCommand::Update { id, metadata, destination, active, next_offset, next_time, skip } => {
            let mut body = call::Body::default();
            body.set("metadata", metadata).set("destination", destination);
            body.set("active", active).set("next_offset", next_offset).set("skip", skip);
            body.set("next_time", next_time.as_deref().map(message::time).transpose()?);
            Call::patch(webhook(&id), body.json())
        }
        EgressCommand::Delete { id } => Call::delete(webhook(&id)),
    })
}

fn filters(command: FiltersCommand) -> Call {
    let filter = |id: &str| format!("/filter/{}", percent(id));
    match command {
        FiltersCommand::List { metadata } => Call::list("/filters", metadata.as_deref()),
        FiltersCommand::Create { source_id, target_id, expression, mode, metadata, offset } => {
            let mut body = call::Body::default();
            body.set("source_id", Some(source_id)).set("target_id", Some(target_id));
            body.set("expression", expression).set("mode", mode).set("metadata", metadata).set("offset", offset);
            Call::post("/filters".to_owned(), body.json())
        }
        FiltersCommand::Get { id } => Call::get(filter(&id)),
        FiltersCommand::Status { id } => Call::get(filter(&id) + "/status"),
        FiltersCommand::Update { id, metadata, expression, active } => {
            let mut body = call::Body::default();
            body.set("metadata", metadata).set("expression", expression).set("active", active);
            Call::patch(filter(&id), body.json())
        }
        FiltersCommand::Delete { id } => Call::delete(filter(&id)),
    }
}

fn ingress(command: IngressCommand) -> anyhow::Result<Call> {
    let webhook = |id: &str| format!("/ingress_webhook/{}", percent(id));
    Ok(match command {
        IngressCommand::List { metadata } => Call::list("/ingress_webhooks", metadata.as_deref()),
        IngressCommand::Create { log_id, kind, secret, metadata } => {
            let mut body = call::Body::default();
            body.set("log_id", Some(log_id)).set("type", Some(kind)).set("metadata", metadata);
            body.set("secret", secret.read()?);
            Call::post("/ingress_webhooks".to_owned(), body.json())
        }
        IngressCommand::Get { id } => Call::get(webhook(&id)),
        IngressCommand::Update { id, secret, expire_seconds, metadata } => {
            let mut body = call::Body::default();
            body.set("metadata", metadata).set("secret", secret.read()?).set("expire_seconds", expire_seconds);
            Call::patch(webhook(&id), body.json())
        }
        IngressCommand::Delete { id } => Call::delete(webhook(&id)),
    })
}

fn get(args: &GetArgs) -> Call {
    Call::get(format!("/message/{}?offset={}&encoding={}", percent(&args.log), args.offset, percent(&args.encoding)))
}

fn clean_up(args: &CleanupArgs) -> Call {
    Call { body: args.limits.body().json(), ..Call::delete(format!("/messages/{}", percent(&args.log))) }
}

#[derive(Deserialize)]
struct Consumed {
    next_offset: i64,
    messages: Vec<IgnoredAny>,
}

async fn consume(args: ConsumeArgs, client: &AdminClient) -> anyhow::Result<()> {
    let wait = match args.poll {
        Some(Duration::ZERO) if args.go_on => {
            return Err(
                Misuse::new("--poll 0s: to go on with --continue, the daemon has to wait for what comes").into()
            );
        }
        Some(wait) => wait,
        None if args.go_on => NEXT,
        None => Duration::ZERO,
    };
    let fixed = format!("len={}&poll={}&encoding={}", args.size, wait.as_millis(), percent(&args.encoding));
    let mut place = match (&args.offset_id, &args.time) {
        (Some(id), _) => format!("offset_id={}", percent(id)),
        (None, Some(text)) => format!("time={}", message::time(text)?),
        (None, None) => format!("offset={}", args.offset),
    };
    loop {
        let path = format!("/messages/{}?{place}&{fixed}", percent(&args.log));
        let text = answer(&Call { wait, ..Call::get(path) }, client).await?;
        if !args.go_on {
            return show::print(&json::indented(&text));
        }
        let Consumed { next_offset, messages } = serde_json::from_str(&text)?;
        // That nothing came is nothing to tell.
        if !messages.is_empty() && show::print_while_read(&json::indented(&text))? == Reader::Gone {
            return Ok(());
        }
        place = format!("offset={next_offset}");
    }
}
