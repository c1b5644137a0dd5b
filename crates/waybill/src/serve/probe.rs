use super::Policy;
use super::engine::{self, Parts};
use super::late::Late;
use super::setup::Collector;
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;
use waybill_admin::Admin;
use waybill_policy::PolicyHost;
use waybill_runtime::{Clock, SystemClock};
use waybill_types::IdMint;

/// A policy of the program's own and an event of it: how the program looks at itself as policy sees it.
pub(crate) struct Probe {
    pub(crate) text: &'static str,
    pub(crate) event: &'static str,
}

impl Probe {
    /// Loads the policy with every module that a daemon has, and gives the text that the event returns. Nothing is
    /// opened.
    pub(crate) async fn run(self) -> Result<String> {
        let parts = Parts {
            collector: Arc::new(Collector::default()),
            late: Arc::new(Late::default()),
            orders: Admin::new(Arc::new(|| SystemClock.now())),
            injection: Arc::default(),
            mint: Arc::new(IdMint::random()),
            clock: Arc::new(SystemClock),
            resolver: waybill_dns::SharedResolver::new(waybill_dns_hickory::NetworkResolver::system()),
            validating: true,
            metrics: None,
        };
        let engine = engine::load(&Policy::Text(self.text), Path::new("."), parts).await?;
        Ok(engine.call(self.event, Vec::new()).await?.text()?)
    }
}
