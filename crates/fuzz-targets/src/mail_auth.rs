//! Signatures and SPF records that strangers send.

use std::sync::{Arc, LazyLock};

use futures::executor::block_on;
use serde_json::json;
use waybill_dns::Zones;
use waybill_mail_auth::arc::{Chain, ChainStatus};
use waybill_mail_auth::spf::{self, Query};
use waybill_mail_auth::{Algorithm, Key, Signer, authentication_results, dkim};

pub(crate) const WORDS: &[&str] = &[
    "DKIM-Signature: ",
    "ARC-Seal: ",
    "ARC-Message-Signature: ",
    "ARC-Authentication-Results: ",
    "From: ",
    "Subject: ",
    "v=1; ",
    "a=ed25519-sha256; ",
    "a=rsa-sha256; ",
    "c=simple/relaxed; ",
    "d=a.example; ",
    "s=s; ",
    "h=From:",
    "bh=",
    "b=",
    "l=1; ",
    "i=1; ",
    "cv=none; ",
    "cv=pass; ",
    "t=1; ",
    "x=2; ",
    "\r\n",
    "\r\n ",
    "\n",
    "\t",
];

pub(crate) const SPF_WORDS: &[&str] = &[
    "ip4:192.0.2.0/24",
    "ip6:2001:db8::/32",
    "a",
    "mx",
    "ptr",
    "include:a.example",
    "exists:%{i}.a.example",
    "redirect=",
    "exp=",
    "-all",
    "~all",
    "?all",
    "%{d2r-}",
    "%{p}",
    "%%",
    "%_",
    "/0",
    "//64",
    " ",
];

const NOW: u64 = 1_800_000_000;
/// RFC 8463, appendix A.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const ZONE: &str = "s._domainkey.a.example. TXT \"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"";

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let options = json!({ "domain": "a.example", "selector": "s", "headers": ["From", "Subject"], "key": true });
    let options = serde_json::from_value(options).expect("options");
    let key = Key::parse(Algorithm::Ed25519Sha256, PEM.as_bytes()).expect("a key");
    Signer::new(&options, Arc::new(key)).expect("a signer")
});

/// Whatever a mail holds is looked at to an end; what we sign verifies, and a chain that holds still holds with our seal.
pub(crate) fn signatures(data: &[u8]) {
    let zones = Zones::parse([ZONE]).expect("a zone");
    let verified = |mail: &[u8]| block_on(dkim::verify(mail, &zones, NOW));
    let results = verified(data);
    assert!(results.len() <= dkim::MOST_SIGNATURES);
    assert!(authentication_results("mx.example", &results).is_ok(), "{results:?}");
    // A first line that goes on where there is nothing would go on with our signature.
    if data.first().is_some_and(|first| matches!(first, b' ' | b'\t')) {
        return;
    }
    let signed = [SIGNER.dkim_signature(data, NOW).expect("a signature").as_bytes(), data].concat();
    assert_eq!(verified(&signed)[0].result, "pass", "{}", String::from_utf8_lossy(&signed));

    let chain = block_on(Chain::begin(data, NOW).finish(&zones));
    let sealed = chain.seal(&SIGNER, "mx.example", &results, NOW).expect("a seal");
    assert_eq!(sealed.is_none(), matches!(chain.status(), ChainStatus::Fail(_)));
    if let Some(set) = sealed {
        let sealed = [set.as_bytes(), data].concat();
        let chain = block_on(Chain::begin(&sealed, NOW).finish(&zones));
        assert_eq!(*chain.status(), ChainStatus::Pass, "{}", String::from_utf8_lossy(&sealed));
    }
}

/// Every record is followed to an end, twice to the same.
pub(crate) fn spf_record(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace(['\r', '\n'], " ").replace('\\', "\\\\").replace('"', "\\\"");
    let zone = format!("a.example. TXT \"v=spf1 {text}\"\na.example. A 192.0.2.1\na.example. MX 1 a.example.\n");
    let Ok(zones) = Zones::parse([zone.as_str()]) else { return };
    for ip in ["192.0.2.1", "2001:db8::1"] {
        let ip = ip.parse().expect("an address");
        let query = Query { ip, domain: "a.example", sender: "o'x@a.example", helo: "h.example", host: "mx.example" };
        let verdict = block_on(spf::check(&zones, &query));
        assert!(!verdict.reason.is_empty());
        assert_eq!(block_on(spf::check(&zones, &query)), verdict);
    }
}
