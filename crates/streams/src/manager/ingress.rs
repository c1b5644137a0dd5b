use super::{Streams, stored, wanted};
use crate::keys::digest;
use crate::log::{Once, Publish};
use http::HeaderMap;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use waybill_streams_core::{
    Code, Error, Id, Ingress, IngressCreate, IngressUpdate, Kind, NextOffset, Reception, Secrets, ingress_in, receive,
};
use waybill_webhook_sign::verify::Received;

/// Bodies that are read at once.
pub(super) const AT_ONCE: usize = 64;
/// How long a sender has for its body, and waits for others to have theirs read.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a sender is told.
pub(crate) enum Receipt {
    /// It is stored, or was before.
    Stored(NextOffset),
    /// What Slack wants to hear.
    Challenge(String),
}

impl Streams {
    pub(crate) fn ingress_webhooks(&self, metadata: Option<&str>) -> Vec<Ingress> {
        let all: Vec<Ingress> = self.0.ingress.read().values().map(|(ingress, _)| ingress.clone()).collect();
        let meant = |ingress: &Ingress| self.sees(ingress.log_id) && wanted(&ingress.metadata, metadata);
        all.into_iter().filter(meant).collect()
    }

    pub(crate) fn ingress_webhook(&self, id: Id) -> Result<Ingress, Error> {
        Ok(self.found_ingress(id)?.0)
    }

    fn found_ingress(&self, id: Id) -> Result<(Ingress, Secrets), Error> {
        let missing = || Error::new(Code::IngressWebhookNotFound, format!("there is no ingress webhook {id}"));
        let found = self.0.ingress.read().get(&id).cloned();
        found.filter(|(ingress, _)| self.sees(ingress.log_id)).ok_or_else(missing)
    }

    /// The ingress webhooks that write a log.
    pub(super) fn ingress_of(&self, log: Id) -> Vec<Id> {
        let all = self.0.ingress.read();
        all.values().map(|(ingress, _)| ingress).filter(|one| one.log_id == log).map(|one| one.webhook_id).collect()
    }

    /// The log into which what is sent to a destination comes, if that is an ingress webhook of this daemon.
    pub(super) fn received_into(&self, destination: &str) -> Option<Id> {
        let id = ingress_in(destination)?;
        self.0.ingress.read().get(&id).map(|(ingress, _)| ingress.log_id)
    }

    pub(crate) async fn create_ingress(&self, create: IngressCreate) -> Result<Ingress, Error> {
        let streams = self.clone();
        self.to_its_end("making an ingress webhook", async move {
            let _changing = streams.0.changing.lock().await;
            let most = streams.0.limits.ingress_webhooks;
            if streams.0.ingress.read().len() >= most {
                let why = format!("there are {most} ingress webhooks, which is as many as may be");
                return Err(Error::new(Code::IngressWebhookCountLimited, why));
            }
            let (ingress, secret) = create.ingress(streams.mint(Kind::Ingress), &streams.0.limits)?;
            streams.user_log(ingress.log_id).map_err(|error| {
                let why = format!("log_id: {}", error.message);
                Error::new(Code::IngressWebhookLogIdFieldInvalid, why)
            })?;
            let secrets = Secrets::new(secret);
            stored(streams.0.registry.set_ingress(&ingress, &secrets).await)?;
            streams.0.ingress.write().insert(ingress.webhook_id, (ingress.clone(), secrets));
            Ok(ingress)
        })
        .await
    }

    pub(crate) async fn update_ingress(&self, id: Id, update: IngressUpdate) -> Result<Ingress, Error> {
        let streams = self.clone();
        self.to_its_end("changing an ingress webhook", async move {
            let _changing = streams.0.changing.lock().await;
            let (old, secrets) = streams.found_ingress(id)?;
            let (ingress, secret, expire_seconds) = update.apply(&old, &streams.0.limits)?;
            let now = streams.0.ground.clock.now();
            let secrets = secret.map_or_else(|| secrets.clone(), |secret| secrets.rotated(secret, now, expire_seconds));
            stored(streams.0.registry.set_ingress(&ingress, &secrets).await)?;
            streams.0.ingress.write().insert(id, (ingress.clone(), secrets));
            Ok(ingress)
        })
        .await
    }

    pub(crate) async fn delete_ingress(&self, id: Id) -> Result<Ingress, Error> {
        let streams = self.clone();
        self.to_its_end("deleting an ingress webhook", async move {
            let _changing = streams.0.changing.lock().await;
            let (ingress, _) = streams.found_ingress(id)?;
            stored(streams.0.registry.delete_ingress(id).await)?;
            streams.0.ingress.write().remove(&id);
            Ok(ingress)
        })
        .await
    }

    /// Whether a request is worth reading: its webhook is there, and something like a signature is too.
    pub(crate) fn expects(&self, id: Id, headers: &HeaderMap) -> Result<(), Error> {
        let name = self.ingress_webhook(id)?.kind.signature_header();
        if headers.contains_key(name) {
            return Ok(());
        }
        Err(Error::new(Code::AuthenticationFailed, format!("the header {name} is missing")))
    }

    /// A place for a body that is being read.
    pub(crate) async fn place_for_body(&self) -> Result<SemaphorePermit<'_>, Error> {
        let place = tokio::time::timeout(PATIENCE, self.0.receiving.acquire()).await;
        let busy = || Error::new(Code::ServerError, "too many webhooks are being received; try again later");
        place.map_err(|_| busy())?.map_err(|_| busy())
    }

    /// Stores what came, if it is to be believed and did not come before.
    pub(crate) async fn receive(&self, id: Id, headers: &HeaderMap, body: &[u8]) -> Result<Receipt, Error> {
        let (ingress, secrets) = self.found_ingress(id)?;
        let now = self.0.ground.clock.now();
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let secrets: Vec<_> = secrets.at(now).collect();
        let received = Received { headers: &headers, body };
        let reception = receive(ingress.kind, &secrets, &received, now, &self.0.limits).inspect_err(|error| {
            tracing::info!(webhook = %id, "what came is refused: {error}");
        })?;
        let (message, names) = match reception {
            Reception::Challenge(challenge) => return Ok(Receipt::Challenge(challenge)),
            Reception::Message { message, names } => (message, names),
        };
        // The same name is the same message here, whatever else differs.
        let scope = id.to_string();
        let names = names.iter().map(|name| digest(&[b"ingress", scope.as_bytes(), name])).collect();
        let once = Once { names, content: digest(&[b"ingress"]) };
        let publish = Publish { messages: vec![message], beside: None, once: Some(once) };
        let stored = self.user_log(ingress.log_id)?.put(publish).await?;
        Ok(Receipt::Stored(NextOffset { next_offset: stored.next }))
    }
}
