use super::Policy;
use super::engine::{self, Parts};
use anyhow::Result;
use std::path::Path;
use waybill_policy::PolicyHost;

/// A policy of the program's own and an event of it: how the program looks at itself as policy sees it.
pub(crate) struct Probe {
    pub(crate) text: &'static str,
    pub(crate) event: &'static str,
}

impl Probe {
    /// Loads the policy with every module that a daemon has, and gives the text that the event returns. Nothing is
    /// opened.
    pub(crate) async fn run(self) -> Result<String> {
        let parts = Parts::alone(Default::default(), true);
        let engine = engine::load(&Policy::Text(self.text), Path::new("."), parts).await?;
        Ok(engine.call(self.event, Vec::new()).await?.text()?)
    }
}
