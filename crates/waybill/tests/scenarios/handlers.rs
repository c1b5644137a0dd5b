//! Several handlers of `should_enqueue_log_record`.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver};

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
    assert!(daemon.stderr().contains("this handler is broken"), "the operator is told");
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
