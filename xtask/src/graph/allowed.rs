//! Which crate may depend on which: the table that `docs/architecture.md` describes.
//!
//! A new arrow is a line here, in the commit that needs it. Names are folder names below `crates/`.

/// What a crate is for, which decides what it may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Computes: no sockets, files, clock, tasks.
    Pure,
    /// A trait, the types in its signature, an in-memory double, a conformance suite.
    Contract,
    /// Machinery that every shell may stand on.
    Base,
    /// Input and output behind a contract. No shell uses another.
    Shell,
    /// The one crate that names them all.
    Binary,
    /// Builds the others, is part of none.
    Tool,
}

/// One row: what a crate is and which of our crates it may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// The folder below `crates/`.
    pub(crate) name: &'static str,
    /// What it is.
    pub(crate) kind: Kind,
    /// Our crates it may depend on. Tests may reach further: any crate that is not a shell, for its test doubles.
    pub(crate) may_use: Reach,
}

/// A set of our crates.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reach {
    /// These.
    Only(&'static [&'static str]),
    /// Everything that is pure, a contract or a base: what the architecture gives to every shell.
    BelowShells,
    /// All of them.
    Everything,
}

use Kind::{Base, Binary, Contract, Pure, Shell, Tool};
use Reach::{BelowShells, Everything, Only};

const fn row(name: &'static str, kind: Kind, may_use: Reach) -> Rule {
    Rule { name, kind, may_use }
}

/// Every crate of the workspace. One that is missing here is an offence.
pub(crate) const CRATES: &[Rule] = &[
    row("types", Pure, Only(&[])),
    row("aws-sign", Pure, Only(&[])),
    row("log-record", Pure, Only(&["types"])),
    row("bounce", Pure, Only(&["types", "log-record"])),
    row("mime", Pure, Only(&[])),
    row("reports", Pure, Only(&["types", "mime"])),
    row("queue-core", Pure, Only(&["types"])),
    // A lane's retries are the same arithmetic as a queue's.
    row("journal-core", Pure, Only(&["types", "queue-core"])),
    row("webhook-sign", Pure, Only(&["types"])),
    row("webhook-core", Pure, Only(&["types", "webhook-sign"])),
    row("sealing", Pure, Only(&[])),
    row("tokens", Pure, Only(&["types"])),
    row("mta-sts", Pure, Only(&["types"])),
    row("filter", Pure, Only(&[])),
    // Waits between attempts and keys that sign are those of every webhook.
    row("streams-core", Pure, Only(&["types", "filter", "webhook-core", "webhook-sign"])),
    row("event-hooks-core", Pure, Only(&["types", "filter", "webhook-sign", "webhook-core"])),
    // Headers that records show are read as scripts read them.
    row("spool", Contract, Only(&["types", "log-record", "mime"])),
    row("dns", Contract, Only(&[])),
    row("delivery", Contract, Only(&["types", "queue-core", "spool"])),
    row("policy", Contract, Only(&["types", "spool"])),
    // What keeps a ready queue back is told alike for mail and for hooks.
    row("admin", Contract, Only(&["types", "queue-core"])),
    row("runtime", Base, Only(&["types"])),
    // Whoever writes lines into a directory: records, decisions, scripts.
    row("line-files", Base, Only(&["types", "runtime"])),
    row("tls", Base, Only(&[])),
    // Requests of scripts and of our own sender, over whatever stream they have.
    row("http1", Base, Only(&[])),
    // What the SMTP shell says, the HTTP shell shows.
    // Asks the DNS through its contract, and refuses to decide anything.
    row("mail-auth", Base, Only(&["dns"])),
    row("trace", Base, Only(&["types"])),
    // What a session does is shown alike for mail and for hooks.
    row("ready", Base, Only(&["types", "admin", "queue-core", "spool", "delivery", "runtime"])),
    row("consumers", Base, Only(&["types", "log-record", "queue-core", "journal-core", "spool", "runtime"])),
    // Every shell with an API of its own asks it who may do what.
    row("authorizer", Base, Only(&["types", "tokens", "spool", "runtime"])),
    row("spool-rocksdb", Shell, Only(&["types", "log-record", "spool", "runtime"])),
    row("accounting", Shell, Only(&["types", "log-record", "spool", "runtime"])),
    row("queue", Shell, BelowShells),
    row("hooks", Shell, BelowShells),
    row("smtp", Shell, BelowShells),
    row("http-api", Shell, BelowShells),
    // A sender knows nothing of mail: whoever has events to tell hands it bytes.
    row("webhook", Shell, Only(&["types", "dns", "http1", "runtime", "tls", "webhook-core", "webhook-sign"])),
    row("streams", Shell, BelowShells),
    // Says neither hook nor sender: the binary gives it one.
    row("lambda", Shell, Only(&["types", "runtime", "webhook-core"])),
    row("event-hooks", Shell, BelowShells),
    row("dns-hickory", Shell, Only(&["dns"])),
    row("lua", Shell, BelowShells),
    // Lua modules that know nothing of mail: the binary registers them, and `lua` never hears of them.
    row("lua-util", Shell, Only(&["aws-sign"])),
    row("lua-http", Shell, Only(&["aws-sign", "http1", "tls"])),
    row("lua-dns", Shell, Only(&["dns"])),
    row("lua-jsonl", Shell, Only(&["types", "line-files", "runtime"])),
    // Protocols are written against the seams and nothing else, so that a new one is one crate.
    row("custom-lua", Shell, Only(&["types", "queue-core", "spool", "delivery", "policy"])),
    row("maildir", Shell, Only(&["types", "queue-core", "spool", "delivery"])),
    row("xfer", Shell, Only(&["types", "queue-core", "spool", "delivery"])),
    // A client: what it knows of the daemon came over a socket. `receive` checks signatures as any receiver does.
    row("cli", Shell, Only(&["types", "tls", "webhook-sign"])),
    row("waybill", Binary, Everything),
    // Measures daemons from outside, ours and others.
    row("bench", Tool, Only(&[])),
    row("xtask", Tool, Only(&[])),
    // Feeds what reads strangers' bytes, wherever that is; shipped to nobody. Not the store: C++ under a sanitizer.
    row(
        "fuzz-targets",
        Tool,
        Only(&[
            "types",
            "log-record",
            "mime",
            "reports",
            "mail-auth",
            "mta-sts",
            "queue-core",
            "sealing",
            "spool",
            "dns",
            "policy",
            "admin",
            "trace",
            "streams",
            "streams-core",
            "event-hooks-core",
            "webhook-core",
            "webhook-sign",
            "runtime",
            "authorizer",
            "smtp",
            "http-api",
            "lambda",
            "lua",
            "http1",
        ]),
    ),
];

