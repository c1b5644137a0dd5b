//! `kill -9` at random moments under load: what was accepted is delivered or still queued, and every outcome has its
//! event at the endpoint.

use crate::harness::load::Told;
use crate::harness::wait::{is_long, pause};
use crate::harness::{Answer, Daemon, Home, Load, Policy, Receiver};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const SENDERS: usize = 8;
/// Of one hook, unless the policy says something else.
const HOOK_CONNECTIONS: usize = 10;
/// Of one ready queue.
const MAIL_CONNECTIONS: usize = 32;
/// The most settled events that a crash may bring again.
const UNSAVED: usize = 256;
/// One ends at once, one in the second attempt, one in a bounce.
const DOMAINS: [&str; 3] = ["example.com", "later.test", "bounced.test"];

const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {
  name = 'webhook',
  url = '@URL@',
  queue_config = { retry_interval = '1s', max_retry_interval = '1s' },
}

kumo.on('get_queue_config', function(domain)
  if domain == 'later.test' then
    return kumo.make_queue_config {
      retry_interval = '1s',
      max_retry_interval = '1s',
      protocol = { custom_lua = { constructor = 'make.later' } },
    }
  end
  if domain == 'bounced.test' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.bounced' } } }
  end
end)

kumo.on('make.later', function()
  local client = kumo.http.build_client {}
  local connection = {}
  function connection:send(message)
    if message:num_attempts() == 0 then
      kumo.reject(451, 'later')
    end
    return client:post('@DOOR@'):body(message:recipient().email):send():text()
  end
  return connection
end)

kumo.on('make.bounced', function()
  local connection = {}
  function connection:send(message)
    kumo.reject(550, 'never')
  end
  return connection
end)
"#;

/// A number below `limit` that nobody can foresee.
fn random(limit: usize) -> usize {
    usize::try_from(RandomState::new().hash_one(0) % limit as u64).expect("below a usize")
}

#[test]
fn nothing_that_was_accepted_is_lost_by_kill_9() {
    let rounds = if is_long() { 60 } else { 20 };
    let (home, receiver) = (Home::new(), Receiver::start());
    // Where one of the domains delivers to.
    let door = Receiver::start();
    // Slow enough that there is always something in flight.
    for slow in [&receiver, &door] {
        slow.answer(|_, _| {
            pause(Duration::from_millis(random(8) as u64));
            Answer::ok()
        });
    }
    let policy = Policy::new(POLICY.replace("@URL@", &receiver.url()).replace("@DOOR@", &door.url()));
    let load = Load::start(SENDERS, &DOMAINS, "body");
    for _ in 0..rounds {
        let daemon = Daemon::start(&home, &policy);
        load.onto(&daemon);
        load.accepts(10 + random(300));
        pause(Duration::from_micros(random(50_000) as u64));
        load.off();
        daemon.kill9();
    }
    let Told { accepted, refusals } = load.end();
    assert_eq!(refusals, Vec::<String>::new());

    let daemon = Daemon::start(&home, &policy);
    let is_final = |kind: &str| matches!(kind, "Delivery" | "Bounce");
    let (mut begun, mut put_off, mut ended, mut seen) = (HashSet::new(), HashSet::new(), HashSet::new(), 0);
    let late = |(_, recipient): &(&String, &String)| recipient.ends_with("@later.test");
    receiver.wait(
        "every accepted mail has its Reception, its first failure, and every Reception its end",
        |requests| {
            for request in &requests[seen..] {
                let record = request.json();
                let (id, kind) = (record["id"].as_str()?.to_owned(), record["type"].as_str()?);
                if kind == "Reception" {
                    begun.insert(id);
                } else if kind == "TransientFailure" {
                    put_off.insert(id);
                } else if is_final(kind) {
                    ended.insert(id);
                }
            }
            seen = requests.len();
            // Also mail that was taken while the daemon was killed, so that its 250 was never heard.
            let told = accepted.keys().all(|id| begun.contains(id)) && begun.is_subset(&ended);
            (told && accepted.iter().filter(late).all(|(id, _)| put_off.contains(id))).then_some(())
        },
    );
    daemon.settled("webhook", 0);
    daemon.stop();

    let requests = receiver.requests();
    // The same event under the same id, and another under another.
    let (mut bodies, mut ids) = (HashMap::new(), HashMap::new());
    for request in &requests {
        let (id, body) = (request.webhook_id().to_owned(), request.text());
        assert_eq!(*bodies.entry(id.clone()).or_insert_with(|| body.clone()), body, "one id, two events");
        assert_eq!(*ids.entry(body).or_insert_with(|| id.clone()), id, "one event, two ids");
    }
    let repeated = requests.len() - bodies.len();
    assert!(repeated <= rounds * (UNSAVED + HOOK_CONNECTIONS), "{repeated} events came again after {rounds} kills");

    // Every outcome has one Delivery or Bounce, but for mail that was just being delivered when the daemon was killed.
    let ends = bodies.values().filter(|body| {
        let record: serde_json::Value = serde_json::from_str(body).expect("a record");
        record["type"].as_str().is_some_and(is_final)
    });
    let (ends, receptions) =
        (ends.count(), bodies.values().filter(|body| body.contains(r#""type":"Reception""#)).count());
    let again = ends - receptions;
    let in_flight = DOMAINS.len() * MAIL_CONNECTIONS;
    assert!(again <= rounds * in_flight, "{again} of {receptions} mails ended again after {rounds} kills");

    let delivered = home.maildir("example.com").concat();
    for recipient in accepted.values().filter(|recipient| recipient.ends_with("@example.com")) {
        assert!(delivered.contains(&format!("X-Recipient: <{recipient}>\r\n")), "{recipient} got nothing");
    }
    let mut at_the_door = HashMap::new();
    for request in door.requests() {
        *at_the_door.entry(request.text()).or_insert(0) += 1;
    }
    for recipient in accepted.values().filter(|recipient| recipient.ends_with("@later.test")) {
        assert!(at_the_door.contains_key(recipient), "{recipient} never came to the door");
    }
    let twice: usize = at_the_door.values().map(|count| count - 1).sum();
    assert!(twice <= rounds * MAIL_CONNECTIONS, "{twice} came to the door again after {rounds} kills");
    println!(
        "{rounds} kills, {} mails accepted, {} events, {repeated} of them repeated; {again} mails ended again, {twice} \
         came to the door again",
        accepted.len(),
        bodies.len()
    );
}
