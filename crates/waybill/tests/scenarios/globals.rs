//! A script that forgets `local` is safe: nobody else runs in its Lua state while it waits.

use crate::harness::wait::LIMIT;
use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use std::sync::{Arc, Condvar, Mutex};

const SESSIONS: usize = 32;

/// `who`, `kind` and `answer` are globals, and between writing and reading them the script waits for the endpoint.
const FORGETFUL_CONNECTION: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new {
  name = 'forgetful',
  log_parameters = { per_record = { Reception = { enable = true }, Any = { enable = false } } },
  constructor = function(domain, tenant, campaign)
    local connection = {}
    local client = kumo.http.build_client {}
    function connection:send(message)
      who = message:recipient().email
      kind = message:get_meta('log_record').type
      answer = client:post('@URL@'):body(who):send():text()
      return string.format('%s of %s, and the endpoint says %s', kind, who, answer)
    end
    return connection
  end,
}

kumo.on('get_egress_path_config', function(routing_domain, source, site)
  return kumo.make_egress_path { connection_limit = @SESSIONS@ }
end)
"#;

const FORGETFUL_RECEPTION: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json { name = 'webhook', url = '@EVENTS@', log_parameters = { meta = { 'x_*' } } }

kumo.on('smtp_server_message_received', function(msg)
  who = msg:recipient().email
  echo = kumo.http.build_client({}):post('@URL@'):body(who):send():text()
  msg:set_meta('x_who', who)
  msg:set_meta('x_echo', echo)
end)
"#;

/// An endpoint that gives back what it gets, and the first answers only when so many are waiting at once.
fn echo_when_all_are_there() -> Receiver {
    let receiver = Receiver::start();
    let waiting = Arc::new((Mutex::new(0), Condvar::new()));
    receiver.answer(move |request, _| {
        let (count, changed) = &*waiting;
        let mut here = count.lock().expect("no panic while it is held");
        *here += 1;
        changed.notify_all();
        // If they never come the scenario fails for another reason: the answer comes too late to matter.
        drop(changed.wait_timeout_while(here, LIMIT, |here| *here < SESSIONS));
        Answer::ok().body(&request.text())
    });
    receiver
}

#[test]
fn sessions_of_a_hook_do_not_mix_up_their_globals() {
    const EVENTS: usize = 400;
    let (home, receiver) = (Home::new(), echo_when_all_are_there());
    let script = FORGETFUL_CONNECTION.replace("@URL@", &receiver.url()).replace("@SESSIONS@", &SESSIONS.to_string());
    let daemon = Daemon::start(&home, &Policy::new(script));
    let mut smtp = daemon.connect();
    for part in 0..4 {
        smtp.send(&Mail::to_all((0..EVENTS / 4).map(|number| format!("rcpt{part}-{number}@example.com"))));
    }
    let records = wait_until("all events have their records", || {
        let records = home.hook_records();
        (records.len() >= EVENTS).then_some(records)
    });
    for record in records {
        let who = record["recipient"].as_str().expect("one recipient");
        assert_eq!(record["type"], "Delivery", "{record}");
        assert_eq!(record["response"]["content"], format!("Reception of {who}, and the endpoint says {who}"));
    }
    daemon.stop();
}

#[test]
fn smtp_sessions_do_not_mix_up_their_globals() {
    const MAILS: usize = 5;
    let (home, receiver, events) = (Home::new(), echo_when_all_are_there(), Receiver::start());
    let script = FORGETFUL_RECEPTION.replace("@URL@", &receiver.url()).replace("@EVENTS@", &events.url());
    let daemon = Daemon::start(&home, &Policy::new(script));
    std::thread::scope(|scope| {
        for session in 0..SESSIONS {
            let mut smtp = daemon.connect();
            scope.spawn(move || {
                for number in 0..MAILS {
                    smtp.send(&Mail::to(&format!("rcpt{session}-{number}@example.com")));
                }
            });
        }
    });
    for record in events.wait_for_records(2 * SESSIONS * MAILS) {
        assert_eq!(record["meta"]["x_who"], record["recipient"], "{record}");
        assert_eq!(record["meta"]["x_echo"], record["recipient"], "{record}");
    }
    daemon.stop();
}
