//! Several handlers of `should_enqueue_log_record`.

use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use std::collections::HashSet;
use std::sync::{Arc, RwLock};

/// Each handler leaves its number in the message's meta, and the connection sends it along.
const POLICY: &str = r#"
local function note(msg, number)
  msg:set_meta('x_trace', (msg:get_meta 'x_trace' or '') .. number)
end

kumo.on('should_enqueue_log_record', function(msg, hook_name)
  note(msg, '1')
  return nil
end)

kumo.on('should_enqueue_log_record', function(msg, hook_name)
  note(msg, '2')
  if hook_name == 'plain' then
    msg:set_meta('queue', 'plain.hook')
    return true
  end
  if hook_name == 'strict' and msg:get_meta('log_record').type == 'Reception' then
    return false
  end
  if hook_name == 'broken' then
    error 'this handler is broken'
  end
  -- no value at all
end)

kumo.on('should_enqueue_log_record', function(msg, hook_name)
  note(msg, '3')
  if hook_name == 'aimless' then
    return true
  end
  if hook_name ~= 'unwanted' then
    msg:set_meta('queue', hook_name .. '.hook')
    return true
  end
end)

kumo.on('get_queue_config', function(domain)
  if domain:match '%.hook$' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.hook' } } }
  end
end)

kumo.on('make.hook', function(domain)
  local connection = {}
  local client = kumo.http.build_client {}
  function connection:send(message)
    local request = client:post '@URL@'
    request:header('x-queue', domain)
    request:header('x-trace', message:get_meta 'x_trace')
    return request:body(message:get_data()):send():text()
  end
  return connection
end)
"#;

#[test]
fn handlers_are_asked_in_order_until_one_says_true_or_false() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let names = ["plain", "strict", "broken", "aimless", "unwanted"];
    let hooks: String = names.iter().map(|name| format!("kumo.configure_log_hook {{ name = '{name}' }}\n")).collect();
    let policy = Policy::new(POLICY.replace("@URL@", &receiver.url())).init(&hooks);
    let daemon = Daemon::start(&home, &policy);
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    receiver.wait_for_records(3);
    // Its protocol would be smtp: nobody chose anything for the message of `aimless`.
    daemon.connect().send(&Mail::to("rcpt@elsewhere.test"));
    daemon.wait_for_hook("aimless", "keeps what nobody aimed as a dead letter", |hook| {
        hook["dead_letters"].as_u64() >= Some(1)
    });

    let mut came: Vec<_> = receiver
        .requests()
        .iter()
        .filter(|request| request.json()["recipient"] == "rcpt@example.com")
        .map(|request| {
            let header = |name: &str| request.header(name).expect("set by the script").to_owned();
            (header("x-queue"), header("x-trace"), request.json()["type"].as_str().expect("a type").to_owned())
        })
        .collect();
    came.sort();
    let expected = [
        ("plain.hook", "12", "Delivery"),
        ("plain.hook", "12", "Reception"),
        // For its Reception the false of the second was final; otherwise nil meant the third.
        ("strict.hook", "123", "Delivery"),
    ];
    assert_eq!(came, expected.map(|(queue, trace, kind)| (queue.into(), trace.into(), kind.into())));

    // Refused, as nobody said true.
    daemon.settled("unwanted", 0);
    daemon.wait_for_hook("broken", "keeps what its handler failed on", |hook| hook["dead_letters"].as_u64() >= Some(3));
    // The operator is told.
    daemon.says("this handler is broken");
    daemon.stop();
}

#[test]
fn an_event_that_nobody_gave_a_queue_never_becomes_mail() {
    let home = Home::new();
    let policy = "kumo.on('pre_init', function() kumo.configure_log_hook { name = 'mine' } end)
        kumo.on('should_enqueue_log_record', function() return true end)";
    let daemon = Daemon::start(&home, &Policy::new(policy));
    daemon.connect().send(&Mail::to("rcpt@example.com"));
    daemon.settled("mine", 2);
    let letters = daemon.client(&["hooks", "dead-letters", "mine"]).expect("a list");
    assert_eq!(letters.matches("no-queue").count(), 2, "{letters}");
    daemon.stop();
    assert_eq!(home.maildir("example.com").len(), 1, "the mail, and no event");
}

/// The handler notes whom it is asked about; the queue has room for few events.
const NOTING: &str = r#"
kumo.on('should_enqueue_log_record', function(msg)
  local record = msg:get_meta 'log_record'
  local asked <close> = io.open(dir .. '/asked', 'a')
  asked:write(record.type, ' ', record.id, '\n')
  msg:set_meta('queue', 'noting.hook')
  msg:set_meta('x_kind', record.type)
  return true
end)

kumo.on('get_queue_config', function(domain)
  if domain == 'noting.hook' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.noting' } } }
  end
end)

kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { max_ready = 20 }
end)

kumo.on('make.noting', function()
  local connection = {}
  local client = kumo.http.build_client { redirect = 'none', timeout = '100s' }
  function connection:send(message)
    return client:post('@URL@'):header('x-kind', message:get_meta 'x_kind'):body(message:get_data()):send():text()
  end
  return connection
end)
"#;

#[test]
fn events_that_are_looked_at_ahead_of_their_turn_are_asked_about_once() {
    const MAILS: usize = 60;
    let (home, receiver) = (Home::new(), Receiver::start());
    let gate = Arc::new(RwLock::new(()));
    let (closed, open) = (gate.write().expect("nobody else has it"), gate.clone());
    receiver.answer(move |_, _| {
        drop(open.read());
        Answer::ok()
    });
    let policy =
        Policy::new(NOTING.replace("@URL@", &receiver.url())).init("kumo.configure_log_hook { name = 'noting' }");
    let daemon = Daemon::start(&home, &policy);
    let mut smtp = daemon.connect();
    (0..MAILS).for_each(|_| drop(smtp.send(&Mail::to("rcpt@example.com"))));
    // Nothing leaves, so most of them are looked at ahead.
    let asked = || -> Vec<String> {
        let asked = std::fs::read_to_string(home.file("asked")).unwrap_or_default();
        asked.lines().map(str::to_owned).collect()
    };
    wait_until("the handler was asked about all", || (asked().len() >= 2 * MAILS).then_some(()));
    drop(closed);
    let came = receiver.wait_for(2 * MAILS);
    daemon.settled("noting", 0);
    for request in &came {
        assert_eq!(request.header("x-kind"), request.json()["type"].as_str(), "what was said of it is kept");
    }
    let (all, once) = (asked(), asked().into_iter().collect::<HashSet<_>>());
    assert_eq!((all.len(), once.len()), (2 * MAILS, 2 * MAILS));
    daemon.stop();
}
