use super::{Streams, stored, wanted};
use crate::log::UserLog;
use crate::news::Change;
use crate::registry::{Hanging, LogRow};
use crate::source::Source;
use waybill_streams_core::{Code, Error, Id, Kind, Log, LogCreate, LogUpdate, Stats};

impl Streams {
    /// All logs within reach, the built-in one first.
    pub(crate) fn logs(&self, metadata: Option<&str>) -> Vec<Log> {
        let built_in = std::iter::once(self.0.events.log());
        let all = built_in.chain(self.user_logs().iter().map(UserLog::log).collect::<Vec<_>>());
        let within = |log: &Log| self.1.covers(log.tenant.as_deref());
        all.filter(|log| within(log) && wanted(&log.metadata, metadata)).collect()
    }

    pub(crate) fn log(&self, id: Id) -> Result<Log, Error> {
        Ok(match self.found_source(id)? {
            Source::User(log) => log.log(),
            Source::Events(log) => log.log(),
        })
    }

    pub(crate) async fn create_log(&self, create: LogCreate) -> Result<Log, Error> {
        let streams = self.clone();
        self.to_its_end("making a log", async move {
            let _changing = streams.0.changing.lock().await;
            let most = streams.0.limits.logs;
            if streams.0.logs.read().len() >= most {
                let why = format!("there are {most} logs, which is as many as may be");
                return Err(Error::new(Code::LogCountLimited, why));
            }
            let log = create.log(streams.mint(Kind::Log), &streams.1, &streams.0.limits)?;
            let told = streams.0.base.told([Change::of_log("create", &log, None)]);
            let row = stored(streams.0.registry.create_log(&log, told).await)?;
            let open = stored(UserLog::open(streams.0.ground.clone(), row.number, log.clone()).await)?;
            streams.0.logs.write().insert(log.log_id, open);
            Ok(log)
        })
        .await
    }

    pub(crate) async fn update_log(&self, id: Id, update: LogUpdate) -> Result<Log, Error> {
        let streams = self.clone();
        self.to_its_end("changing a log", async move {
            let _changing = streams.0.changing.lock().await;
            let open = streams.user_log(id)?;
            let old = open.log();
            let log = update.apply(&old, &streams.0.limits)?;
            let told = streams.0.base.told([Change::of_log("update", &log, Some(&old))]);
            stored(streams.0.registry.update_log(&LogRow { number: open.number(), log: log.clone() }, told).await)?;
            open.set_log(log.clone());
            Ok(log)
        })
        .await
    }

    /// Deletes a log with its messages, its stored offsets, its webhooks and the filters from and to it.
    pub(crate) async fn delete_log(&self, id: Id) -> Result<Log, Error> {
        let streams = self.clone();
        let log = self.to_its_end("deleting a log", async move {
            let _changing = streams.0.changing.lock().await;
            let open = streams.user_log(id)?;
            let log = open.log();
            let offsets = stored(streams.0.registry.offsets().await)?;
            let offsets: Vec<Id> =
                offsets.iter().filter(|offset| offset.log_id == id).map(|offset| offset.offset_id).collect();
            let webhooks = streams.webhooks_of(id);
            let filters = streams.filters_of(id);
            let ingress = streams.ingress_of(id);
            for webhook in webhooks.values() {
                webhook.remove().await;
            }
            for filter in filters.values() {
                filter.remove().await;
            }
            open.close().await;
            streams.0.logs.write().remove(&id);
            streams.0.webhooks.write().retain(|id, _| !webhooks.contains_key(id));
            streams.0.filters.write().retain(|id, _| !filters.contains_key(id));
            streams.0.ingress.write().retain(|id, _| !ingress.contains(id));
            streams.note_events_wanted();
            let row = LogRow { number: open.number(), log: log.clone() };
            let gone = webhooks.values();
            let gone = gone.map(|webhook| Change::of_egress("delete", &webhook.egress(), None, webhook.tenant()));
            let told = streams.0.base.told(gone.chain([Change::of_log("delete", &log, None)]));
            let (webhooks, filters) = (webhooks.into_keys().collect(), filters.into_keys().collect());
            stored(streams.0.registry.delete_log(&row, &Hanging { offsets, webhooks, filters, ingress }, told).await)?;
            Ok(log)
        });
        let log = log.await?;
        let streams = self.clone();
        self.0.ground.supervisor.spawn("removing a deleted log", async move { streams.remove_gone().await });
        Ok(log)
    }

    pub(crate) async fn stats(&self, id: Id) -> Result<Stats, Error> {
        match self.found_source(id)? {
            Source::User(log) => Ok(log.stats()),
            Source::Events(log) => stored(log.stats().await),
        }
    }
}
