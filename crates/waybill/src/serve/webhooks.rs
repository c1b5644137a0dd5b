//! Our own HTTP sender, made once for all who tell endpoints something.

use super::daemon::Common;
use super::plan::WebhooksSection;
use anyhow::{Context, Result};
use waybill_runtime::{Supervisor, SystemClock};
use waybill_webhook::{Attempt, Guard, Response, Sender};
use waybill_webhook_core::{AddressPolicy, Blocked, Limits, Outcome};

/// The sender that `configure_webhooks` describes. `supervisor` owns its connections.
pub(crate) fn sender(common: &Common, section: &WebhooksSection, supervisor: &Supervisor) -> Result<Sender> {
    let guard = guard(section)?;
    Ok(Sender::new(Limits::default(), guard, common.resolver.clone(), SystemClock, supervisor.clone()))
}

/// The addresses that may be called.
pub(super) fn guard(section: &WebhooksSection) -> Result<Guard> {
    let read = |rules: Result<AddressPolicy, String>| rules.map_err(anyhow::Error::msg).context("configure_webhooks");
    Ok(Guard { targets: read(section.addresses())?, proxies: read(section.proxies())? })
}

/// What came back of an attempt.
///
/// # Errors
/// Why nothing did: a sentence.
pub(super) fn answer(attempt: Attempt) -> Result<Response, String> {
    match (attempt.response, attempt.trouble, attempt.outcome) {
        (Some(response), ..) => Ok(response),
        (None, Some(trouble), _) => Err(trouble.to_string()),
        (None, None, Outcome::Blocked(Blocked::Target(refused))) => Err(format!("not called: {}", refused.reason())),
        (None, None, Outcome::Blocked(blocked)) => Err(blocked.to_string()),
        (None, None, _) => Err("nothing was sent".to_owned()),
    }
}
