//! Cipher suites by their names.

use super::provider;
use crate::cipher_name;
use rustls::SupportedCipherSuite;

/// The suites of these names, in this order; all that there are for no names.
///
/// # Errors
/// A sentence naming the name that is none, and those that are.
pub(super) fn by_name(names: &[String]) -> Result<Vec<SupportedCipherSuite>, String> {
    let all = provider().cipher_suites.clone();
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        // The library writes the suites of TLS 1.3 in its own way, and so do scripts for it.
        let is = |suite: &&SupportedCipherSuite| {
            cipher_name(**suite).eq_ignore_ascii_case(name) || format!("{:?}", suite.suite()).eq_ignore_ascii_case(name)
        };
        all.iter().find(is).copied().ok_or_else(|| {
            let known: Vec<String> = all.iter().map(|suite| cipher_name(*suite)).collect();
            format!("there is no cipher suite {name:?}, expected some of {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_found_by_either_of_their_names_and_keep_their_order() {
        let names = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS13_AES_256_GCM_SHA384", "tls_aes_128_gcm_sha256"];
        let found = by_name(&names.map(str::to_owned)).unwrap();
        let shown: Vec<String> = found.into_iter().map(cipher_name).collect();
        assert_eq!(
            shown,
            ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"]
        );
        assert!(by_name(&[]).unwrap().len() > 5);
        let error = by_name(&["RC4".to_owned()]).unwrap_err();
        assert!(error.starts_with("there is no cipher suite \"RC4\", expected some of TLS_AES_"), "{error}");
    }
}