/// A library that few may name, and who they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    /// The library's name in the registry.
    pub(crate) library: &'static str,
    /// Our crates that may name it, tests included.
    pub(crate) open_to: &'static [&'static str],
    /// What keeping it behind a door is good for.
    pub(crate) why: &'static str,
}

const COMPUTES: &str = "a pure crate has no sockets, files, clock or tasks";
const NOBODY: &[&str] = &[];

/// Heavy libraries: each compiles C, C++ or hundreds of crates, and each sits behind a contract that must not show it.
pub(crate) const DOORS: &[Door] = &[
    Door { library: "rocksdb", open_to: &["spool-rocksdb", "bench"], why: "the Store has other homes than RocksDB" },
    Door {
        library: "mlua",
        open_to: &["lua", "lua-util", "lua-http", "lua-dns", "lua-jsonl", "lambda", "waybill"],
        why: "policy is a contract that does not say Lua",
    },
    Door {
        library: "hickory-resolver",
        open_to: &["dns-hickory"],
        why: "whoever asks the DNS asks the contract, so that policy and tests can put another resolver there",
    },
    Door { library: "rusqlite", open_to: &["accounting"], why: "one place knows SQLite, and mail never waits for it" },
    Door {
        library: "mail-auth",
        open_to: &["mail-auth"],
        why: "one place keeps the library from asking a DNS of its own",
    },
    Door { library: "rsa", open_to: &["mail-auth"], why: "one place knows which keys ring does not sign with" },
    Door { library: "cel", open_to: &["filter"], why: "one place bounds what a filter may cost" },
    Door { library: "chacha20poly1305", open_to: &["sealing"], why: "one place knows how secrets are encrypted" },
    Door { library: "ed25519-dalek", open_to: &["webhook-sign"], why: "one place knows how webhooks are signed" },
    Door {
        library: "reqwest",
        open_to: &["lua-http"],
        why: "one HTTP client for scripts; our own sender gets its own crate",
    },
];

/// Libraries that a pure crate may not name: they do what it refuses to do.
pub(crate) const NOT_PURE: &[Door] = &[
    Door { library: "tokio", open_to: NOBODY, why: COMPUTES },
    Door { library: "hyper", open_to: NOBODY, why: COMPUTES },
    Door { library: "axum", open_to: NOBODY, why: COMPUTES },
    Door { library: "socket2", open_to: NOBODY, why: COMPUTES },
    Door { library: "nix", open_to: NOBODY, why: COMPUTES },
];

/// The cargo package of a row.
pub(crate) fn package(name: &str) -> String {
    match name {
        "waybill" | "xtask" => name.to_owned(),
        _ => format!("waybill-{name}"),
    }
}

/// The row's name of a cargo package.
pub(crate) fn short(package: &str) -> &str {
    package.strip_prefix("waybill-").unwrap_or(package)
}

impl Reach {
    /// Whether a crate with this reach may use `target`.
    pub(crate) fn includes(self, target: &Rule) -> bool {
        match self {
            Only(names) => names.contains(&target.name),
            BelowShells => matches!(target.kind, Pure | Contract | Base),
            Everything => target.kind != Tool,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> &'static Rule {
        CRATES.iter().find(|rule| rule.name == name).unwrap_or_else(|| panic!("no row for {name}"))
    }

    #[test]
    fn no_row_reaches_upward() {
        for rule in CRATES.iter().filter(|rule| !matches!(rule.kind, Binary | Tool)) {
            for target in CRATES.iter().filter(|target| rule.may_use.includes(target)) {
                assert!(target.kind < Shell, "{} may use the shell {}", rule.name, target.name);
                assert!(rule.kind >= target.kind, "{} may use {}, which stands above it", rule.name, target.name);
            }
        }
    }

    #[test]
    fn the_allowed_arrows_have_no_cycle() {
        fn visit(rule: &'static Rule, path: &mut Vec<&'static str>) {
            assert!(!path.contains(&rule.name), "{path:?} leads back to {}", rule.name);
            path.push(rule.name);
            for target in CRATES.iter().filter(|target| rule.may_use.includes(target) && target.name != rule.name) {
                visit(target, path);
            }
            path.pop();
        }
        for rule in CRATES {
            visit(rule, &mut Vec::new());
        }
    }

    #[test]
    fn every_name_in_the_tables_has_a_row() {
        for rule in CRATES {
            if let Only(names) = rule.may_use {
                names.iter().for_each(|name| assert_eq!(find(name).name, *name));
            }
        }
        for door in DOORS {
            door.open_to.iter().for_each(|name| assert_eq!(find(name).name, *name));
        }
    }

    #[test]
    fn a_package_name_leads_to_its_row_and_back() {
        for rule in CRATES {
            assert_eq!(short(&package(rule.name)), rule.name);
        }
    }
}
