//! The account log: who was let in, who was not, and to what (contract/kumomta.md section 7.1).

use anyhow::{Context, Result};
use parking_lot::Mutex;
use std::sync::Arc;
use waybill_authorizer::{Decision, DecisionLog};
use waybill_line_files::{LineFiles, LineFilesConfig, Lines, Metrics, Nag, Route};
use waybill_runtime::Clock;
use waybill_types::Timestamp;

/// Files of decisions.
pub(crate) struct AccountLog {
    files: LineFiles<Decision>,
    clock: Arc<dyn Clock>,
    nag: Mutex<Nag>,
}

impl AccountLog {
    /// Begins to write; no file is made before there is something to write.
    pub(crate) fn start(config: &LineFilesConfig, clock: &Arc<dyn Clock>) -> Result<Self> {
        let name = format!("acct-{}", config.log_dir.display());
        let files =
            LineFiles::start(name, config.settings(), Told(Route { place: 0, header: "".into() }), clock.clone());
        let files = files.context("aaa.configure_acct_log")?;
        Ok(AccountLog { files, clock: clock.clone(), nag: Mutex::default() })
    }

    /// The files, for the end.
    pub(crate) fn files(&self) -> &LineFiles<Decision> {
        &self.files
    }
}

impl DecisionLog for AccountLog {
    fn note(&self, decision: Decision) {
        if self.files.offer(decision) {
            return;
        }
        if let Some(held_back) = self.nag.lock().is_due(self.clock.now()) {
            tracing::error!(
                logger = self.files.name(),
                held_back,
                "a decision is not in the account log: no room for it"
            );
        }
    }
}

/// All decisions go one way.
struct Told(Route);

impl Lines for Told {
    type Item = Decision;

    fn route(&self, _: &Decision) -> Option<Route> {
        Some(self.0.clone())
    }

    fn line(&mut self, decision: &Decision, _: Timestamp, _: &Metrics) -> Vec<u8> {
        decision.line()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_authorizer::{Question, Verdict};
    use waybill_runtime::SystemClock;

    #[tokio::test]
    async fn decisions_are_lines_of_a_file_that_is_done_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let config = serde_json::from_value(serde_json::json!({ "log_dir": folder.path().join("acct") })).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let log = AccountLog::start(&config, &clock).unwrap();
        let decision = |identity: &str| Decision {
            question: Question::Authentication { mechanism: "BearerToken", identity: Some(identity.to_owned()) },
            decision: Verdict::Allow,
            reason: None,
            resource: "http_listener/x/y".into(),
            peer_address: [127, 0, 0, 1].into(),
            event_time: Timestamp::EPOCH,
        };
        log.note(decision("first"));
        log.note(decision("second"));
        log.files().finish().await;
        let files: Vec<_> = std::fs::read_dir(folder.path().join("acct")).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        assert!(files[0].metadata().unwrap().permissions().readonly());
        let text = zstd::decode_all(std::fs::File::open(files[0].path()).unwrap()).unwrap();
        assert_eq!(text, [decision("first").line(), decision("second").line()].concat());
        // Nobody is told that it is too late, and nobody waits.
        log.note(decision("late"));
    }
}
