//! The metrics by name: contract/kumomta.md section 9, and Waybill's own about hooks.

use super::{HistogramTotals, MetricsError, Register};
use prometheus::{GaugeVec, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

/// Messages and connections. `service` is a listener (`esmtp_listener`, `esmtp_listener:ADDR`, `http_listener`) or a
/// way out (`smtp_client`, `lua`, `lua:READY QUEUE`).
#[derive(Clone, Debug)]
pub struct MailMetrics {
    /// `total_messages_delivered{service}`
    pub delivered: IntCounterVec,
    /// `total_messages_transfail{service}`
    pub transfailed: IntCounterVec,
    /// `total_messages_fail{service}`
    pub failed: IntCounterVec,
    /// `total_messages_received{service}`
    pub received: IntCounterVec,
    /// `total_connection_count{service}`
    pub connections: IntCounterVec,
    /// `connection_count{service}`
    pub open_connections: IntGaugeVec,
    /// `total_connections_denied{service}`
    pub denied_connections: IntCounterVec,
    /// `smtp_server_rejections{service}`
    pub rejections: IntCounterVec,
    /// `message_count`
    pub in_memory: IntGauge,
    /// `total_messages_delivered_by_provider{provider}`
    pub delivered_by_provider: IntCounterVec,
    /// `total_messages_transfail_by_provider{provider}`
    pub transfailed_by_provider: IntCounterVec,
    /// `total_messages_fail_by_provider{provider}`
    pub failed_by_provider: IntCounterVec,
}

impl MailMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        let service = &["service"];
        Ok(MailMetrics {
            delivered: register.counters("total_messages_delivered", "messages that were delivered", service)?,
            transfailed: register.counters("total_messages_transfail", "attempts that failed for now", service)?,
            failed: register.counters("total_messages_fail", "messages that failed for good", service)?,
            received: register.counters("total_messages_received", "messages that were accepted", service)?,
            connections: register.counters("total_connection_count", "connections since the start", service)?,
            open_connections: register.gauges("connection_count", "connections that are open", service)?,
            denied_connections: register.counters("total_connections_denied", "connections turned away", service)?,
            rejections: register.counters("smtp_server_rejections", "SMTP replies of 4xx and 5xx", service)?,
            in_memory: register.gauge("message_count", "messages that are in memory")?,
            delivered_by_provider: register.counters(
                "total_messages_delivered_by_provider",
                "messages that were delivered",
                &["provider"],
            )?,
            transfailed_by_provider: register.counters(
                "total_messages_transfail_by_provider",
                "attempts that failed for now",
                &["provider"],
            )?,
            failed_by_provider: register.counters(
                "total_messages_fail_by_provider",
                "messages that failed for good",
                &["provider"],
            )?,
        })
    }
}

/// Queues.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    /// `ready_count{service}`
    pub ready: IntGaugeVec,
    /// `ready_full{service}`
    pub ready_full: IntCounterVec,
    /// `scheduled_count{queue}`
    pub scheduled: IntGaugeVec,
    /// `scheduled_count_total`
    pub scheduled_total: IntGauge,
    /// `queued_count_by_provider{provider}`
    pub by_provider: IntGaugeVec,
}

impl QueueMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        Ok(QueueMetrics {
            ready: register.gauges("ready_count", "messages in the ready queue", &["service"])?,
            ready_full: register.counters("ready_full", "times that a message met a full ready queue", &["service"])?,
            scheduled: register.gauges("scheduled_count", "messages in the scheduled queue", &["queue"])?,
            scheduled_total: register.gauge("scheduled_count_total", "messages in all scheduled queues")?,
            by_provider: register.gauges("queued_count_by_provider", "messages in all queues", &["provider"])?,
        })
    }
}

