//! Our own HTTP sender, made once for all who tell endpoints something.

use super::daemon::Common;
use super::plan::WebhooksSection;
use anyhow::{Context, Result};
use waybill_runtime::{Supervisor, SystemClock};
use waybill_webhook::{Guard, Sender};
use waybill_webhook_core::{AddressPolicy, Limits};

/// The sender that `configure_webhooks` describes. `supervisor` owns its connections.
pub(crate) fn sender(common: &Common, section: &WebhooksSection, supervisor: &Supervisor) -> Result<Sender> {
    let targets = section.addresses().map_err(anyhow::Error::msg).context("configure_webhooks")?;
    let guard = Guard { targets, proxies: AddressPolicy::default() };
    Ok(Sender::new(Limits::default(), guard, common.resolver.clone(), SystemClock, supervisor.clone()))
}
