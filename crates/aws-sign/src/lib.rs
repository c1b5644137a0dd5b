//! Signatures of AWS requests, version 4.
//!
//! Computes and no more: it opens no connection, reads no key and no clock. What a request says is put into one
//! agreed form ([`canonical`]), and that form is signed with a key that is good for one day, region and service.
//!
//! ```
//! use waybill_aws_sign::{Credentials, Request, Scope, sign};
//! let credentials = Credentials { access_key: "AKIDEXAMPLE", secret_key: "secret", session_token: None };
//! let scope = Scope { region: "eu-central-1", service: "sns" };
//! let headers = [("host".to_owned(), "sns.eu-central-1.amazonaws.com".to_owned())];
//! let request = Request { method: "POST", path: "/", query: &[], headers: &headers, payload: b"Action=Publish" };
//! let signed = sign(&credentials, scope, &request, 1_440_938_160);
//! assert_eq!(signed.date, "20150830T123600Z");
//! assert!(signed.authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-central-1/sns/"));
//! ```

mod canonical;
#[cfg(test)]
mod tests;

use std::fmt;

use chrono::DateTime;
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The last part of every scope.
const TERMINATOR: &str = "aws4_request";

/// Whose request it is.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// Which key; no secret.
    pub access_key: &'a str,
    /// The key.
    pub secret_key: &'a str,
    /// What belongs to a key that is valid for some time only.
    pub session_token: Option<&'a str>,
}

// Written by hand: a key must not reach a log.
impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// Where a signature is valid.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `us-east-1`
    pub region: &'a str,
    /// `sns`, `sqs`, `execute-api`, `s3`
    pub service: &'a str,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `POST`
    pub method: &'a str,
    /// The path as it is sent, without the query.
    pub path: &'a str,
    /// Names and values of the query, decoded.
    pub query: &'a [(String, String)],
    /// The headers that the signature covers; `host` must be among them.
    pub headers: &'a [(String, String)],
    /// The body.
    pub payload: &'a [u8],
}

/// A signature, and how it came to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The value of the header `authorization`.
    pub authorization: String,
    /// The value of the header `x-amz-date`. It is covered by the signature.
    pub date: String,
    /// The signature alone.
    pub signature: String,
    /// Names of the headers that are covered.
    pub signed_headers: String,
    /// The hash of the body, which S3 wants in `x-amz-content-sha256`.
    pub payload_hash: String,
    /// The request in the agreed form.
    pub canonical_request: String,
    /// The query as it is covered. Send it in this form.
    pub query: String,
    /// What was signed.
    pub string_to_sign: String,
}

/// Signs a request as of `unix` seconds since 1970. `x-amz-date`, and with a token `x-amz-security-token`, are covered
/// whether they are among the headers yet or not; they must be sent.
pub fn sign(credentials: &Credentials<'_>, scope: Scope<'_>, request: &Request<'_>, unix: i64) -> Signed {
    let moment = DateTime::from_timestamp(unix, 0).unwrap_or_default();
    let date = moment.format("%Y%m%dT%H%M%SZ").to_string();
    let day = &date[..8];
    let mut headers = request.headers.to_vec();
    let mut cover = |name: &str, value: &str| {
        if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    };
    cover("x-amz-date", &date);
    if let Some(token) = credentials.session_token {
        cover("x-amz-security-token", token);
    }
    let payload_hash = hash(request.payload);
    let (canonical_headers, signed_headers) = canonical::headers(&headers);
    let query = canonical::query(request.query);
    let canonical_request = format!(
        "{}\n{}\n{query}\n{canonical_headers}\n{signed_headers}\n{payload_hash}",
        request.method.to_ascii_uppercase(),
        canonical::path(request.path, scope.service),
    );
    let scope_text = format!("{day}/{}/{}/{TERMINATOR}", scope.region, scope.service);
    let string_to_sign = format!("{ALGORITHM}\n{date}\n{scope_text}\n{}", hash(canonical_request.as_bytes()));
    let key = signing_key(credentials.secret_key, day, scope);
    let signature = HEXLOWER.encode(&keyed(&key, string_to_sign.as_bytes()));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope_text}, SignedHeaders={signed_headers}, Signature={signature}",
        credentials.access_key
    );
    Signed { authorization, date, signature, signed_headers, payload_hash, canonical_request, query, string_to_sign }
}

/// The key of one day, region and service.
fn signing_key(secret: &str, day: &str, scope: Scope<'_>) -> Vec<u8> {
    let first = format!("AWS4{secret}").into_bytes();
    [day, scope.region, scope.service, TERMINATOR].iter().fold(first, |key, part| keyed(&key, part.as_bytes()))
}

fn keyed(key: &[u8], data: &[u8]) -> Vec<u8> {
    // Keys of any length are taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn hash(data: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(data))
}
