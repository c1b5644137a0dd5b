//! The numbers of queues, brought to the metrics before they are shown.

use super::metrics::{Series, bring_to, number};
use super::status::{Hooks, add_times};
use std::collections::{BTreeMap, BTreeSet};
use waybill_http_api::{HistogramTotals, Metrics};
use waybill_queue::Stats;
use waybill_runtime::Observed;
use waybill_types::QueueName;

/// The queues of mail. Gauges are made anew, so that those of queues that are gone vanish.
pub(super) fn queues(metrics: &Metrics, stats: &Stats) -> Series {
    let snapshot = stats.queues();
    let gauges = &metrics.queues;
    for gauge in [&gauges.scheduled, &gauges.ready, &gauges.by_domain, &gauges.by_tenant, &gauges.by_tenant_campaign] {
        gauge.reset();
    }
    gauges.scheduled_total.set(0);
    gauges.scheduled_queues.set(0);
    for (queue, count) in &snapshot.scheduled {
        scheduled(metrics, queue, number(*count));
    }
    gauges.by_provider.reset();
    for (provider, count) in &snapshot.by_provider {
        gauges.by_provider.with_label_values(&[provider.as_str()]).set(number(*count));
    }
    gauges.by_provider_and_pool.reset();
    for ((provider, pool), count) in &snapshot.by_provider_and_pool {
        gauges.by_provider_and_pool.with_label_values(&[provider.as_str(), pool.as_str()]).set(number(*count));
    }
    gauges.sessions_by_provider.reset();
    gauges.sessions_by_provider_and_source.reset();
    for ((provider, source), count) in &snapshot.sessions_by_provider {
        gauges.sessions_by_provider.with_label_values(&[&**provider]).add(number(*count));
        gauges.sessions_by_provider_and_source.with_label_values(&[&**provider, &**source]).set(number(*count));
    }
    for (queue, counts) in &snapshot.ready {
        let service = queue.service();
        gauges.ready.with_label_values(&[&service]).set(number(counts.ready));
        bring_to(&gauges.ready_full.with_label_values(&[&service]), counts.full);
        metrics.mail.open_connections.with_label_values(&[&service]).set(number(counts.sessions));
    }
    let services = snapshot.ready.keys().map(|queue| queue.service()).collect();
    Series { services, queues: delays(metrics, stats) }
}

/// Adds the messages of one scheduled queue to its gauge and to those over several queues.
fn scheduled(metrics: &Metrics, queue: &QueueName, count: i64) {
    let gauges = &metrics.queues;
    let parts = queue.parts();
    gauges.scheduled.with_label_values(&[queue.as_str()]).add(count);
    gauges.scheduled_total.add(count);
    gauges.scheduled_queues.inc();
    gauges.by_domain.with_label_values(&[parts.domain]).add(count);
    if let Some(tenant) = parts.tenant {
        gauges.by_tenant.with_label_values(&[tenant]).add(count);
        if let Some(campaign) = parts.campaign {
            gauges.by_tenant_campaign.with_label_values(&[tenant, campaign]).add(count);
        }
    }
}

fn delays(metrics: &Metrics, stats: &Stats) -> BTreeSet<String> {
    let counters = &metrics.queues;
    let delayed = stats.delayed();
    for (queue, delays) in &delayed {
        let queue = &[queue.as_str()];
        bring_to(&counters.delayed_full.with_label_values(queue), delays.ready_queue_full);
        bring_to(&counters.delayed_rate.with_label_values(queue), delays.message_rate);
        bring_to(&counters.delayed_insert.with_label_values(queue), delays.throttle_insert);
    }
    delayed.keys().map(|queue| queue.as_str().to_owned()).collect()
}

/// The queues of hooks, beside those of mail: lanes and ready queues. A replay's have the names of its hook's.
pub(super) fn hook_queues(metrics: &Metrics, hooks: &Hooks) -> BTreeSet<String> {
    let mut lanes: BTreeMap<QueueName, i64> = BTreeMap::new();
    let mut sessions: BTreeMap<String, usize> = BTreeMap::new();
    for handle in hooks.running() {
        let shown = handle.snapshot.lock().as_ref().map(|snapshot| snapshot.lanes.clone()).unwrap_or_default();
        for (lane, count) in shown.iter() {
            *lanes.entry(lane.clone()).or_default() += number(*count);
        }
        for (queue, status) in handle.hook.ready_statuses() {
            let service = queue.service();
            metrics.queues.ready.with_label_values(&[&service]).add(number(status.ready));
            *sessions.entry(service).or_default() += status.opening + status.idle + status.busy;
        }
    }
    for (lane, count) in &lanes {
        scheduled(metrics, lane, *count);
    }
    for (service, count) in &sessions {
        metrics.mail.open_connections.with_label_values(&[service]).set(number(*count));
    }
    sessions.into_keys().collect()
}

/// How long things took.
pub(super) fn times(metrics: &Metrics, stats: &Stats, hooks: &Hooks) {
    let (mail, queues) = (&metrics.mail, &metrics.queues);
    for (shown, seen) in [
        (&queues.resolve_latency, &stats.resolved),
        (&queues.insert_latency, &stats.inserted),
        (&mail.save_latency, &stats.saved),
        (&mail.load_latency, &stats.loaded),
    ] {
        show(shown, "", &seen.seen());
    }
    let mut deliveries = stats.deliveries();
    for handle in hooks.running() {
        add_times(&mut deliveries, handle.hook.counts().deliveries());
    }
    add_times(&mut deliveries, hooks.ended(|_| true).deliveries);
    for (protocol, seen) in &deliveries {
        show(&mail.deliver_latency, protocol, seen);
    }
}

fn show(shown: &HistogramTotals, label: &str, seen: &Observed) {
    shown.set(label, seen.bounds, &seen.buckets, seen.sum);
}
