//! What the endpoints below `/api/admin/xfer` take (contract/kumomta.md section 7.2).

use crate::{Admin, Criteria, Rebind, Transfer};
use serde::Deserialize;
use serde_json::Map;
use std::sync::Arc;
use utoipa::ToSchema;
use waybill_types::{NodeUrl, NodeUrlError, QueueName};

/// `POST /api/admin/xfer/v1`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct XferRequest {
    #[serde(default)]
    pub(crate) campaign: Option<String>,
    #[serde(default)]
    pub(crate) tenant: Option<String>,
    #[serde(default)]
    pub(crate) domain: Option<String>,
    #[serde(default)]
    pub(crate) routing_domain: Option<String>,
    pub(crate) reason: String,
    /// The URL of the other node's HTTP listener.
    #[schema(example = "http://node2.example:8000")]
    pub(crate) target: String,
    #[serde(default)]
    pub(crate) queue_names: Vec<String>,
}

/// `POST /api/admin/xfer/cancel/v1`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct XferCancelRequest {
    /// The queue of the other node.
    #[schema(example = "http://node2.example:8000.xfer.kumomta.internal")]
    pub(crate) queue_name: String,
    pub(crate) reason: String,
}

/// The name is not that of a queue whose mail goes to another node.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "queue_name: {0:?} is no queue of a transfer, expected a name such as http://node2.example:8000.xfer.kumomta.internal"
)]
pub struct NoTransfer(String);

impl Admin {
    /// Sends the messages that are in some queues now to another node.
    ///
    /// # Errors
    /// When the target is no URL of a node; nothing has begun then.
    pub async fn xfer(&self, request: XferRequest) -> Result<(), NodeUrlError> {
        let XferRequest { campaign, tenant, domain, routing_domain, reason, target, queue_names } = request;
        let target = NodeUrl::parse(&target)?;
        let criteria = Criteria { campaign, tenant, domain, routing_domain, queue_names };
        self.move_messages(transfer(criteria, &reason, Transfer::To(target))).await;
        Ok(())
    }

    /// Brings the messages back that wait to go to another node.
    ///
    /// # Errors
    /// When the name is not that of such a queue.
    pub async fn cancel_xfer(&self, request: XferCancelRequest) -> Result<(), NoTransfer> {
        let XferCancelRequest { queue_name, reason } = request;
        if NodeUrl::of_queue(&QueueName::new(queue_name.as_str())).is_none() {
            return Err(NoTransfer(queue_name));
        }
        let criteria = Criteria { queue_names: vec![queue_name], ..Criteria::default() };
        self.move_messages(transfer(criteria, &reason, Transfer::Back)).await;
        Ok(())
    }
}

fn transfer(criteria: Criteria, reason: &str, transfer: Transfer) -> Arc<Rebind> {
    Arc::new(Rebind {
        criteria,
        reason: reason.into(),
        data: Map::new(),
        ask_policy: false,
        silent: false,
        flush: true,
        transfer: Some(transfer),
    })
}
