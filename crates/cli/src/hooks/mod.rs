//! `waybill hooks`: what an operator sees of hooks and does with them.

mod args;
mod letters;
mod list;
mod replay;
mod show;

pub use args::HooksCommand;
pub use list::HookStatus;

use crate::client::{AdminClient, ClientError};
use anyhow::bail;
use hyper::StatusCode;
use serde_json::{Value, json};

/// Runs a command, and gives what is to be printed.
pub(crate) async fn run(command: HooksCommand, client: &AdminClient) -> anyhow::Result<String> {
    match command {
        HooksCommand::List { json } => list::list(client, json).await,
        HooksCommand::Status { name, json } => show::show(client, &name, json).await,
        HooksCommand::Pause { name } => {
            client.post::<Value, Value>(&path(&name, "/pause"), &json!({})).await?;
            Ok(format!("{name} is paused: nothing is sent until `waybill hooks resume {name}`, also after a restart\n"))
        }
        HooksCommand::Resume { name } => {
            client.post::<Value, Value>(&path(&name, "/resume"), &json!({})).await?;
            Ok(format!("{name} goes on\n"))
        }
        HooksCommand::Replay(wanted) => replay::replay(client, &wanted).await,
        HooksCommand::CancelReplay { name } => {
            // What ends a replay would forget a hook that left the policy.
            if !client.get::<HookStatus>(&path(&name, "")).await?.is_replay() {
                bail!("{name} is no replay; `waybill hooks list` shows those that there are, such as {name}@replay-1");
            }
            client.delete::<Value>(&path(&name, "")).await?;
            Ok(format!("{name} ends; what it has in flight is finished\n"))
        }
        HooksCommand::DeadLetters { name, limit, json } => letters::list(client, &name, limit, json).await,
        HooksCommand::Redrive(wanted) => letters::redrive(client, &wanted).await,
        HooksCommand::Forget { name } => {
            match client.get::<HookStatus>(&path(&name, "")).await {
                Ok(status) if status.is_replay() => {
                    bail!("{name} is a replay: `waybill hooks cancel-replay {name}` ends it");
                }
                // It is detached, as it should be, or the refusal says why not.
                Ok(_) | Err(ClientError::Status { status: StatusCode::CONFLICT, .. }) => {}
                Err(error) => return Err(error.into()),
            }
            client.delete::<Value>(&path(&name, "")).await?;
            Ok(format!("{name} is forgotten, with its position, what waited for it, and its dead letters\n"))
        }
    }
}

/// The path of something about a hook. Names are what a policy chose: anything but plain characters is escaped.
fn path(name: &str, rest: &str) -> String {
    let mut path = String::from("/api/hooks/v1/");
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'@' => path.push(char::from(byte)),
            other => path.push_str(&format!("%{other:02X}")),
        }
    }
    path + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_hook_is_called_its_path_is_one() {
        assert_eq!(path("web-hook_1.x@replay-2", "/pause"), "/api/hooks/v1/web-hook_1.x@replay-2/pause");
        assert_eq!(path("a/b c?ü", ""), "/api/hooks/v1/a%2Fb%20c%3F%C3%BC");
    }
}
