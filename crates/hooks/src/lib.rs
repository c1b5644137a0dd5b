//! Log files, log hooks and disposition hooks.

mod admin;
mod config;
mod disposition;
mod files;
mod log_hook;
mod template;

pub use admin::HookQueues;
pub use config::{
    ANY, DEFAULT_BACK_PRESSURE, DEFAULT_MAX_FILE_SIZE, LocalLogsConfig, LogDispositionHookConfig, LogHookConfig,
    PerRecord, PerRecords,
};
pub use disposition::DispositionHooks;
pub use files::{LogFiles, LogFilesError, Metrics as LogFilesMetrics};
pub use log_hook::{CLASSES as RESPONSE_CLASSES, Counts, HookContext, LogHook, Role};
pub use template::{TemplateError, Templates};
