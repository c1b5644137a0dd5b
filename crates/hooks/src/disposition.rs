use crate::config::LogDispositionHookConfig;
use parking_lot::Mutex;
use std::sync::{Arc, OnceLock};
use waybill_line_files::Nag;
use waybill_log_record::{Capture, Entry, RecordType, RecordView};
use waybill_policy::{PolicyHost, Value};
use waybill_runtime::Clock;
use waybill_spool::{Message, Part, Store};

/// The disposition hooks of a policy: `log_disposition_NAME(msg, record)` is called for each record about a message that
/// is not a log message, one hook after the other, beside the log files.
///
/// Whoever wrote the record waits for them; what goes wrong in one is logged and changes nothing.
pub struct DispositionHooks {
    hooks: Vec<Hook>,
    policy: Arc<dyn PolicyHost>,
    clock: Arc<dyn Clock>,
    /// Where bodies are that are not in memory; known once the spool is open.
    store: OnceLock<Arc<dyn Store>>,
    nothing: Arc<Capture>,
}

struct Hook {
    config: LogDispositionHookConfig,
    event: String,
    /// Trouble may come with every record.
    nag: Mutex<Nag>,
}

impl DispositionHooks {
    /// Hooks that call this policy.
    pub fn new(
        configs: Vec<LogDispositionHookConfig>,
        policy: Arc<dyn PolicyHost>,
        clock: Arc<dyn Clock>,
    ) -> DispositionHooks {
        let hook = |config: LogDispositionHookConfig| Hook {
            event: format!("log_disposition_{}", config.name),
            config,
            nag: Mutex::default(),
        };
        let nothing = Arc::new(Capture::nothing());
        DispositionHooks {
            hooks: configs.into_iter().map(hook).collect(),
            policy,
            clock,
            store: OnceLock::new(),
            nothing,
        }
    }

    /// From here scripts get bodies that are on disk.
    pub fn read_bodies_from(&self, store: Arc<dyn Store>) {
        // There is one store.
        let _ = self.store.set(store);
    }

    /// Whether any of them takes records of this type.
    pub fn wants(&self, kind: RecordType) -> bool {
        has_message(kind) && self.hooks.iter().any(|hook| hook.config.per_record.enables(kind))
    }

    /// Calls those that want the record.
    pub async fn run(&self, entry: &Entry, message: Option<&Message>) {
        let (kind, Some(message)) = (entry.kind(), message) else { return };
        if entry.is_of_log_message() || !self.wants(kind) {
            return;
        }
        let view = RecordView::new(entry.clone(), self.nothing.clone());
        let record: serde_json::Value = match serde_json::from_slice(&view.json()) {
            Ok(record) => record,
            Err(error) => return tracing::error!("a {kind} record cannot be shown to disposition hooks: {error}"),
        };
        let shown = self.shown(message).await;
        for hook in self.hooks.iter().filter(|hook| hook.config.per_record.enables(kind)) {
            let args = vec![shown.clone().into(), Value::Record(record.clone())];
            if let Err(error) = self.policy.call(&hook.event, args).await {
                self.complain(hook, message, &error.to_string());
            }
        }
    }

    /// The message as scripts see it, with its body, which they may want. One that is on disk comes in a copy: the message
    /// itself may be on its way again, and its body is the queue's business. Where the message has left the spool
    /// already, there is only what memory still has.
    async fn shown(&self, message: &Message) -> Message {
        let Some(store) = self.store.get().filter(|_| message.data().is_none()) else { return message.clone() };
        match store.load(message.id(), Part::Data).await {
            Ok(Some(data)) => {
                let copy = Message::new(message.id(), message.sender(), message.recipients(), data);
                copy.set_overlay(message.overlay());
                copy.set_attempts(message.attempts());
                copy.set_due(message.due());
                copy
            }
            Ok(None) => message.clone(),
            Err(error) => {
                tracing::error!(message = %message.id(), "disposition hooks do not see its body: {error}");
                message.clone()
            }
        }
    }

    fn complain(&self, hook: &Hook, message: &Message, error: &str) {
        if let Some(held_back) = hook.nag.lock().is_due(self.clock.now()) {
            tracing::error!(message = %message.id(), held_back, "{}: {error}", hook.event);
        }
    }
}

/// Whether records of this type come with a message. A report is about one that is long gone.
fn has_message(kind: RecordType) -> bool {
    !matches!(kind, RecordType::Rejection | RecordType::OOB)
}
