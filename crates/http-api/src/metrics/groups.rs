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
    /// `message_meta_resident_count`
    pub meta_resident: IntGauge,
    /// `message_data_resident_count`
    pub data_resident: IntGauge,
    /// `dispatcher_watchdog_aborted_total{service}`
    pub aborted: IntCounterVec,
    /// `deliver_message_latency_rollup{service}`, in seconds.
    pub deliver_latency: HistogramTotals,
    /// `message_save_latency`, in seconds.
    pub save_latency: HistogramTotals,
    /// `message_data_load_latency`, in seconds.
    pub load_latency: HistogramTotals,
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
            meta_resident: register
                .gauge("message_meta_resident_count", "messages whose envelope and meta are in memory")?,
            data_resident: register.gauge("message_data_resident_count", "messages whose bodies are in memory")?,
            aborted: register.counters(
                "dispatcher_watchdog_aborted_total",
                "sessions that were ended because they made no progress",
                service,
            )?,
            deliver_latency: register.totals(
                "deliver_message_latency_rollup",
                "seconds that a session worked on a batch",
                Some("service"),
            )?,
            save_latency: register.totals(
                "message_save_latency",
                "seconds that it took to store the messages of a transaction",
                None,
            )?,
            load_latency: register.totals(
                "message_data_load_latency",
                "seconds that it took to read a body back from the store",
                None,
            )?,
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
    /// `scheduled_queue_count`
    pub scheduled_queues: IntGauge,
    /// `scheduled_by_domain{domain}`
    pub by_domain: IntGaugeVec,
    /// `scheduled_by_tenant{tenant}`
    pub by_tenant: IntGaugeVec,
    /// `scheduled_by_tenant_campaign{tenant,campaign}`
    pub by_tenant_campaign: IntGaugeVec,
    /// `queued_count_by_provider{provider}`
    pub by_provider: IntGaugeVec,
    /// `queued_count_by_provider_and_pool{provider,pool}`
    pub by_provider_and_pool: IntGaugeVec,
    /// `connection_count_by_provider{provider}`
    pub sessions_by_provider: IntGaugeVec,
    /// `connection_count_by_provider_and_source{provider,source}`
    pub sessions_by_provider_and_source: IntGaugeVec,
    /// `delayed_due_to_ready_queue_full{queue}`
    pub delayed_full: IntCounterVec,
    /// `delayed_due_to_message_rate_throttle{queue}`
    pub delayed_rate: IntCounterVec,
    /// `delayed_due_to_throttle_insert_ready{queue}`
    pub delayed_insert: IntCounterVec,
    /// `queue_resolve_latency`, in seconds.
    pub resolve_latency: HistogramTotals,
    /// `queue_insert_latency`, in seconds.
    pub insert_latency: HistogramTotals,
}

