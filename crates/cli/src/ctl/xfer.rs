//! Moving messages to another node, and back.

use super::Ctl;
use super::args::Criteria;
use super::orders::criteria;
use anyhow::Result;
use clap::Args;
use serde_json::json;

/// `xfer`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct Xfer {
    #[command(flatten)]
    which: Criteria,
    /// Queues of this routing domain
    #[arg(long, conflicts_with = "everything")]
    routing_domain: Option<String>,
    /// The queue of this whole name; may be there several times
    #[arg(long = "queue", alias = "queue-name", value_name = "NAME", conflicts_with = "everything")]
    queue_names: Vec<String>,
    /// The other node's HTTP listener, such as http://node2.example:8000
    #[arg(long, value_name = "URL")]
    target: String,
    /// What the records say
    #[arg(long)]
    reason: String,
}

/// `xfer-cancel`.
#[derive(Clone, PartialEq, Eq, Debug, Args)]
pub struct XferCancel {
    /// The queue of the other node, URL.xfer.kumomta.internal
    queue_name: String,
    /// What the records say
    #[arg(long)]
    reason: String,
}

impl Ctl {
    pub(super) async fn xfer(&self, xfer: Xfer) -> Result<String> {
        let Xfer { which, routing_domain, queue_names, target, reason } = xfer;
        let mut body = criteria(&which, [("routing_domain", routing_domain)], &queue_names)?;
        body.insert("target".into(), target.into());
        body.insert("reason".into(), reason.into());
        self.post("/api/admin/xfer/v1", &body).await
    }

    pub(super) async fn cancel_xfer(&self, XferCancel { queue_name, reason }: XferCancel) -> Result<String> {
        self.post("/api/admin/xfer/cancel/v1", &json!({"queue_name": queue_name, "reason": reason})).await
    }
}
