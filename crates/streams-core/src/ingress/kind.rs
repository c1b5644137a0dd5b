use crate::{Code, Error};
use serde::{Deserialize, Serialize};
use waybill_webhook_sign::{Secret, StandardVerifier};

/// Who sends, and so how it is signed and what becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IngressType {
    /// GitHub.
    #[serde(rename = "gitHub")]
    GitHub,
    /// An egress webhook of klev or Waybill that sends whole messages.
    #[serde(rename = "klev-message")]
    KlevMessage,
    /// One that sends keys.
    #[serde(rename = "klev-key")]
    KlevKey,
    /// One that sends values.
    #[serde(rename = "klev-value")]
    KlevValue,
    /// Slack.
    #[serde(rename = "slack")]
    Slack,
    /// Stripe.
    #[serde(rename = "stripe")]
    Stripe,
    /// Ours: whoever signs as Standard Webhooks says.
    #[serde(rename = "standard")]
    Standard,
}

use IngressType::{GitHub, KlevKey, KlevMessage, KlevValue, Slack, Standard, Stripe};

impl IngressType {
    /// All of them.
    pub const ALL: [IngressType; 7] = [GitHub, KlevMessage, KlevKey, KlevValue, Slack, Stripe, Standard];

    /// As it stands in a request.
    pub const fn text(self) -> &'static str {
        match self {
            GitHub => "gitHub",
            KlevMessage => "klev-message",
            KlevKey => "klev-key",
            KlevValue => "klev-value",
            Slack => "slack",
            Stripe => "stripe",
            Standard => "standard",
        }
    }

    pub(super) fn named(text: Option<&str>) -> Result<Self, Error> {
        IngressType::ALL.into_iter().find(|kind| Some(kind.text()) == text).ok_or_else(|| {
            let names: Vec<&str> = IngressType::ALL.iter().map(|kind| kind.text()).collect();
            Error::new(Code::IngressWebhookTypeInvalid, format!("type: expected one of {}", names.join(", ")))
        })
    }

    /// The header without which nothing is worth reading.
    pub const fn signature_header(self) -> &'static str {
        match self {
            GitHub => "x-hub-signature-256",
            KlevMessage | KlevKey | KlevValue => "x-klev-signature",
            Slack => "x-slack-signature",
            Stripe => "stripe-signature",
            Standard => "webhook-signature",
        }
    }

    /// Whether this can be a secret of such a sender. None of it is repeated.
    pub(super) fn takes(self, secret: &Secret) -> Result<(), Error> {
        let wrong = |why: String| Err(Error::new(Code::JsonInvalid, format!("secret: {why}")));
        let length = secret.reveal().len();
        match self {
            _ if length == 0 => wrong("it is missing".to_owned()),
            _ if length > LONGEST => wrong(format!("{length} bytes, at most {LONGEST} are taken")),
            Standard => match StandardVerifier::parse(secret.reveal()) {
                Ok(_) => Ok(()),
                Err(why) => wrong(why.to_string()),
            },
            _ => Ok(()),
        }
    }
}

/// Bytes of a secret.
const LONGEST: usize = 1024;