impl QueueMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        Ok(QueueMetrics {
            ready: register.gauges("ready_count", "messages in the ready queue", &["service"])?,
            ready_full: register.counters("ready_full", "times that a message met a full ready queue", &["service"])?,
            scheduled: register.gauges("scheduled_count", "messages in the scheduled queue", &["queue"])?,
            scheduled_total: register.gauge("scheduled_count_total", "messages in all scheduled queues")?,
            scheduled_queues: register.gauge("scheduled_queue_count", "scheduled queues that are in memory")?,
            by_domain: register.gauges("scheduled_by_domain", "messages in scheduled queues", &["domain"])?,
            by_tenant: register.gauges("scheduled_by_tenant", "messages in scheduled queues", &["tenant"])?,
            by_tenant_campaign: register.gauges(
                "scheduled_by_tenant_campaign",
                "messages in scheduled queues",
                &["tenant", "campaign"],
            )?,
            by_provider: register.gauges("queued_count_by_provider", "messages in all queues", &["provider"])?,
            by_provider_and_pool: register.gauges(
                "queued_count_by_provider_and_pool",
                "messages in all queues",
                &["provider", "pool"],
            )?,
            sessions_by_provider: register.gauges(
                "connection_count_by_provider",
                "connections to next hops that are open, by the provider_name of their path",
                &["provider"],
            )?,
            sessions_by_provider_and_source: register.gauges(
                "connection_count_by_provider_and_source",
                "the same by provider_name and egress source",
                &["provider", "source"],
            )?,
            delayed_full: register.counters(
                "delayed_due_to_ready_queue_full",
                "times that a message had to wait for room in a ready queue",
                &["queue"],
            )?,
            delayed_rate: register.counters(
                "delayed_due_to_message_rate_throttle",
                "times that a message had to wait for a message rate",
                &["queue"],
            )?,
            delayed_insert: register.counters(
                "delayed_due_to_throttle_insert_ready",
                "times that throttle_insert_ready_queue had a message wait",
                &["queue"],
            )?,
            resolve_latency: register.totals(
                "queue_resolve_latency",
                "seconds that it took to find the scheduled queue of a message",
                None,
            )?,
            insert_latency: register.totals(
                "queue_insert_latency",
                "seconds from the store to the scheduled queue",
                None,
            )?,
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
    /// `user_lua_latency{label}`, in seconds.
    pub timers: HistogramVec,
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
            timers: register.histograms(
                "user_lua_latency",
                "seconds that a policy measured with kumo.time.start_timer",
                &["label"],
            )?,
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
            lag_events: register.gauges("waybill_hook_lag_events", "events that the hook has not settled yet", hook)?,
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
            latency: register.totals(
                "waybill_hook_latency_seconds",
                "seconds from the append of an event until its endpoint took it",
                Some("hook"),
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

/// What egress webhooks of logs did since the start, and what waits for them.
#[derive(Clone, Debug)]
pub struct EgressMetrics {
    /// `waybill_egress_webhook_lag_messages{webhook}`
    pub lag: IntGaugeVec,
    /// `waybill_egress_webhook_parked{webhook}`
    pub parked: IntGaugeVec,
    /// `waybill_egress_webhook_attempts_total{webhook}`
    pub attempts: IntCounterVec,
    /// `waybill_egress_webhook_responses_total{webhook,class}`; `class` is `1xx` to `5xx`, or `error`.
    pub responses: IntCounterVec,
}

impl EgressMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        let name = &["webhook"];
        Ok(EgressMetrics {
            lag: register.gauges(
                "waybill_egress_webhook_lag_messages",
                "messages of its log that the egress webhook has not delivered",
                name,
            )?,
            parked: register.gauges(
                "waybill_egress_webhook_parked",
                "messages that wait behind a failed attempt for their key",
                name,
            )?,
            attempts: register.counters(
                "waybill_egress_webhook_attempts_total",
                "messages that the egress webhook sent or tried to send",
                name,
            )?,
            responses: register.counters(
                "waybill_egress_webhook_responses_total",
                "what the destination of the egress webhook answered",
                &["webhook", "class"],
            )?,
        })
    }
}

/// How much memory the daemon may take.
#[derive(Clone, Debug)]
pub struct MemoryMetrics {
    /// `memory_limit`
    pub limit: IntGauge,
    /// `memory_low_thresh`
    pub low_thresh: IntGauge,
}

impl MemoryMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        Ok(MemoryMetrics {
            limit: register.gauge("memory_limit", "bytes of memory beyond which no mail is taken (the soft limit)")?,
            low_thresh: register.gauge("memory_low_thresh", "bytes of memory beyond which it is scarce")?,
        })
    }
}

/// What event hooks did since the start.
#[derive(Clone, Debug)]
pub struct EventHookMetrics {
    /// `waybill_event_hook_events_total{hook,outcome}`; `outcome` is `delivered`, `failed` or `dead_letter`.
    pub events: IntCounterVec,
    /// `waybill_event_hook_suppressed_total{hook,rule}`; `rule` is `on_change` or `snooze`.
    pub suppressed: IntCounterVec,
    /// `waybill_signals_dropped_total`
    pub dropped_signals: IntCounter,
    /// `waybill_lambda_calls_total{outcome}`; `outcome` is `done`, `failed`, `timed_out`, `died` or `refused`.
    pub calls: IntCounterVec,
    /// `waybill_lambda_processes_started_total`
    pub processes_started: IntCounter,
    /// `waybill_lambda_processes{state}`; `state` is `idle` or `busy`.
    pub processes: IntGaugeVec,
}

impl EventHookMetrics {
    pub(super) fn new(register: &Register<'_>) -> Result<Self, MetricsError> {
        Ok(EventHookMetrics {
            events: register.counters(
                "waybill_event_hook_events_total",
                "events of the hook that were delivered, failed for now, or were given up",
                &["hook", "outcome"],
            )?,
            suppressed: register.counters(
                "waybill_event_hook_suppressed_total",
                "events that did not make the hook fire",
                &["hook", "rule"],
            )?,
            dropped_signals: register.counter(
                "waybill_signals_dropped_total",
                "events that are no log records and were not written down, as there were too many at once",
            )?,
            calls: register.counters(
                "waybill_lambda_calls_total",
                "calls of functions of event hooks, by what became of them",
                &["outcome"],
            )?,
            processes_started: register
                .counter("waybill_lambda_processes_started_total", "processes that were started to run functions")?,
            processes: register.gauges("waybill_lambda_processes", "processes that run functions", &["state"])?,
        })
    }
}
