use super::queue_metrics::{hook_queues, queues, times};
use super::status::{Hooks, Outcomes, add};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use waybill_event_hooks::EventHooks;
use waybill_hooks::RESPONSE_CLASSES;
use waybill_http_api::Metrics;
use waybill_lua::{Engine, Observer};
use waybill_queue::QueueManager;
use waybill_runtime::DiskRoom;
use waybill_smtp::inbound::Shared;

/// Who has numbers.
pub(crate) struct Sources {
    pub(crate) engine: Engine,
    pub(crate) manager: QueueManager,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) event_hooks: EventHooks,
    pub(crate) listeners: Vec<(String, Arc<Shared>)>,
    /// What is written to, by the name that is shown.
    pub(crate) disks: Vec<(String, PathBuf)>,
}

/// Fills the metrics when somebody asks for them: nothing is counted twice, and nothing is computed for nobody.
pub(crate) fn collect(metrics: &Metrics, sources: Sources) {
    let shown = metrics.clone();
    let series = Mutex::new(Series::default());
    metrics.on_scrape(Box::new(move || {
        // Two who ask at once would count twice.
        let mut series = series.lock();
        reception(&shown, &sources.listeners);
        let stats = sources.manager.stats();
        let messages = number(stats.messages.load(Ordering::Relaxed));
        shown.mail.in_memory.set(messages);
        // Whatever is in memory has its envelope and meta there.
        shown.mail.meta_resident.set(messages);
        shown.mail.data_resident.set(number(stats.bodies.load(Ordering::Relaxed)));
        let mut seen = queues(&shown, stats);
        seen.services.extend(hook_queues(&shown, &sources.hooks));
        seen.services.extend(outcomes(&shown, &sources));
        series.keep(&shown, seen);
        times(&shown, stats, &sources.hooks);
        of_hooks(&shown, &sources.hooks);
        of_event_hooks(&shown, &sources.event_hooks);
        let (spare, states) = sources.engine.state_counts();
        shown.lua.states.set(number(states));
        shown.lua.spare_states.set(number(spare));
        disks(&shown, &sources.disks);
    }));
}

/// What has series of its own now.
#[derive(Default)]
pub(super) struct Series {
    pub(super) services: BTreeSet<String>,
    /// Scheduled queues whose messages had to wait.
    pub(super) queues: BTreeSet<String>,
}

impl Series {
    /// The series of a queue that is in memory no more vanish.
    fn keep(&mut self, metrics: &Metrics, seen: Series) {
        let mail = &metrics.mail;
        for service in self.services.difference(&seen.services) {
            let label = &[service.as_str()];
            for counter in [&mail.delivered, &mail.transfailed, &mail.failed, &mail.aborted, &metrics.queues.ready_full]
            {
                // It may have had none.
                let _ = counter.remove_label_values(label);
            }
            let _ = mail.open_connections.remove_label_values(label);
        }
        let queues = &metrics.queues;
        for queue in self.queues.difference(&seen.queues) {
            for counter in [&queues.delayed_full, &queues.delayed_rate, &queues.delayed_insert] {
                let _ = counter.remove_label_values(&[queue.as_str()]);
            }
        }
        *self = seen;
    }
}

/// Tells the metrics of the policy's calls as they happen.
pub(crate) struct CountCalls(pub(crate) Metrics);

impl Observer for CountCalls {
    fn called(&self, event: &str, took: Duration) {
        self.called_often(event, 1, took);
    }

    fn called_often(&self, event: &str, times: u32, took: Duration) {
        self.0.lua.started.with_label_values(&[event]).inc_by(times.into());
        let latency = self.0.lua.latency.with_label_values(&[event]);
        (0..times).for_each(|_| latency.observe(took.as_secs_f64()));
    }

    fn loaded(&self) {
        self.0.lua.loads.inc();
    }
}

