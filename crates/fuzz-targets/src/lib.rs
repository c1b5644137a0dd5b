//! What Waybill reads from strangers, as functions that may be fed anything: each takes bytes, and panics when something
//! that must hold of *every* input does not.
//!
//! "No panic" is the least of it. A text that parses prints back to one that parses to the same; a conversation is the same
//! in whatever pieces its bytes come; what is refused is refused with a reason. Two drivers feed them: `cargo test` runs the
//! corpus and seeded mutations of it (`tests/corpus.rs`), and `cargo xtask fuzz` lets libFuzzer look for what the corpus
//! does not reach (`fuzz/`, a workspace of its own). An input that found something stays in the corpus as `found-…`.
//!
//! It refuses to be part of the program: nothing depends on it.
//!
//! ```
//! let target = waybill_fuzz_targets::find("throttle_spec").expect("a target");
//! (target.run)(b"1,000/5m,max_burst=7");
//! ```

mod configs;
mod doubles;
mod hooks;
mod http;
mod logs;
mod mail_auth;
mod mutate;
mod parts;
mod reports;
mod sealed;
mod session;
mod sts;
mod transcript;
mod webhooks;
mod words;
mod zones;

pub use mutate::Mutator;

/// Something to be fed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The folder of its corpus, and its name for `cargo xtask fuzz --target`.
    pub name: &'static str,
    /// Panics when something does not hold.
    pub run: fn(&[u8]),
    /// Words that an input is likely to hold, for whoever makes inputs up.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "smtp_session", run: session::smtp_session, words: session::WORDS },
    Target { name: "proxy_header", run: session::proxy_header, words: session::PROXY_WORDS },
    Target { name: "mime_headers", run: waybill_lua::fuzz::mime_headers, words: waybill_lua::fuzz::WORDS },
    Target { name: "mime_parts", run: parts::mime_parts, words: parts::WORDS },
    Target { name: "reports", run: reports::reports, words: reports::WORDS },
    Target { name: "injection", run: http::injection, words: http::INJECTION_WORDS },
    Target { name: "http_request", run: http::request, words: http::REQUEST_WORDS },
    Target { name: "logs_request", run: logs::requests, words: logs::WORDS },
    Target { name: "http_answer", run: waybill_http1::fuzz::answer, words: waybill_http1::fuzz::WORDS },
    Target { name: "queue_name", run: words::queue_name, words: &[":", "@", "!", "null"] },
    Target { name: "throttle_spec", run: words::throttle_spec, words: words::THROTTLE_WORDS },
    Target { name: "words", run: words::words, words: words::WORDS },
    Target { name: "config_table", run: configs::config_table, words: configs::WORDS },
    Target { name: "lambda_frame", run: waybill_lambda::fuzz::frame, words: waybill_lambda::fuzz::WORDS },
    Target { name: "ingress", run: webhooks::ingress, words: webhooks::INGRESS_WORDS },
    Target { name: "condition", run: webhooks::condition, words: webhooks::CONDITION_WORDS },
    Target { name: "template", run: hooks::template, words: hooks::TEMPLATE_WORDS },
    Target { name: "hook_filter", run: hooks::filter, words: hooks::FILTER_WORDS },
    Target { name: "headers", run: hooks::headers, words: hooks::HEADER_WORDS },
    Target { name: "sealed", run: sealed::sealed, words: sealed::WORDS },
    Target { name: "dns_zone", run: zones::dns_zone, words: zones::WORDS },
    Target { name: "mta_sts", run: sts::mta_sts, words: sts::WORDS },
    Target { name: "mail_signatures", run: mail_auth::signatures, words: mail_auth::WORDS },
    Target { name: "spf_record", run: mail_auth::spf_record, words: mail_auth::SPF_WORDS },
];

/// The target of that name.
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}
