use super::IngressType;
use crate::{Code, Error, Id, Limits, field};
use serde::{Deserialize, Serialize};
use waybill_webhook_sign::Secret;

/// An ingress webhook as it is stored and shown; its secret is kept apart, and never shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ingress {
    /// Its id.
    pub webhook_id: Id,
    /// What its maker says about it.
    pub metadata: String,
    /// The log that takes what comes.
    pub log_id: Id,
    /// Who sends.
    #[serde(rename = "type")]
    pub kind: IngressType,
}

/// The body that creates one. `Debug` shows no secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngressCreate {
    log_id: Option<String>,
    metadata: Option<String>,
    r#type: Option<String>,
    secret: Option<Secret>,
}

impl IngressCreate {
    /// The webhook that it describes, and its secret.
    ///
    /// # Errors
    /// `ingress-webhook-{log-id-field-invalid,type-invalid,metadata-limited}`; `json-invalid` for a secret that is none.
    pub fn ingress(self, webhook_id: Id, limits: &Limits) -> Result<(Ingress, Secret), Error> {
        let log_id = field::log("log_id", self.log_id.as_deref(), Code::IngressWebhookLogIdFieldInvalid)?;
        let kind = IngressType::named(self.r#type.as_deref())?;
        let metadata = self.metadata.unwrap_or_default();
        let metadata = field::metadata(metadata, limits, Code::IngressWebhookMetadataLimited)?;
        let secret = self.secret.unwrap_or_else(|| Secret::new(""));
        kind.takes(&secret)?;
        Ok((Ingress { webhook_id, metadata, log_id, kind }, secret))
    }
}

/// The body that changes one: what it does not name stays. `Debug` shows no secret.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IngressUpdate {
    metadata: Option<String>,
    secret: Option<Secret>,
    expire_seconds: Option<u64>,
}

impl IngressUpdate {
    /// The webhook with what it changes; its new secret, if it gets one; and how long the old one counts too.
    ///
    /// # Errors
    /// As when one is created.
    pub fn apply(self, old: &Ingress, limits: &Limits) -> Result<(Ingress, Option<Secret>, u64), Error> {
        let metadata = self.metadata.unwrap_or_else(|| old.metadata.clone());
        let metadata = field::metadata(metadata, limits, Code::IngressWebhookMetadataLimited)?;
        if let Some(secret) = &self.secret {
            old.kind.takes(secret)?;
        }
        Ok((Ingress { metadata, ..old.clone() }, self.secret, self.expire_seconds.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, body};

    const LOG: &str = "log_2VnvpTOoNFQRf0G9peK1zKlfhlf";

    fn created(kind: &str, secret: &str) -> Result<(Ingress, Secret), Error> {
        let json = serde_json::json!({"log_id": LOG, "type": kind, "secret": secret}).to_string();
        let id = Id::mint(Kind::Ingress, 0, [0; 16]);
        body::<IngressCreate>(json.as_bytes())?.ingress(id, &Limits::default())
    }

    #[test]
    fn an_ingress_webhook_is_shown_as_klevs_client_reads_it_and_without_its_secret() {
        for kind in IngressType::ALL {
            let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
            let (ingress, kept) = created(kind.text(), secret).unwrap();
            assert_eq!((ingress.kind, kept.reveal()), (kind, secret));
            let shown = serde_json::to_value(&ingress).unwrap();
            let expected = serde_json::json!({
                "webhook_id": ingress.webhook_id, "metadata": "", "log_id": LOG, "type": kind.text(),
            });
            assert_eq!(shown, expected);
            assert_eq!(serde_json::from_value::<Ingress>(shown).unwrap(), ingress);
        }
    }

    #[test]
    fn every_field_that_is_wrong_has_its_code_and_no_secret_is_repeated() {
        let code = |kind, secret| created(kind, secret).map(drop).map_err(|error| error.code);
        assert_eq!(code("github", "s"), Err(Code::IngressWebhookTypeInvalid), "klev spells it gitHub");
        assert_eq!(code("gitHub", ""), Err(Code::JsonInvalid));
        assert_eq!(code("gitHub", &"s".repeat(1025)), Err(Code::JsonInvalid));
        let error = created("standard", "hunter2").unwrap_err();
        assert!(error.message.contains("whsec_") && !error.message.contains("hunter2"), "{}", error.message);
        let none: IngressCreate = body(b"{}").unwrap();
        let error = none.ingress(Id::mint(Kind::Ingress, 0, [0; 16]), &Limits::default()).unwrap_err();
        assert_eq!(error.code, Code::IngressWebhookLogIdFieldInvalid);
        let create: IngressCreate = body(br#"{"secret":"hunter2"}"#).unwrap();
        assert!(!format!("{create:?}").contains("hunter2"));
        let number = body::<IngressCreate>(br#"{"secret":12345}"#).unwrap_err();
        assert!(!number.message.contains("12345"), "{}", number.message);
    }

    #[test]
    fn an_update_may_bring_a_new_secret_and_leaves_the_rest() {
        let (ingress, _) = created("standard", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX").unwrap();
        let update: IngressUpdate = body(br#"{"metadata":"m"}"#).unwrap();
        let (changed, secret, _) = update.apply(&ingress, &Limits::default()).unwrap();
        assert_eq!((changed.metadata.as_str(), secret.is_none(), changed.kind), ("m", true, ingress.kind));
        let update: IngressUpdate = body(br#"{"secret":"x"}"#).unwrap();
        assert_eq!(update.apply(&ingress, &Limits::default()).unwrap_err().code, Code::JsonInvalid);
    }
}