pub(super) fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Sets a counter to a total that somebody else keeps. A lower one is that of a queue that was made anew.
pub(super) fn bring_to(counter: &prometheus::IntCounter, total: u64) {
    if total < counter.get() {
        counter.reset();
    }
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn reception(metrics: &Metrics, listeners: &[(String, Arc<Shared>)]) {
    let mail = &metrics.mail;
    let mut all = [0u64; 4];
    for (address, shared) in listeners {
        let service = format!("esmtp_listener:{address}");
        let stats = &shared.stats;
        bring_to(&mail.received.with_label_values(&[&service]), stats.messages());
        bring_to(&mail.rejections.with_label_values(&[address]), stats.rejections());
        for (sum, value) in all.iter_mut().zip([stats.messages(), stats.connections(), stats.denied(), stats.current()])
        {
            *sum += value;
        }
    }
    let service = &["esmtp_listener"];
    bring_to(&mail.received.with_label_values(service), all[0]);
    bring_to(&mail.connections.with_label_values(service), all[1]);
    bring_to(&mail.denied_connections.with_label_values(service), all[2]);
    mail.open_connections.with_label_values(service).set(number(all[3]));
}

/// What came of attempts, by ready queue and by way of delivery. That of hooks is counted as KumoMTA counts it.
fn outcomes(metrics: &Metrics, sources: &Sources) -> BTreeSet<String> {
    let mail = &metrics.mail;
    let counters = [&mail.delivered, &mail.transfailed, &mail.failed];
    // A replay goes over a ready queue of its own that has the name of its hook's.
    let mut by_service: BTreeMap<String, Outcomes> = BTreeMap::new();
    let hooks = sources.hooks.running();
    let by_queue: BTreeMap<_, _> = hooks.iter().flat_map(|handle| handle.hook.ready_statuses()).collect();
    let ended = sources.hooks.ended(|queue| by_queue.contains_key(queue));
    let of_hooks = hooks.iter().flat_map(|handle| handle.hook.counts().by_ready_queue());
    let of_mail = sources.manager.stats().by_ready_queue().into_iter();
    for (queue, counts) in of_mail.chain(of_hooks).chain(ended.by_ready_queue) {
        add(by_service.entry(queue.service()).or_default(), counts);
    }
    let of_hooks = hooks.iter().flat_map(|handle| handle.hook.counts().aborted());
    let mut aborted: BTreeMap<String, u64> = BTreeMap::new();
    for (queue, count) in sources.manager.stats().stopped_by_watchdog().into_iter().chain(of_hooks).chain(ended.aborted)
    {
        *aborted.entry(queue.service()).or_default() += count;
    }
    for service in by_service.keys() {
        let count = aborted.get(service).copied().unwrap_or_default();
        bring_to(&mail.aborted.with_label_values(&[service]), count);
    }
    let of_hooks = hooks.iter().flat_map(|handle| handle.hook.counts().by_protocol());
    let of_mail = sources.manager.stats().by_protocol().into_iter();
    for (protocol, counts) in of_mail.chain(of_hooks).chain(ended.by_protocol) {
        add(by_service.entry(protocol).or_default(), counts);
    }
    for (service, counts) in &by_service {
        for (counter, count) in counters.iter().zip(counts) {
            bring_to(&counter.with_label_values(&[service]), *count);
        }
    }
    for (provider, [delivered, transfailed, failed]) in sources.manager.stats().by_provider() {
        bring_to(&mail.delivered_by_provider.with_label_values(&[&*provider]), delivered);
        bring_to(&mail.transfailed_by_provider.with_label_values(&[&*provider]), transfailed);
        bring_to(&mail.failed_by_provider.with_label_values(&[&*provider]), failed);
    }
    by_service.into_keys().collect()
}

fn disks(metrics: &Metrics, disks: &[(String, PathBuf)]) {
    let gauges = &metrics.disks;
    for (name, path) in disks {
        // A disk that cannot be asked keeps what it said last; the spool's guard complains.
        let Ok(room) = DiskRoom::at(path) else { continue };
        let (percent, inodes_percent) = room.percent();
        let name = &[name.as_str()];
        gauges.free_bytes.with_label_values(name).set(number(room.free_bytes));
        gauges.free_percent.with_label_values(name).set(number(percent));
        gauges.free_inodes.with_label_values(name).set(number(room.free_inodes));
        gauges.free_inodes_percent.with_label_values(name).set(number(inodes_percent));
    }
}

fn of_event_hooks(metrics: &Metrics, hooks: &EventHooks) {
    let counters = &metrics.event_hooks;
    // A hook that was deleted did nothing any more.
    counters.events.reset();
    counters.suppressed.reset();
    for (id, tally) in hooks.tallies() {
        let id = id.to_string();
        for (outcome, count) in
            [("delivered", tally.delivered), ("failed", tally.failed), ("dead_letter", tally.refused)]
        {
            bring_to(&counters.events.with_label_values(&[id.as_str(), outcome]), count);
        }
        for (rule, count) in [("on_change", tally.unchanged), ("snooze", tally.snoozed)] {
            bring_to(&counters.suppressed.with_label_values(&[id.as_str(), rule]), count);
        }
    }
    bring_to(&counters.dropped_signals, hooks.dropped_signals());
}

fn of_hooks(metrics: &Metrics, hooks: &Hooks) {
    let gauges = &metrics.hooks;
    // A replay that is done stands nowhere any more.
    for gauge in [&gauges.lag_events, &gauges.in_flight, &gauges.parked, &gauges.dead_letters] {
        gauge.reset();
    }
    gauges.oldest_seconds.reset();
    gauges.latency.reset();
    for handle in hooks.running() {
        if handle.snapshot.lock().is_none() {
            continue;
        }
        let snapshot = hooks.snapshot(&handle);
        let name = &[snapshot.name.as_str()];
        gauges.lag_events.with_label_values(name).set(number(snapshot.lag_events));
        gauges.oldest_seconds.with_label_values(name).set(snapshot.lag_seconds);
        gauges.in_flight.with_label_values(name).set(number(snapshot.in_flight));
        gauges.parked.with_label_values(name).set(number(snapshot.parked));
        gauges.dead_letters.with_label_values(name).set(number(snapshot.dead_letters));
        bring_to(&gauges.attempts.with_label_values(name), snapshot.attempts);
        for (class, count) in RESPONSE_CLASSES.iter().zip(handle.hook.counts().by_class()) {
            bring_to(&gauges.responses.with_label_values(&[snapshot.name.as_str(), *class]), count);
        }
        // A replay is none of them: its events were appended long before.
        if handle.name == handle.hook.name() {
            let latencies = handle.hook.latencies();
            gauges.latency.set(&handle.name, latencies.bounds, &latencies.buckets, latencies.sum);
        }
    }
}
