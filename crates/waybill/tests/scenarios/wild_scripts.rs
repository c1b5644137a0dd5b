//! Scripts of a hook that run away: they loop, allocate, fail, yield for ever, spoil their globals. Only the events of
//! that hook suffer.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver, wait_until};
use serde_json::Value;
use std::collections::HashSet;

const MIB: u64 = 1 << 20;
const MAILS: usize = 5;
/// Reception and Delivery.
const EVENTS: usize = 2 * MAILS;
/// What the daemon may grow by while scripts allocate as much as they can: a hook has up to ten sessions of 128 MiB. The
/// scripts below would take 2 GiB each if they were let.
const MOST_GROWTH: u64 = 1536 * MIB;

/// A healthy hook, and one whose `send` does this.
fn policy(receiver: &Receiver, send: &str) -> Policy {
    Policy::new(format!(
        "kumo.on('get_egress_path_config', function(domain)
           local limit = domain == 'wild.log_hook' and '30s' or nil
           return kumo.make_egress_path {{ dispatcher_progress_watchdog_timeout = limit }}
         end)
         local log_hooks = require 'policy-extras.log_hooks'
         log_hooks:new_json {{ name = 'healthy', url = '{}' }}
         log_hooks:new {{
           name = 'wild',
           queue_config = {{ retry_interval = '1s', max_retry_interval = '1s' }},
           constructor = function()
             local connection = {{}}
             function connection:send(message)
               {send}
               return 'fine'
             end
             return connection
           end,
         }}",
        receiver.url()
    ))
}

/// Mail and the healthy hook go on while the other fails; what it says at last is returned. The daemon stops as ever.
fn hurts_only_its_own_events(send: &str) -> String {
    let (home, receiver) = (Home::new(), Receiver::start());
    let daemon = Daemon::start(&home, &policy(&receiver, send));
    let before = daemon.peak_memory();
    let mut client = daemon.connect();
    for _ in 0..MAILS {
        client.send(&Mail::to("rcpt@example.com"));
    }
    receiver.wait_for(EVENTS);
    let failed = |record: &&Value| record["queue"] == "wild.log_hook" && record["type"] != "Delivery";
    let failure = wait_until("the wild hook has failed", || home.hook_records().iter().find(failed).cloned());
    // Also what comes after the trouble is known.
    for _ in 0..MAILS {
        client.send(&Mail::to("rcpt@example.com"));
    }
    receiver.wait_for(2 * EVENTS);
    daemon.settled("healthy", 0);
    daemon.wait_for_hook("wild", "has lost none", |hook| {
        hook["dead_letters"] == 0 && hook["lag_events"].as_u64() == Some(2 * EVENTS as u64)
    });
    let grown = daemon.peak_memory() - before;
    println!("the daemon grew by at most {} MiB", grown / MIB);
    assert!(grown < MOST_GROWTH, "it grew by {} MiB", grown / MIB);
    daemon.stop();
    let ids: HashSet<_> = receiver.requests().iter().map(|request| request.webhook_id().to_owned()).collect();
    assert_eq!((ids.len(), receiver.requests().len()), (2 * EVENTS, 2 * EVENTS), "each event came once");
    failure["response"]["content"].as_str().expect("a text").to_owned()
}

#[test]
fn a_hook_that_loops_hurts_only_its_own_events() {
    let said = hurts_only_its_own_events("while true do end");
    assert!(said.contains("without waiting for anything"), "{said}");
}

#[test]
fn a_hook_that_loops_and_catches_what_stops_it_hurts_only_its_own_events() {
    let said = hurts_only_its_own_events("while true do pcall(function() while true do end end) end");
    assert!(said.contains("without waiting for anything"), "{said}");
}

#[test]
fn a_hook_that_allocates_piece_by_piece_hurts_only_its_own_events() {
    // It ends before the machine that runs this does.
    let said = hurts_only_its_own_events("local t = {} for i = 1, 2048 do t[i] = ('x'):rep(1024 * 1024) .. i end");
    assert!(said.contains("not enough memory"), "{said}");
}

#[test]
fn a_hook_that_wants_two_gigabytes_at_once_hurts_only_its_own_events() {
    let said = hurts_only_its_own_events("local s = ('x'):rep((1 << 31) - 1)");
    assert!(said.contains("not enough memory"), "{said}");
}

#[test]
fn a_hook_that_doubles_a_text_and_catches_the_error_hurts_only_its_own_events() {
    let doubles = "local function double() local s = 'x' for _ = 1, 31 do s = s .. s end end
                   for _ = 1, 20 do assert(not pcall(double), 'it was let') end
                   error 'enough'";
    let said = hurts_only_its_own_events(doubles);
    assert!(said.contains("enough"), "{said}");
}

#[test]
fn a_hook_that_raises_what_is_no_text_hurts_only_its_own_events() {
    let said = hurts_only_its_own_events("error(setmetatable({}, { __tostring = function() error 'again' end }))");
    assert!(!said.is_empty());
}

#[test]
fn a_hook_that_recurses_without_end_hurts_only_its_own_events() {
    let said = hurts_only_its_own_events("local function f() return 1 + f() end f()");
    assert!(said.contains("stack overflow"), "{said}");
}

#[test]
fn a_hook_that_yields_for_ever_hurts_only_its_own_events() {
    let said = hurts_only_its_own_events("while true do coroutine.yield() end");
    assert!(!said.is_empty());
}

#[test]
fn a_hook_that_spoils_its_globals_hurts_only_its_own_events() {
    let spoils = "for name in pairs(_G) do if name ~= '_G' and name ~= 'error' then _G[name] = nil end end
                  debug = nil
                  getmetatable = nil
                  error 'spoilt'";
    let said = hurts_only_its_own_events(spoils);
    assert!(!said.is_empty());
}

#[test]
fn a_hook_that_spoils_what_all_texts_share_hurts_only_its_own_events() {
    let spoils = "local shared = getmetatable('').__index
                  for name in pairs(shared) do shared[name] = function() error 'spoilt' end end
                  table.concat, table.insert, pairs, ipairs, next = nil
                  error 'spoilt'";
    let said = hurts_only_its_own_events(spoils);
    assert!(said.contains("spoilt"), "{said}");
}