/// The policy engine.
#[derive(Clone, Debug)]
pub struct LuaMetrics {
    /// `lua_event_started{event}`
    pub started: IntCounterVec,
    /// `lua_event_latency{event}`, in seconds.
    pub latency: HistogramVec,
    /// `lua_count`
    pub states: IntGauge,
    /// `lua_spare_count`
    pub spare_states: IntGauge,
    /// `lua_load_count`
    pub loads: IntCounter,
}

impl LuaMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        Ok(LuaMetrics {
            started: register.counters("lua_event_started", "calls of an event handler", &["event"])?,
            latency: register.histograms("lua_event_latency", "seconds that an event handler took", &["event"])?,
            states: register.gauge("lua_count", "Lua states that exist")?,
            spare_states: register.gauge("lua_spare_count", "Lua states that wait for work")?,
            loads: register.counter("lua_load_count", "times that the policy was loaded into a Lua state")?,
        })
    }
}

/// Hooks: what KumoMTA cannot tell (how far behind, since when, what the endpoints answer).
#[derive(Clone, Debug)]
pub struct HookMetrics {
    /// `waybill_hook_lag_events{hook}`
    pub lag_events: IntGaugeVec,
    /// `waybill_hook_oldest_seconds{hook}`
    pub oldest_seconds: GaugeVec,
    /// `waybill_hook_in_flight{hook}`
    pub in_flight: IntGaugeVec,
    /// `waybill_hook_parked{hook}`
    pub parked: IntGaugeVec,
    /// `waybill_hook_dead_letters{hook}`
    pub dead_letters: IntGaugeVec,
    /// `waybill_hook_attempts_total{hook}`
    pub attempts: IntCounterVec,
    /// `waybill_hook_responses_total{hook,class}`; `class` is `2xx` to `5xx`, or `error`.
    pub responses: IntCounterVec,
    /// `waybill_hook_latency_seconds{hook}`
    pub latency: HistogramTotals,
}

impl HookMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        let hook = &["hook"];
        Ok(HookMetrics {
            lag_events: register.gauges("waybill_hook_lag_events", "events that the hook has not read yet", hook)?,
            oldest_seconds: register.float_gauges(
                "waybill_hook_oldest_seconds",
                "age of the oldest event that the hook has not settled",
                hook,
            )?,
            in_flight: register.gauges("waybill_hook_in_flight", "events on their way to the endpoint", hook)?,
            parked: register.gauges("waybill_hook_parked", "events that wait on disk for their next try", hook)?,
            dead_letters: register.gauges("waybill_hook_dead_letters", "events given up and kept", hook)?,
            attempts: register.counters("waybill_hook_attempts_total", "events tried, each time they were", hook)?,
            responses: register.counters(
                "waybill_hook_responses_total",
                "answers of the endpoint by class of status",
                &["hook", "class"],
            )?,
            latency: register.add_as(
                "histogram",
                HistogramTotals::new(
                    "waybill_hook_latency_seconds",
                    "seconds from the append of an event until its endpoint took it",
                    "hook",
                )?,
            )?,
        })
    }
}

/// Room on disks; `name` says for what, such as `data spool`.
#[derive(Clone, Debug)]
pub struct DiskMetrics {
    /// `disk_free_bytes{name}`
    pub free_bytes: IntGaugeVec,
    /// `disk_free_percent{name}`
    pub free_percent: IntGaugeVec,
    /// `disk_free_inodes{name}`
    pub free_inodes: IntGaugeVec,
    /// `disk_free_inodes_percent{name}`
    pub free_inodes_percent: IntGaugeVec,
}

impl DiskMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        let name = &["name"];
        Ok(DiskMetrics {
            free_bytes: register.gauges("disk_free_bytes", "bytes that are free at a place we write to", name)?,
            free_percent: register.gauges("disk_free_percent", "the same in percent", name)?,
            free_inodes: register.gauges("disk_free_inodes", "inodes that are free at a place we write to", name)?,
            free_inodes_percent: register.gauges("disk_free_inodes_percent", "the same in percent", name)?,
        })
    }
}
