//! `waybill ctl`: KumoMTA's `kcli`, command by command (contract/kumomta.md section 8).

mod args;
mod inspect;
mod orders;
mod summary;
mod table;
mod top;
mod trace;
mod xfer;

pub use args::{CtlArgs, CtlCommand};

use crate::client::AdminClient;
use crate::{ClientError, Endpoint};
use anyhow::Result;
use hyper::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use std::io::IsTerminal;
use std::path::Path;
use waybill_tls::Trust;

/// Where `kcli` looks unless it is told otherwise.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:8000";

/// Who is asked, and how the answer is shown.
struct Ctl {
    client: AdminClient,
    json: bool,
}

/// Runs one command; gives what is to be printed.
pub(crate) async fn run(args: CtlArgs, socket: &Path, socket_was_named: bool) -> Result<String> {
    let client = client(args.endpoint.as_deref(), args.ca_file.as_deref(), socket, socket_was_named)?;
    let ctl = Ctl { client, json: args.json };
    match args.command {
        CtlCommand::Bounce(bounce) => ctl.bounce(bounce).await,
        CtlCommand::BounceList => ctl.bounce_list().await,
        CtlCommand::BounceCancel(which) => ctl.cancel("/api/admin/bounce/v1", which).await,
        CtlCommand::Rebind(rebind) => ctl.rebind(rebind).await,
        CtlCommand::Suspend(suspend) => ctl.suspend(suspend).await,
        CtlCommand::SuspendList => ctl.suspend_list().await,
        CtlCommand::SuspendCancel(which) => ctl.cancel("/api/admin/suspend/v1", which).await,
        CtlCommand::SuspendReadyQ(suspend) => ctl.suspend_ready(suspend).await,
        CtlCommand::SuspendReadyQList => ctl.suspend_ready_list().await,
        CtlCommand::SuspendReadyQCancel(which) => ctl.cancel("/api/admin/suspend-ready-q/v1", which).await,
        CtlCommand::SetLogFilter { filter } => ctl.set_log_filter(&filter).await,
        CtlCommand::BumpConfigEpoch => ctl.bump_epoch().await,
        CtlCommand::SpoolCompact { name } => ctl.compact_spool(&name).await,
        CtlCommand::InspectMessage { id, want_body } => ctl.inspect_message(&id, want_body).await,
        CtlCommand::InspectSchedQ(query) => ctl.inspect_scheduled(&query).await,
        CtlCommand::InspectReadyQ { queue_name, sched_q } => ctl.inspect_ready(&queue_name, sched_q).await,
        CtlCommand::ReadyQStates { queue } => ctl.ready_states(&queue).await,
        CtlCommand::AbortReadyQConn { queue_name, session_id } => ctl.abort(&queue_name, &session_id).await,
        CtlCommand::ResolveEgressPath { domain, source } => ctl.resolve(&domain, source.as_deref()).await,
        CtlCommand::QueueSummary(options) => ctl.queue_summary(&options).await,
        CtlCommand::ProviderSummary(options) => ctl.provider_summary(&options).await,
        CtlCommand::TraceSmtpServer(options) => ctl.trace_server(options).await,
        CtlCommand::TraceSmtpClient(options) => ctl.trace_client(options).await,
        CtlCommand::Top(top) => ctl.top(&top).await,
        CtlCommand::Xfer(xfer) => ctl.xfer(xfer).await,
        CtlCommand::XferCancel(cancel) => ctl.cancel_xfer(cancel).await,
    }
}

/// An endpoint that was named; else the admin socket, where it is; else where `kcli` looks.
fn client(
    endpoint: Option<&str>,
    ca_file: Option<&Path>,
    socket: &Path,
    socket_was_named: bool,
) -> Result<AdminClient> {
    if let Some(endpoint) = endpoint {
        return AdminClient::at(endpoint, ca_file);
    }
    if socket_was_named || socket.exists() {
        return Ok(AdminClient::new(socket));
    }
    Ok(AdminClient::over_http(DEFAULT_ENDPOINT.parse::<Endpoint>()?, Trust::system()))
}

impl Ctl {
    /// A JSON answer as it came, laid out for reading.
    async fn get(&self, path: &str) -> Result<String> {
        let answer: Value = self.client.get(path).await?;
        Ok(format!("{answer:#}\n"))
    }

    async fn post(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<String> {
        let answer: Value = self.client.post(path, body).await?;
        Ok(format!("{answer:#}\n"))
    }

    /// A request whose answer is a sentence.
    async fn tell(&self, method: Method, path: &str, body: &(impl Serialize + Sync)) -> Result<String, ClientError> {
        let answer = self.client.send(method, path, body).await?;
        Ok(if answer.is_empty() { answer } else { format!("{}\n", crate::show::printable(answer.trim())) })
    }

    /// Tables are for eyes: a program that reads our output gets JSON.
    fn wants_table(&self) -> bool {
        !self.json && std::io::stdout().is_terminal()
    }
}

/// `path?name=value&…`, with the values made safe.
fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
    format!("{path}?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests;
