use super::{Streams, stored, wanted};
use crate::egress::{EgressTally, Webhook};
use crate::news::Change;
use crate::registry::EgressRow;
use std::collections::BTreeMap;
use waybill_streams_core::{
    Code, Delivery, Egress, EgressCreate, EgressUpdate, Error, Extent, Id, Kind, Rotate, Secrets, Status, secret_from,
};
use waybill_webhook_core::Target;

impl Streams {
    pub(crate) fn egress_webhooks(&self, metadata: Option<&str>) -> Vec<Egress> {
        let all: Vec<Egress> = self.0.webhooks.read().values().map(Webhook::egress).collect();
        let meant = |egress: &Egress| self.sees(egress.log_id) && wanted(&egress.metadata, metadata);
        all.into_iter().filter(meant).collect()
    }

    pub(crate) fn egress_webhook(&self, id: Id) -> Result<Egress, Error> {
        Ok(self.webhook(id)?.egress())
    }

    /// The webhooks that send messages of a log.
    pub(super) fn webhooks_of(&self, log: Id) -> BTreeMap<Id, Webhook> {
        let all = self.0.webhooks.read();
        all.iter().filter(|(_, webhook)| webhook.egress().log_id == log).map(|(id, one)| (*id, one.clone())).collect()
    }

    pub(super) fn webhook(&self, id: Id) -> Result<Webhook, Error> {
        let missing = || Error::new(Code::EgressWebhookNotFound, format!("there is no egress webhook {id}"));
        let found = self.0.webhooks.read().get(&id).cloned();
        found.filter(|webhook| self.sees(webhook.egress().log_id)).ok_or_else(missing)
    }

    pub(crate) async fn create_egress(&self, create: EgressCreate) -> Result<(Egress, Secrets), Error> {
        let streams = self.clone();
        self.to_its_end("making an egress webhook", async move {
            let _changing = streams.0.changing.lock().await;
            let log = create.log()?;
            let no_log = || Error::new(Code::EgressWebhookLogIdFieldInvalid, format!("log_id: there is no log {log}"));
            let source = streams.source(log).ok_or_else(no_log)?;
            let most = streams.0.limits.egress_webhooks;
            if streams.0.webhooks.read().len() >= most {
                let why = format!("there are {most} egress webhooks, which is as many as may be");
                return Err(Error::new(Code::EgressWebhookCountLimited, why));
            }
            let next = Extent { end: source.end().now() }.start(create.offset())?;
            let egress = create.egress(streams.mint(Kind::Egress), log, &streams.0.limits)?;
            streams.permits(&egress)?;
            let keys = Secrets::new(secret_from(rand::random()));
            let delivery = Delivery::from_offset(next);
            let told = streams.0.base.told([Change::of_egress("create", &egress, None, source.tenant())]);
            stored(streams.0.registry.set_egress(&egress, Some(&keys), Some(&delivery), &[], told).await)?;
            let row = EgressRow { egress: egress.clone(), keys: keys.clone(), delivery, parked: Vec::new() };
            let webhook = Webhook::start(streams.0.base.clone(), source, row);
            streams.0.webhooks.write().insert(egress.webhook_id, webhook);
            streams.note_events_wanted();
            Ok((egress, keys))
        })
        .await
    }

    pub(crate) async fn update_egress(&self, id: Id, update: EgressUpdate) -> Result<Egress, Error> {
        let streams = self.clone();
        self.to_its_end("changing an egress webhook", async move {
            let _changing = streams.0.changing.lock().await;
            let webhook = streams.webhook(id)?;
            let position = update.position();
            let egress = update.apply(&webhook.egress(), &streams.0.limits)?;
            streams.permits(&egress)?;
            webhook.update(egress.clone(), position).await?;
            Ok(egress)
        })
        .await
    }

    pub(crate) async fn rotate_egress(&self, id: Id, rotate: Rotate) -> Result<(Egress, Secrets), Error> {
        let streams = self.clone();
        self.to_its_end("rotating a secret", async move {
            let _changing = streams.0.changing.lock().await;
            let webhook = streams.webhook(id)?;
            let keys = webhook.rotate(secret_from(rand::random()), rotate.expire_seconds).await?;
            Ok((webhook.egress(), keys))
        })
        .await
    }

    pub(crate) async fn delete_egress(&self, id: Id) -> Result<Egress, Error> {
        let streams = self.clone();
        self.to_its_end("deleting an egress webhook", async move {
            let _changing = streams.0.changing.lock().await;
            let webhook = streams.webhook(id)?;
            webhook.remove().await;
            streams.0.webhooks.write().remove(&id);
            streams.note_events_wanted();
            let egress = webhook.egress();
            let told = streams.0.base.told([Change::of_egress("delete", &egress, None, webhook.tenant())]);
            stored(streams.0.registry.delete_egress(id, told).await)?;
            Ok(egress)
        })
        .await
    }

    pub(crate) async fn egress_status(&self, id: Id) -> Result<Status, Error> {
        self.webhook(id)?.status().await
    }

    /// What every egress webhook did since the start, and what waits for it.
    pub fn egress_tallies(&self) -> Vec<EgressTally> {
        self.0.webhooks.read().values().map(Webhook::tally).collect()
    }

    /// Whether the destination would certainly be refused when it is called, or leads back into the webhook's own log.
    fn permits(&self, egress: &Egress) -> Result<(), Error> {
        let wrong = |why: String| Error::new(Code::EgressWebhookPathInvalid, format!("destination: {why}"));
        let target = Target::parse(&egress.destination).map_err(|error| wrong(error.to_string()))?;
        self.0.base.courier.check(&target).map_err(wrong)?;
        match self.received_into(&egress.destination) {
            Some(to) => self.leads_not_back(egress.log_id, to, Code::EgressWebhookPathInvalid, "destination"),
            None => Ok(()),
        }
    }
}
