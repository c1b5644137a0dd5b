//! Event hooks: tables where lists are long, else JSON indented by two.

mod args;
mod describe;
mod tables;
pub(crate) mod tail;

pub use args::{EventHooksCommand, HookArgs};
pub use tail::TailArgs;

use crate::client::AdminClient;
use crate::streams::call::percent;
use hyper::Method;
use serde_json::{Value, json};

const HOOKS: &str = "/event-hooks";

/// Runs a command; gives what is to be printed.
pub(crate) async fn run(command: EventHooksCommand, client: &AdminClient) -> anyhow::Result<String> {
    use EventHooksCommand as Command;
    let one = |id: &str, what: &str| format!("{HOOKS}/{}{what}", percent(id));
    let answer = match command {
        Command::Sources { source, json } => {
            let path = match &source {
                Some(source) => format!("{HOOKS}/sources/{}", percent(source)),
                None => format!("{HOOKS}/sources"),
            };
            let answer: Value = client.get(&path).await?;
            return Ok(if json { indented(&answer) } else { tables::sources(&answer, source.as_deref()) });
        }
        Command::List { json } => {
            let answer = all(client).await?;
            return Ok(if json { indented(&answer) } else { tables::hooks(&answer) });
        }
        Command::Create(hook) => client.post(HOOKS, &hook.document()?).await?,
        Command::Get { id } => client.get(&one(&id, "")).await?,
        Command::Update { id, hook } => client.patch(&one(&id, ""), &hook.document()?).await?,
        Command::Delete { id } => {
            client.send(Method::DELETE, &one(&id, ""), &Value::Null).await?;
            return Ok(format!("deleted {id}\n"));
        }
        Command::Ping { id } => client.get(&one(&id, "/ping")).await?,
        Command::Test { id, data } => {
            let data: Value =
                serde_json::from_str(&data).map_err(|error| crate::Misuse::new(format!("--data: {error}")))?;
            client.post(&one(&id, "/test"), &data).await?
        }
        Command::Attempts { id, limit, after, json } => {
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            let answer: Value = client.get(&one(&id, &format!("/attempts?limit={limit}{after}"))).await?;
            return Ok(if json { indented(&answer) } else { tables::attempts(&answer) });
        }
        Command::Resend { id, attempt, from, until } => {
            client.post(&one(&id, "/resend"), &json!({ "attempt": attempt, "from": from, "until": until })).await?
        }
        Command::Replay { id, since, until } => {
            client.post(&one(&id, "/replay"), &json!({ "since": since, "until": until })).await?
        }
        Command::DeadLetters { id, limit } => client.get(&one(&id, &format!("/dead-letters?limit={limit}"))).await?,
        Command::Redrive { id, reason, offset } => {
            client.post(&one(&id, "/redrive"), &json!({ "reason": reason, "offset": offset })).await?
        }
        Command::DryRun { id, last } => client.get(&one(&id, &format!("/dry-run?last={last}"))).await?,
        Command::Status { id } => client.get(&one(&id, "/status")).await?,
    };
    Ok(indented(&answer))
}

fn indented(answer: &Value) -> String {
    format!("{answer:#}\n")
}

/// All pages as one.
async fn all(client: &AdminClient) -> anyhow::Result<Value> {
    let mut path = format!("{HOOKS}?size=1000");
    let mut hooks = Vec::new();
    loop {
        let mut page: Value = client.get(&path).await?;
        if let Some(data) = page["data"].as_array_mut() {
            hooks.append(data);
        }
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => return Ok(json!({ "data": hooks, "next": null })),
        }
    }
}
