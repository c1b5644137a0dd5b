use crate::{CustomSignature, EventId, Keyring, KlevKey, KongKey, StandardKey};
use waybill_types::Timestamp;

/// Signs one attempt in every scheme that was asked for.
#[derive(Clone, Debug, Default)]
pub struct Signer {
    /// Standard Webhooks, v1 and v1a in one list.
    pub standard: Keyring<StandardKey>,
    /// Kong's.
    pub kong: Option<KongKey>,
    /// klev's.
    pub klev: Keyring<KlevKey>,
    /// Headers of the operator's own.
    pub custom: Vec<CustomSignature>,
}

impl Signer {
    /// The headers of an attempt that is made at `now`: always `webhook-id` and `webhook-timestamp`, and the
    /// signatures over exactly these bytes. Names are lower case.
    pub fn headers(&self, id: &EventId, now: Timestamp, body: &[u8]) -> Vec<(String, String)> {
        let seconds = now.secs();
        let mut headers = vec![
            ("webhook-id".to_owned(), id.as_str().to_owned()),
            ("webhook-timestamp".to_owned(), seconds.to_string()),
        ];
        if !self.standard.is_empty() {
            let list: Vec<String> = self.standard.at(now).map(|key| key.sign(id, seconds, body)).collect();
            headers.push(("webhook-signature".to_owned(), list.join(" ")));
        }
        if let Some(kong) = &self.kong {
            headers.push(("x-kong-signature".to_owned(), kong.sign(body)));
        }
        if !self.klev.is_empty() {
            let list = self.klev.at(now).map(|key| format!(";v1={}", key.sign(seconds, body)));
            headers.push(("x-klev-signature".to_owned(), format!("t={seconds}{}", list.collect::<String>())));
        }
        let custom = self.custom.iter().map(|custom| (custom.header().to_owned(), custom.sign(id, seconds, body)));
        headers.extend(custom);
        headers
    }
}
