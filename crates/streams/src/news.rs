use serde_json::Value;
use waybill_spool::Batch;
use waybill_streams_core::{Egress, Log, Turned};

/// Hears what happens to logs and egress webhooks.
///
/// # Contract
/// - `changed` puts what is to be told of a change into the batch that makes it, and does nothing else.
/// - `turned` never waits.
pub trait News: Send + Sync + 'static {
    /// Something is made, changed or deleted with this batch.
    fn changed(&self, change: Change, batch: &mut Batch);

    /// An endpoint fails, works again, or wants nothing any more.
    fn turned(&self, endpoint: EndpointNews);
}

/// A change of something that is managed over the API.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// `logs` or `egress_webhooks`.
    pub schema: &'static str,
    /// `create`, `update` or `delete`.
    pub operation: &'static str,
    /// What it is now, as the API shows it; of something deleted what it was.
    pub entity: Value,
    /// What it was, where it was changed.
    pub old: Option<Value>,
    /// Whose it is: the tenant of the log, where that has one.
    pub tenant: Option<String>,
    /// Its id.
    pub id: String,
}

/// How the endpoint of an egress webhook turned out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointNews {
    /// The webhook's id.
    pub id: String,
    /// Whose it is: the tenant of its log, where that has one.
    pub tenant: Option<String>,
    /// Where it sends to.
    pub destination: String,
    /// What it is now, and how it came to it.
    pub turned: Turned,
    /// What it said last, or why it said nothing.
    pub last_response: String,
}

impl Change {
    pub(crate) fn of_log(operation: &'static str, log: &Log, old: Option<&Log>) -> Self {
        let shown = |log: &Log| serde_json::to_value(log).unwrap_or_default();
        let (entity, old, tenant, id) = (shown(log), old.map(shown), log.tenant.clone(), log.log_id.to_string());
        Change { schema: "logs", operation, entity, old, tenant, id }
    }

    /// Of an egress webhook on a log of this tenant.
    pub(crate) fn of_egress(
        operation: &'static str,
        egress: &Egress,
        old: Option<&Egress>,
        tenant: Option<String>,
    ) -> Self {
        let shown = |egress: &Egress| serde_json::to_value(egress.shown()).unwrap_or_default();
        let (entity, old, id) = (shown(egress), old.map(shown), egress.webhook_id.to_string());
        Change { schema: "egress_webhooks", operation, entity, old, tenant, id }
    }
}
