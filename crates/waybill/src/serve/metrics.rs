use super::status::Hooks;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use waybill_http_api::Metrics;
use waybill_lua::Engine;
use waybill_queue::QueueManager;
use waybill_smtp::inbound::Shared;

/// Fills the metrics when somebody asks for them: nothing is counted twice, and nothing is computed for nobody.
pub(crate) fn collect(
    metrics: &Metrics,
    engine: Engine,
    manager: QueueManager,
    hooks: Arc<Hooks>,
    listeners: Vec<(String, Arc<Shared>)>,
) {
    let shown = metrics.clone();
    metrics.on_scrape(Box::new(move || {
        mail(&shown, &manager, &listeners);
        queues(&shown, &manager);
        of_hooks(&shown, &hooks);
        let (spare, states) = engine.state_counts();
        shown.lua.states.set(number(states));
        shown.lua.spare_states.set(number(spare));
    }));
}

fn number(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

/// Sets a counter to a total that somebody else keeps.
fn bring_to(counter: &prometheus::IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn mail(metrics: &Metrics, manager: &QueueManager, listeners: &[(String, Arc<Shared>)]) {
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
    mail.in_memory.set(number(manager.stats().messages.load(Ordering::Relaxed)));
    for (site, [delivered, transfailed, failed]) in manager.stats().by_site() {
        bring_to(&mail.delivered.with_label_values(&[&site]), delivered);
        bring_to(&mail.transfailed.with_label_values(&[&site]), transfailed);
        bring_to(&mail.failed.with_label_values(&[&site]), failed);
    }
    for (provider, [delivered, transfailed, failed]) in manager.stats().by_provider() {
        bring_to(&mail.delivered_by_provider.with_label_values(&[&*provider]), delivered);
        bring_to(&mail.transfailed_by_provider.with_label_values(&[&*provider]), transfailed);
        bring_to(&mail.failed_by_provider.with_label_values(&[&*provider]), failed);
    }
}

fn queues(metrics: &Metrics, manager: &QueueManager) {
    let snapshot = manager.stats().queues();
    let gauges = &metrics.queues;
    gauges.scheduled.reset();
    gauges.ready.reset();
    let mut total = 0;
    for (queue, count) in &snapshot.scheduled {
        total += count;
        gauges.scheduled.with_label_values(&[queue.as_str()]).set(number(*count));
    }
    gauges.scheduled_total.set(number(total));
    gauges.by_provider.reset();
    for (provider, count) in &snapshot.by_provider {
        gauges.by_provider.with_label_values(&[provider.as_str()]).set(number(*count));
    }
    for (queue, (ready, sessions)) in &snapshot.ready {
        gauges.ready.with_label_values(&[queue.as_str()]).set(number(*ready));
        metrics.mail.open_connections.with_label_values(&[queue.as_str()]).set(number(*sessions));
    }
}

fn of_hooks(metrics: &Metrics, hooks: &Hooks) {
    let gauges = &metrics.hooks;
    for handle in hooks.running() {
        let Some(snapshot) = handle.snapshot.lock().clone() else { continue };
        let name = &[snapshot.name.as_str()];
        gauges.lag_events.with_label_values(name).set(number(snapshot.lag_events));
        gauges.oldest_seconds.with_label_values(name).set(snapshot.lag_seconds);
        gauges.in_flight.with_label_values(name).set(number(snapshot.in_flight));
        gauges.parked.with_label_values(name).set(number(snapshot.parked));
        gauges.dead_letters.with_label_values(name).set(number(snapshot.dead_letters));
        bring_to(&gauges.attempts.with_label_values(name), snapshot.attempts);
        let responses = handle.hook.responses();
        for (class, count) in
            [("2xx", &responses.delivered), ("4xx", &responses.transient), ("5xx", &responses.permanent)]
        {
            let counter = gauges.responses.with_label_values(&[snapshot.name.as_str(), class]);
            bring_to(&counter, count.load(Ordering::Relaxed));
        }
    }
}
