//! What scripts do to messages, all the way through the daemon.

use crate::harness::{Daemon, Home, Mail, Policy, Receiver};

const POLICY: &str = "
kumo.on('smtp_server_message_received', function(msg)
  msg:import_scheduling_header('X-Schedule', true)
  assert(msg:append_text_plain 'appended by policy\\r\\n')
  if msg:get_first_named_header_value 'X-Copy' then
    msg:save()
    kumo.inject_message(kumo.make_message('copy@example.com', 'copy@copies.example.com', msg:get_data()))
  end
end)
";

#[test]
fn messages_are_scheduled_changed_saved_and_injected_by_policy() {
    let (home, receiver) = (Home::new(), Receiver::start());
    let hook =
        format!("require('policy-extras.log_hooks'):new_json {{ name = 'webhook', url = '{}' }}\n", receiver.url());
    let daemon = Daemon::start(&home, &Policy::new(hook + POLICY));
    let mut client = daemon.connect();
    // Later than max_age allows, which does not count where a schedule has an end.
    let schedule = "X-Schedule: {\"first_attempt\":\"2100-01-01T00:00:00Z\",\"expires\":\"2101-01-01T00:00:00Z\"}";
    client.send(&Mail::to("late@example.com").header(schedule));
    client.send(&Mail::to("ann@example.com").header("X-Copy: yes"));

    let records = receiver.wait_for_records(5);
    let told = |kind: &str, recipient: &str| {
        let count = records.iter().filter(|record| record["type"] == kind && record["recipient"] == recipient);
        count.count()
    };
    assert_eq!((told("Reception", "late@example.com"), told("Delayed", "late@example.com")), (1, 1), "{records:?}");
    assert_eq!((told("Reception", "ann@example.com"), told("Delivery", "ann@example.com")), (1, 1), "{records:?}");
    let copy = "copy@copies.example.com";
    assert_eq!((told("Reception", copy), told("Delivery", copy)), (0, 1), "no Reception of what policy made");
    daemon.stop();
    for (domain, count) in [("example.com", 1), ("copies.example.com", 1)] {
        let mails = home.maildir(domain);
        assert_eq!(mails.len(), count, "{domain}: {mails:?}");
        assert!(mails[0].contains("appended by policy") && !mails[0].contains("X-Schedule"), "{mails:?}");
    }
}
