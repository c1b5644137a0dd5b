use serde::Deserialize;
use waybill_types::Timestamp;
use waybill_webhook_sign::{
    Algorithm, CustomSignature, Encoding, Keyring, KlevKey, KongAlgorithm, KongKey, Secret, Signer, StandardKey,
};

use super::ConfigError;

/// How requests are signed; every scheme that is named signs, at once.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SignConfig {
    /// Standard Webhooks: `whsec_...` (v1) and `whsk_...` (v1a), the new and the old during a rotation.
    pub standard: Vec<DatedSecret>,
    /// Kong's `x-kong-signature`.
    pub kong: Option<KongSign>,
    /// klev's `X-Klev-Signature`.
    pub klev: Vec<DatedSecret>,
    /// Headers of the operator's own.
    pub custom: Vec<CustomHeader>,
}

/// A secret, and until when it signs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatedSecret {
    /// The secret.
    pub secret: Secret,
    /// Unix seconds from which on it does not sign any more; unset means always. One secret of a list must be without.
    #[serde(default)]
    pub until: Option<i64>,
}

/// Kong's signature.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KongSign {
    /// The key.
    pub secret: Secret,
    /// `sha256` (the default) or `sha1`.
    #[serde(default = "sha256")]
    pub algorithm: String,
}

/// A header with a signature in it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomHeader {
    /// Its name.
    pub header: String,
    /// The key.
    pub secret: Secret,
    /// Its value: `{id}`, `{timestamp}`, `{signature}`. By default `{signature}`.
    #[serde(default = "signature")]
    pub value: String,
    /// What is signed: `{id}`, `{timestamp}`, `{body}`. By default `{body}`.
    #[serde(default = "body")]
    pub signed: String,
    /// `sha1`, `sha256` (the default), `sha512`.
    #[serde(default = "sha256")]
    pub algorithm: String,
    /// `hex` (the default) or `base64`.
    #[serde(default = "hex")]
    pub encoding: String,
}

impl CustomHeader {
    /// A header that is the signature of the body alone.
    pub fn new(header: impl Into<String>, secret: Secret) -> Self {
        CustomHeader {
            header: header.into(),
            secret,
            value: signature(),
            signed: body(),
            algorithm: sha256(),
            encoding: hex(),
        }
    }
}

fn sha256() -> String {
    "sha256".to_owned()
}

fn signature() -> String {
    "{signature}".to_owned()
}

fn body() -> String {
    "{body}".to_owned()
}

fn hex() -> String {
    "hex".to_owned()
}

impl SignConfig {
    /// What signs.
    ///
    /// # Errors
    /// What is wrong, and in which field.
    pub fn signer(&self) -> Result<Signer, ConfigError> {
        let standard = ring("sign.standard", &self.standard, |secret| StandardKey::parse(secret.reveal()))?;
        let klev = ring("sign.klev", &self.klev, |secret| match secret.reveal() {
            "" => Err("it is empty"),
            _ => Ok(KlevKey::new(secret.clone())),
        })?;
        let kong = self.kong.as_ref().map(kong).transpose()?;
        let custom = self.custom.iter().enumerate().map(|(index, header)| custom(index, header));
        Ok(Signer { standard, kong, klev, custom: custom.collect::<Result<_, _>>()? })
    }
}

fn ring<K, E: ToString>(
    field: &str,
    secrets: &[DatedSecret],
    key: impl Fn(&Secret) -> Result<K, E>,
) -> Result<Keyring<K>, ConfigError> {
    let mut keys = Vec::with_capacity(secrets.len());
    for (index, dated) in secrets.iter().enumerate() {
        let named = |error: E| ConfigError::new(format!("{field}[{index}].secret"), error.to_string());
        keys.push((key(&dated.secret).map_err(named)?, dated.until.map(Timestamp::from_secs)));
    }
    Keyring::dated(keys).map_err(|error| ConfigError::new(field, error.to_string()))
}

fn kong(sign: &KongSign) -> Result<KongKey, ConfigError> {
    let algorithm = match sign.algorithm.as_str() {
        "sha1" => KongAlgorithm::Sha1,
        "sha256" => KongAlgorithm::Sha256,
        other => {
            return Err(ConfigError::new(
                "sign.kong.algorithm",
                format!("{other:?} is unknown, expected sha256 or sha1"),
            ));
        }
    };
    if sign.secret.reveal().is_empty() {
        return Err(ConfigError::new("sign.kong.secret", "it is empty"));
    }
    Ok(KongKey { secret: sign.secret.clone(), algorithm })
}

fn custom(index: usize, header: &CustomHeader) -> Result<CustomSignature, ConfigError> {
    let wrong = |field: &str, why: String| ConfigError::new(format!("sign.custom[{index}].{field}"), why);
    let name = crate::check_name(&header.header).map_err(|error| wrong("header", error.to_string()))?;
    // What the template adds is visible ASCII too, so that the value stays one.
    crate::check_value(&name, &header.value).map_err(|error| wrong("value", error.to_string()))?;
    if header.secret.reveal().is_empty() {
        return Err(wrong("secret", "it is empty".to_owned()));
    }
    let algorithm = Algorithm::named(&header.algorithm).ok_or_else(|| {
        wrong("algorithm", format!("{:?} is unknown, expected sha1, sha256 or sha512", header.algorithm))
    })?;
    let encoding = match header.encoding.as_str() {
        "hex" => Encoding::Hex,
        "base64" => Encoding::Base64,
        other => return Err(wrong("encoding", format!("{other:?} is unknown, expected hex or base64"))),
    };
    let made = CustomSignature::new(name.as_str(), &header.value, &header.signed, header.secret.clone());
    let made = made.map_err(|(field, error)| wrong(field, error.to_string()))?;
    Ok(made.algorithm(algorithm).encoding(encoding))
}
