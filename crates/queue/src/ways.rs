use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use waybill_delivery::Route;
use waybill_types::{QueueName, ReadyQueueName};

/// Where a ready queue goes.
#[derive(Clone)]
pub(crate) struct Path {
    pub(crate) route: Arc<dyn Route>,
    pub(crate) pool: Arc<str>,
    pub(crate) source: Arc<str>,
    pub(crate) provider: Option<Arc<str>>,
    pub(crate) watchdog: Duration,
    /// How long a session may take once the daemon stops.
    pub(crate) patience: Option<Duration>,
}

/// The live routes, by the names that the core knows.
///
/// The core makes a ready queue anew from a route that it remembers, long after the first one has left memory. So a
/// path stays while a scheduled queue leads to it, and while its ready queue is there.
#[derive(Default)]
pub(crate) struct Ways {
    paths: HashMap<ReadyQueueName, Used>,
    by_queue: HashMap<QueueName, Vec<ReadyQueueName>>,
}

struct Used {
    path: Path,
    /// How many scheduled queues lead to it.
    by: usize,
}

impl Ways {
    pub(crate) fn get(&self, ready_queue: &ReadyQueueName) -> Option<&Path> {
        self.paths.get(ready_queue).map(|used| &used.path)
    }

    /// The ways of a queue are these now. `lives` tells whether a ready queue is in memory.
    pub(crate) fn learn(
        &mut self,
        queue: &QueueName,
        paths: Vec<(ReadyQueueName, Path)>,
        lives: impl Fn(&ReadyQueueName) -> bool,
    ) {
        let mut names = Vec::with_capacity(paths.len());
        for (name, path) in paths {
            let by = self.paths.get(&name).map_or(0, |used| used.by) + 1;
            self.paths.insert(name.clone(), Used { path, by });
            names.push(name);
        }
        let before = self.by_queue.insert(queue.clone(), names);
        self.release(before, lives);
    }

    /// The scheduled queues that lead to a ready queue, by name.
    pub(crate) fn leading_to(&self, name: &ReadyQueueName) -> Vec<QueueName> {
        let leads = |(_, ways): &(&QueueName, &Vec<ReadyQueueName>)| ways.contains(name);
        let mut queues: Vec<QueueName> = self.by_queue.iter().filter(leads).map(|(queue, _)| queue.clone()).collect();
        queues.sort();
        queues
    }

    /// The queue is gone.
    pub(crate) fn forget(&mut self, queue: &QueueName, lives: impl Fn(&ReadyQueueName) -> bool) {
        let before = self.by_queue.remove(queue);
        self.release(before, lives);
    }

    /// The ready queue is gone.
    pub(crate) fn ready_queue_gone(&mut self, name: &ReadyQueueName) {
        if self.paths.get(name).is_some_and(|used| used.by == 0) {
            self.paths.remove(name);
        }
    }

    fn release(&mut self, names: Option<Vec<ReadyQueueName>>, lives: impl Fn(&ReadyQueueName) -> bool) {
        for name in names.into_iter().flatten() {
            let Some(used) = self.paths.get_mut(&name) else { continue };
            used.by = used.by.saturating_sub(1);
            if used.by == 0 && !lives(&name) {
                self.paths.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use waybill_delivery::{BatchPolicy, DeliveryProtocol, Destination, Egress, RecordingProtocol, RouteQuery};

    fn path(queue: &QueueName) -> (ReadyQueueName, Path) {
        let (destination, egress) = (Destination::local(queue), Egress::default());
        let query = RouteQuery { queue, section: &Value::Null, destination: &destination, egress: &egress };
        let route = RecordingProtocol::new(BatchPolicy::single()).route(&query).unwrap();
        let name = route.ready_queue().clone();
        let watchdog = route.watchdog();
        (name, Path { route, pool: "p".into(), source: "s".into(), provider: None, watchdog, patience: None })
    }

    #[test]
    fn a_path_stays_while_a_queue_leads_to_it() {
        let (tenant, other) = (QueueName::new("t@a.example"), QueueName::new("a.example"));
        let name = path(&other).0;
        assert_eq!(path(&tenant).0, name);
        let mut ways = Ways::default();
        let gone = |_: &ReadyQueueName| false;
        ways.learn(&tenant, vec![path(&tenant)], gone);
        ways.learn(&other, vec![path(&other)], gone);
        ways.learn(&other, vec![path(&other)], gone);
        ways.ready_queue_gone(&name);
        ways.forget(&tenant, gone);
        assert!(ways.get(&name).is_some());
        ways.forget(&other, gone);
        assert!(ways.get(&name).is_none());
    }

    #[test]
    fn a_path_stays_while_its_ready_queue_is_there() {
        let queue = QueueName::new("a.example");
        let (name, path) = path(&queue);
        let mut ways = Ways::default();
        ways.learn(&queue, vec![(name.clone(), path)], |_| true);
        ways.learn(&queue, Vec::new(), |_| true);
        assert!(ways.get(&name).is_some());
        ways.ready_queue_gone(&name);
        assert!(ways.get(&name).is_none());
    }
}
