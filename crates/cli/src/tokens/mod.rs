//! `waybill tokens`: bearer tokens, over the admin socket or over HTTP.

mod args;

pub use args::{TokensArgs, TokensCommand};

use crate::{ClientError, Misuse};
use anyhow::Result;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A token as the daemon shows it, in this order.
#[derive(Serialize, Deserialize)]
struct Shown {
    token_id: String,
    metadata: String,
    acl: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bearer: Option<String>,
    /// What a later daemon has.
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Serialize, Deserialize)]
struct List {
    tokens: Vec<Shown>,
}

/// Runs a command, and gives what is to be printed.
pub(crate) async fn run(args: TokensArgs, socket: &Path) -> Result<String> {
    let client = args.reach.client(socket)?;
    match args.command {
        TokensCommand::Create(wanted) => {
            let mut body = json!({});
            set(&mut body, "metadata", wanted.metadata);
            set(&mut body, "acl", some(wanted.acl));
            set(&mut body, "tenant", wanted.tenant);
            pretty(&client.post::<Value, Shown>("/tokens", &body).await?)
        }
        TokensCommand::List { metadata } => {
            let query = metadata.map(|text| format!("?metadata={}", utf8_percent_encode(&text, NON_ALPHANUMERIC)));
            pretty(&client.get::<List>(&format!("/tokens{}", query.unwrap_or_default())).await?)
        }
        TokensCommand::Get { id } => pretty(&client.get::<Shown>(&path(&id)).await?),
        TokensCommand::Update(changed) => {
            let mut body = json!({});
            set(&mut body, "metadata", changed.metadata);
            set(&mut body, "acl", some(changed.acl));
            if body == json!({}) {
                return Err(Misuse::new("nothing is to be changed: give --metadata or --acl").into());
            }
            pretty(&client.patch::<Value, Shown>(&path(&changed.id), &body).await?)
        }
        TokensCommand::Delete { id } => pretty(&client.delete::<Shown>(&path(&id)).await?),
    }
}

fn set(body: &mut Value, field: &str, value: Option<impl Serialize>) {
    if let Some(value) = value {
        body[field] = json!(value);
    }
}

fn some(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}

fn path(id: &str) -> String {
    format!("/token/{}", utf8_percent_encode(id, NON_ALPHANUMERIC))
}

/// JSON as klev's command prints it.
fn pretty(answer: &impl Serialize) -> Result<String> {
    Ok(format!("{}\n", serde_json::to_string_pretty(answer)?))
}

/// An answer of the API that is no success, as JSON: klev's command prints it on standard error.
#[derive(Debug)]
pub struct ApiError(Value);

impl ApiError {
    /// What an answer says, where it is JSON with a code.
    pub(crate) fn of(error: &ClientError) -> Option<Self> {
        let ClientError::Status { json: Some(json), .. } = error else { return None };
        json.get("code").is_some().then(|| ApiError(json.clone()))
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for ApiError {}
