//! The replies that the contract page names (its sections 1.4, 2.3 and 3), each with the line that a conversation of
//! `transcripts/` has for it. What the page leaves to us it leaves to them; the samples of a live server are in samples.rs.

use crate::transcripts::{all, spoken};

/// As the page has it, and as it is said to `c.example` by `mta.example`.
const REPLIES: [(&str, &str); 27] = [
    ("220 HOST BANNER", "220 mta.example KumoMTA"),
    ("EHLO HOST Aloha DOMAIN", "250-mta.example Aloha c.example"),
    ("PIPELINING", "250-PIPELINING"),
    ("ENHANCEDSTATUSCODES", "250-ENHANCEDSTATUSCODES"),
    ("8BITMIME", "250-8BITMIME"),
    ("SMTPUTF8", "250-SMTPUTF8"),
    ("then STARTTLS (plain)", "250 STARTTLS"),
    ("or AUTH PLAIN (under TLS)", "250 AUTH PLAIN"),
    ("then XCLIENT if allowed", "250 XCLIENT ADDR PORT DESTADDR DESTPORT"),
    ("MAIL 250 OK <addr>", "250 OK <a@example.com>"),
    ("RCPT 250 OK <addr>", "250 OK <b@example.com>"),
    ("no relay 550 5.7.1", "550 5.7.1 relaying not permitted for 192.0.2.7:99"),
    ("452 4.5.3", "452 4.5.3 too many recipients"),
    ("354", "354 go ahead, CRLF.CRLF ends the message"),
    ("accepted 250 OK ids=<id> <id>...", "250 OK ids=<id> <id>"),
    ("552 5.3.4", "552 5.3.4 message too big"),
    ("line endings 552 5.6.0 (samples)", "552 5.6.0 message data must use CRLF for line endings"),
    ("bad UTF-8 command 501", "501 cannot make sense of this command or its arguments"),
    ("uncaught Lua error", "421 4.3.0 mta.example technical difficulties"),
    ("load state", "421 4.3.2 mta.example load shedding"),
    ("load state", "421 4.3.2 mta.example disk is too full"),
    ("load state", "421 4.3.2 mta.example waiting for spool startup"),
    ("section 1.4", "421 4.3.2 mta.example shutting down"),
    ("235", "235 2.7.0 AUTH OK!"),
    ("535", "535 5.7.8 AUTH invalid"),
    ("AUTH without TLS (samples)", "524 5.7.11 AUTH PLAIN needs an encrypted connection"),
    ("a rejection is the response", "550 5.7.1 it looks like spam"),
];

/// What the page has and we never say: a transaction is taken as a whole or not at all.
const NEVER: &str = "PARTIAL ids=";

#[test]
fn every_reply_that_the_contract_names_is_in_a_conversation() {
    let all = all();
    let lines = || all.iter().flat_map(|(_, script)| script.lines()).filter_map(spoken).filter(|(who, ..)| *who == 'S');
    for (named, ours) in REPLIES {
        assert!(lines().any(|(_, _, line)| line == ours), "{named}: no conversation has {ours}");
    }
    assert!(!lines().any(|(_, _, line)| line.contains(NEVER)));
}
