use super::{Streams, stored, wanted};
use crate::filter::Copier;
use crate::log::UserLog;
use crate::source::Source;
use std::collections::BTreeMap;
use waybill_streams_core::{
    Code, Edge, Error, Extent, Filter, FilterCreate, FilterStatus, FilterUpdate, Id, Kind, Progress, Reach, way_back,
};

impl Streams {
    pub(crate) fn filters(&self, metadata: Option<&str>) -> Vec<Filter> {
        let all: Vec<Filter> = self.0.filters.read().values().map(Copier::filter).collect();
        all.into_iter().filter(|filter| self.sees_both(filter) && wanted(&filter.metadata, metadata)).collect()
    }

    pub(crate) fn filter(&self, id: Id) -> Result<Filter, Error> {
        Ok(self.found_copier(id)?.filter())
    }

    fn found_copier(&self, id: Id) -> Result<Copier, Error> {
        let missing = || Error::new(Code::FilterNotFound, format!("there is no filter {id}"));
        let found = self.0.filters.read().get(&id).cloned();
        found.filter(|copier| self.sees_both(&copier.filter())).ok_or_else(missing)
    }

    /// A filter belongs to whom both its logs belong to: what an operator copies to a tenant is the operator's.
    fn sees_both(&self, filter: &Filter) -> bool {
        self.sees(filter.source_id) && self.sees(filter.target_id)
    }

    /// The filters that read or write a log.
    pub(super) fn filters_of(&self, log: Id) -> BTreeMap<Id, Copier> {
        let of = |copier: &Copier| {
            let filter = copier.filter();
            filter.source_id == log || filter.target_id == log
        };
        self.0.filters.read().iter().filter(|(_, copier)| of(copier)).map(|(id, one)| (*id, one.clone())).collect()
    }

    /// The logs of a filter.
    fn ends(&self, filter: &Filter) -> Result<(Source, UserLog), Error> {
        let wrong = |field: &str, why: String| Error::new(Code::FilterLogIdFieldInvalid, format!("{field}: {why}"));
        let (from, to) = (filter.source_id, filter.target_id);
        let source = self.source(from).ok_or_else(|| wrong("source_id", format!("there is no log {from}")))?;
        match self.source(to) {
            Some(Source::User(target)) => Ok((source, target)),
            Some(Source::Events(_)) => Err(wrong("target_id", "the log of mail events is read only".to_owned())),
            None => Err(wrong("target_id", format!("there is no log {to}"))),
        }
    }

    /// Starts a filter that is stored.
    pub(super) fn start_filter(&self, filter: Filter, progress: Progress) -> Result<(), Error> {
        let (source, target) = self.ends(&filter)?;
        let id = filter.filter_id;
        let copier = Copier::start(self.0.base.clone(), source, target, filter, progress)?;
        self.0.filters.write().insert(id, copier);
        Ok(())
    }

    pub(crate) async fn create_filter(&self, create: FilterCreate) -> Result<Filter, Error> {
        let streams = self.clone();
        self.to_its_end("making a filter", async move {
            let _changing = streams.0.changing.lock().await;
            let most = streams.0.limits.filters;
            if streams.0.filters.read().len() >= most {
                let why = format!("there are {most} filters, which is as many as may be");
                return Err(Error::new(Code::FilterCountLimited, why));
            }
            let offset = create.offset();
            let filter = create.filter(streams.mint(Kind::Filter), &streams.0.limits)?;
            let (source, target) = streams.ends(&filter)?;
            filter.check_target(target.log().compacting)?;
            streams.leads_not_back(filter.source_id, filter.target_id, Code::FilterLogIdFieldInvalid, "target_id")?;
            let progress = Progress::from_offset(Extent { end: source.end().now() }.start(offset)?);
            stored(streams.0.registry.set_filter(&filter, &progress).await)?;
            streams.start_filter(filter.clone(), progress)?;
            streams.note_events_wanted();
            Ok(filter)
        })
        .await
    }

    /// Refuses what would lead messages of `from` into `to` where they come back into `from`.
    pub(super) fn leads_not_back(&self, from: Id, to: Id, code: Code, field: &str) -> Result<(), Error> {
        let Some(way) = way_back(&self.edges(), from, to) else { return Ok(()) };
        let why = if way.is_empty() {
            format!("{field}: {to} cannot be led into itself")
        } else {
            // Whoever is confined learns no id of an operator's filter.
            let shown = |id: &Id| match self.1 {
                Reach::All => id.to_string(),
                Reach::Tenant(_) if self.found_copier(*id).is_ok() || self.webhook(*id).is_ok() => id.to_string(),
                Reach::Tenant(_) => "what an operator has set up".to_owned(),
            };
            let way: Vec<String> = way.iter().map(shown).collect();
            format!(
                "{field}: messages of {to} come back into {from} by {}: they would go round for ever",
                way.join(", ")
            )
        };
        Err(Error::new(code, why))
    }

    /// All that leads messages from one log into another: filters, and egress webhooks that call an ingress webhook here.
    fn edges(&self) -> Vec<Edge> {
        let of_filter = |copier: &Copier| {
            let filter = copier.filter();
            Edge { by: filter.filter_id, from: filter.source_id, to: filter.target_id }
        };
        let mut edges: Vec<Edge> = self.0.filters.read().values().map(of_filter).collect();
        edges.extend(self.0.webhooks.read().values().filter_map(|webhook| {
            let egress = webhook.egress();
            let to = self.received_into(&egress.destination)?;
            Some(Edge { by: egress.webhook_id, from: egress.log_id, to })
        }));
        edges
    }

    pub(crate) async fn update_filter(&self, id: Id, update: FilterUpdate) -> Result<Filter, Error> {
        let streams = self.clone();
        self.to_its_end("changing a filter", async move {
            let _changing = streams.0.changing.lock().await;
            let copier = streams.found_copier(id)?;
            let active = update.active();
            let filter = update.apply(&copier.filter(), &streams.0.limits)?;
            copier.update(filter.clone(), active).await?;
            Ok(filter)
        })
        .await
    }

    pub(crate) async fn delete_filter(&self, id: Id) -> Result<Filter, Error> {
        let streams = self.clone();
        self.to_its_end("deleting a filter", async move {
            let _changing = streams.0.changing.lock().await;
            let copier = streams.found_copier(id)?;
            copier.remove().await;
            streams.0.filters.write().remove(&id);
            streams.note_events_wanted();
            stored(streams.0.registry.delete_filter(id).await)?;
            Ok(copier.filter())
        })
        .await
    }

    pub(crate) async fn filter_status(&self, id: Id) -> Result<FilterStatus, Error> {
        self.found_copier(id)?.status().await
    }
}
