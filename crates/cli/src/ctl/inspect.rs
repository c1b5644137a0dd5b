use super::args::InspectSchedQ;
use super::{Ctl, with_query};
use anyhow::Result;
use hyper::Method;
use serde_json::json;
use std::time::Duration;

/// For a large spool on a slow disk. The daemon goes on when we give up.
const COMPACTION: Duration = Duration::from_secs(24 * 60 * 60);

impl Ctl {
    pub(super) async fn inspect_message(&self, id: &str, want_body: bool) -> Result<String> {
        let body = want_body.to_string();
        self.get(&with_query("/api/admin/inspect-message/v1", &[("id", id), ("want_body", &body)])).await
    }

    pub(super) async fn inspect_scheduled(&self, query: &InspectSchedQ) -> Result<String> {
        let (body, limit) = (query.want_body.to_string(), query.limit.to_string());
        let mut pairs = vec![("queue_name", query.queue_name.as_str()), ("want_body", &body)];
        if !query.no_limit {
            pairs.push(("limit", &limit));
        }
        self.get(&with_query("/api/admin/inspect-sched-q/v1", &pairs)).await
    }

    pub(super) async fn inspect_ready(&self, queue: &str, with_scheduled: bool) -> Result<String> {
        let with = with_scheduled.to_string();
        let pairs = [("queue_name", queue), ("include_scheduled_queues", &with)];
        self.get(&with_query("/api/admin/inspect-ready-q/v1", &pairs)).await
    }

    pub(super) async fn ready_states(&self, queues: &[String]) -> Result<String> {
        let pairs: Vec<(&str, &str)> = queues.iter().map(|queue| ("queues", queue.as_str())).collect();
        self.get(&with_query("/api/admin/ready-q-states/v1", &pairs)).await
    }

    pub(super) async fn abort(&self, queue: &str, session: &str) -> Result<String> {
        let body = json!({"queue_name": queue, "session_id": session});
        Ok(self.tell(Method::POST, "/api/admin/abort-ready-q-conn/v1", &body).await?)
    }

    pub(super) async fn resolve(&self, domain: &str, source: Option<&str>) -> Result<String> {
        let mut pairs = vec![("domain", domain)];
        pairs.extend(source.map(|source| ("source", source)));
        self.get(&with_query("/api/admin/resolve-egress-path/v1", &pairs)).await
    }

    pub(super) async fn set_log_filter(&self, filter: &str) -> Result<String> {
        let path = "/api/admin/set_diagnostic_log_filter/v1";
        Ok(self.tell(Method::POST, path, &json!({"filter": filter})).await?)
    }

    pub(super) async fn compact_spool(&self, name: &str) -> Result<String> {
        let client = self.client.with_patience(COMPACTION);
        Ok(client.send(Method::POST, "/api/admin/spool-compact/v1", &json!({"name": name})).await?)
    }

    pub(super) async fn bump_epoch(&self) -> Result<String> {
        Ok(self.tell(Method::POST, "/api/admin/bump-config-epoch", &json!({})).await?)
    }
}
