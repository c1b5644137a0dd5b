//! Keys, zones and mails of the tests.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::sync::Arc;

use serde_json::{Value, json};
use waybill_dns::Zones;
use waybill_mail_auth::{Algorithm, Key, Signer, SignerError};

/// When everything happens: seconds since 1970.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) const RFC_RSA: &str = include_str!("../keys/rfc8463-rsa.pem");
pub(crate) const RFC_ED25519: &str = include_str!("../keys/rfc8463-ed25519.pem");
pub(crate) const RSA: &str = include_str!("../keys/rsa2048.pem");

/// RFC 8463, appendix A.2, and the public part of [`RSA`].
pub(crate) const KEYS: &str = r#"
brisbane._domainkey.football.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
test._domainkey.football.example.com. TXT ("v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi" "Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
big._domainkey.football.example.com. TXT "v=DKIM1; p=PUBLIC2048"
"#;

pub(crate) const PUBLIC_2048: &str = include_str!("../keys/rsa2048.pub");

pub(crate) fn zones() -> Zones {
    let keys = KEYS.replace("PUBLIC2048", PUBLIC_2048.trim()).replace(['(', ')'], "");
    Zones::parse([keys.as_str()]).unwrap()
}

/// RFC 8463, appendix A.3.
pub(crate) const RFC_MAIL: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r
 subject : date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r
 d=football.example.com; i=@football.example.com;\r
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r
 date : message-id : from : subject : date;\r
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r
From: Joe SixPack <joe@football.example.com>\r
To: Suzie Q <suzie@shopping.example.net>\r
Subject: Is dinner ready?\r
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r
Message-ID: <20030712040037.46341.5F8J@football.example.com>\r
\r
Hi.\r
\r
We lost the game.  Are you hungry yet?\r
\r
Joe.\r
";

/// The same before anybody signed it.
pub(crate) fn unsigned_mail() -> &'static str {
    RFC_MAIL.split_once("\r\nFrom: ").map(|(signatures, _)| &RFC_MAIL[signatures.len() + 2..]).unwrap()
}

/// A signer of `football.example.com` with these options on top.
pub(crate) fn signer_with(selector: &str, more: &Value) -> Result<Signer, SignerError> {
    let (algorithm, pem) = match selector {
        "brisbane" => (Algorithm::Ed25519Sha256, RFC_ED25519),
        "test" => (Algorithm::RsaSha256, RFC_RSA),
        _ => (Algorithm::RsaSha256, RSA),
    };
    let mut options = json!({
        "domain": "football.example.com", "selector": selector, "key": true,
        "headers": ["From", "To", "Subject", "Date", "Message-ID", "Cc"],
    });
    for (name, value) in more.as_object().unwrap() {
        options[name] = value.clone();
    }
    let options = serde_json::from_value(options).unwrap();
    Signer::new(&options, Arc::new(Key::parse(algorithm, pem.as_bytes()).unwrap()))
}

pub(crate) fn signer(selector: &str) -> Signer {
    signer_with(selector, &json!({})).unwrap()
}
