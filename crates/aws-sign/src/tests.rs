//! The vectors that AWS publishes: its test suite for version 4, the example of its IAM pages and that of S3.

use super::*;

const KEY: Credentials<'_> = Credentials {
    access_key: "AKIDEXAMPLE",
    secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    session_token: None,
};
/// 30 August 2015, 12:36:00.
const WHEN: i64 = 1_440_938_160;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn suite(method: &str, path: &str, query: &[(&str, &str)], headers: &[(&str, &str)], payload: &str) -> Signed {
    let mut all = pairs(&[("Host", "example.amazonaws.com")]);
    all.extend(pairs(headers));
    let query = pairs(query);
    let request = Request { method, path, query: &query, headers: &all, payload: payload.as_bytes() };
    sign(&KEY, Scope { region: "us-east-1", service: "service" }, &request, WHEN)
}

#[test]
fn the_published_vectors_come_out() {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    for (name, signed, signature) in [
        (
            "get-vanilla",
            suite("GET", "/", &[], &[], ""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-vanilla-query-order-key-case",
            suite("GET", "/", &[("Param2", "value2"), ("Param1", "value1")], &[], ""),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-header-value-trim",
            suite("GET", "/", &[], &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")], ""),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "get-utf8",
            suite("GET", "/\u{1234}", &[], &[], ""),
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "normalize-path/get-slashes",
            suite("GET", "//example//", &[], &[], ""),
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
        (
            "normalize-path/get-relative-relative",
            suite("GET", "/example1/example2/../..", &[], &[], ""),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "post-vanilla",
            suite("POST", "/", &[], &[], ""),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "post-x-www-form-urlencoded",
            suite("post", "/", &[], &form, "Param1=value1"),
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
    ] {
        assert_eq!(signed.signature, signature, "{name}: {}", signed.canonical_request);
    }
}

#[test]
fn the_example_of_the_manual_goes_step_by_step_as_written() {
    let headers =
        pairs(&[("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("host", "iam.amazonaws.com")]);
    let query = pairs(&[("Action", "ListUsers"), ("Version", "2010-05-08")]);
    let request = Request { method: "GET", path: "/", query: &query, headers: &headers, payload: b"" };
    let scope = Scope { region: "us-east-1", service: "iam" };
    let signed = sign(&KEY, scope, &request, WHEN);
    let hashed = "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59";
    assert_eq!(hash(signed.canonical_request.as_bytes()), hashed);
    assert_eq!(
        signed.string_to_sign,
        format!("AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n{hashed}")
    );
    let key = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9";
    assert_eq!(HEXLOWER.encode(&signing_key(KEY.secret_key, "20150830", scope)), key);
    assert_eq!(
        signed.authorization,
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
         SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn the_example_of_s3_comes_out() {
    let credentials = Credentials {
        access_key: "AKIAIOSFODNN7EXAMPLE",
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        session_token: None,
    };
    let headers = pairs(&[
        ("Host", "examplebucket.s3.amazonaws.com"),
        ("Range", "bytes=0-9"),
        ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ]);
    let request = Request { method: "GET", path: "/test.txt", query: &[], headers: &headers, payload: b"" };
    // 24 May 2013, midnight.
    let signed = sign(&credentials, Scope { region: "us-east-1", service: "s3" }, &request, 1_369_353_600);
    assert_eq!(signed.signature, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

#[test]
fn a_session_token_is_covered_and_secrets_are_not_shown() {
    let credentials = Credentials { session_token: Some("TOKEN"), ..KEY };
    let headers = pairs(&[("host", "h")]);
    let request = Request { method: "GET", path: "/a%20b", query: &[], headers: &headers, payload: b"" };
    let signed = sign(&credentials, Scope { region: "r", service: "sqs" }, &request, WHEN);
    assert_eq!(signed.signed_headers, "host;x-amz-date;x-amz-security-token");
    assert!(signed.canonical_request.contains("x-amz-security-token:TOKEN\n"), "{}", signed.canonical_request);
    assert!(signed.canonical_request.starts_with("GET\n/a%2520b\n"), "sent encoded, signed encoded twice");
    let s3 = sign(&credentials, Scope { region: "r", service: "s3" }, &request, WHEN);
    assert!(s3.canonical_request.starts_with("GET\n/a%20b\n"));
    let shown = format!("{credentials:?}");
    assert!(!shown.contains("wJalr") && !shown.contains("TOKEN"), "{shown}");
}
