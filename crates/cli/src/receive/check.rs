use anyhow::bail;
use hyper::HeaderMap;
use waybill_types::Timestamp;
use waybill_webhook_sign::verify::{self, Received, Refusal, TOLERANCE};
use waybill_webhook_sign::{KlevKey, Secret, StandardVerifier};

/// What messages are checked with.
pub(super) struct Secrets {
    klev: Vec<KlevKey>,
    standard: Vec<StandardVerifier>,
}

/// How far a message can be believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Believed {
    /// Its body.
    Body,
    /// Its body, and the id that tells log and offset: that is under the signature of Standard Webhooks only.
    BodyAndId,
}

impl Secrets {
    /// One secret a line. What begins with `ewhsec_` checks klev's signature and that of Standard Webhooks.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            bail!("there is no secret: give --secret-file, --secret or WAYBILL_WEBHOOK_SECRET");
        }
        if lines.iter().any(|line| !line.starts_with("ewhsec_")) {
            bail!("a secret of an egress webhook begins with ewhsec_ (it is shown by create and rotate)");
        }
        let klev: Vec<KlevKey> = lines.into_iter().map(|line| KlevKey::new(Secret::new(line))).collect();
        let standard = klev.iter().filter_map(|key| key.as_standard().ok()).map(|key| key.verifier()).collect();
        Ok(Secrets { klev, standard })
    }

    /// Whether a message is to be believed.
    pub(super) fn check(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Believed, Refusal> {
        let headers: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let received = Received { headers: &headers, body };
        verify::klev(&self.klev, &received, now, TOLERANCE)?;
        match verify::standard(&self.standard, &received, now, TOLERANCE) {
            Ok(()) => Ok(Believed::BodyAndId),
            Err(_) => Ok(Believed::Body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};

    const SECRET: &str = "ewhsec_4WWS5n4YcVrX8FhtxTKG3ctFHud3amGsr";
    const SIGNED: &str = "t=1695490928;v1=629e1ea0fa6f32f8d06b0693d42687f11a9128103c8ad30cbe98291c6d206abf";
    const THEN: i64 = 1_695_490_928;

    fn check(signature: Option<&str>, body: &[u8], now: i64) -> Result<Believed, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(signature) = signature {
            let name = HeaderName::from_static("x-klev-signature");
            headers.insert(name, HeaderValue::from_str(signature).unwrap());
        }
        Secrets::read(SECRET).unwrap().check(&headers, body, Timestamp::from_secs(now))
    }

    #[test]
    fn the_vector_is_believed_for_five_minutes_and_nothing_else_is() {
        assert_eq!(check(Some(SIGNED), b"hello world", THEN), Ok(Believed::Body));
        assert_eq!(check(Some(SIGNED), b"hello world", THEN + 300), Ok(Believed::Body));
        assert_eq!(check(Some(SIGNED), b"hello world", THEN + 301), Err(Refusal::TooOld));
        assert_eq!(check(Some(SIGNED), b"hello world!", THEN), Err(Refusal::NoMatch));
        assert!(matches!(check(None, b"hello world", THEN), Err(Refusal::Missing(_))));
        assert!(matches!(check(Some("v1=00"), b"hello world", THEN), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let refused = |text: &str| Secrets::read(text).err().unwrap().to_string();
        assert!(refused(" \n").contains("--secret-file"));
        let text = refused("hunter2");
        assert!(text.contains("ewhsec_") && !text.contains("hunter2"));
        assert_eq!(Secrets::read(&format!("{SECRET}\n\n ewhsec_{} \n", "x".repeat(33))).unwrap().klev.len(), 2);
    }
}
