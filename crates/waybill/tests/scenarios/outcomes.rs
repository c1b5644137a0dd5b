//! What a script's answer does to the record, the retry and the session.

use crate::harness::{Answer, Daemon, Home, Mail, Policy, Receiver, wait_until};
use serde_json::Value;
use std::time::Instant;

/// The user of the recipient says how the first attempt ends. Every call is told to the endpoint: what, for whom, in
/// which session.
const POLICY: &str = r#"
local log_hooks = require 'policy-extras.log_hooks'

local OUTCOMES = {
  text = function() return 'this is the text' end,
  number = function() return 42 end,
  none = function() return nil end,
  table = function() return {} end,
  error = function() error 'boom' end,
  refused = function() kumo.http.build_client({}):get('http://127.0.0.1:1/'):send() end,
  r400 = function() kumo.reject(400, 'try later') end,
  r421 = function() kumo.reject(421, '4.3.2 go away') end,
  r450 = function() kumo.reject(450, 'not now') end,
  r499 = function() kumo.reject(499, 'the last of them') end,
  r500 = function() kumo.reject(500, 'no') end,
  r250 = function() kumo.reject(250, 'a strange no') end,
}

log_hooks:new {
  name = 'hook',
  log_parameters = { per_record = { Reception = { enable = true }, Any = { enable = false } } },
  queue_config = { retry_interval = '1s', max_retry_interval = '1s' },
  constructor = function(domain, tenant, campaign)
    local session = kumo.uuid.new_v4().simple
    local client = kumo.http.build_client {}
    local function tell(what, who, attempt)
      local url = string.format('@URL@/%s/%s/%s/%s', what, who, attempt, session)
      return client:post(url):send():status_is_success()
    end
    if not tell('open', '-', '-') then
      error 'the endpoint does not want a session'
    end

    local connection = {}
    function connection:send(message)
      local user, attempt = message:recipient().user, message:num_attempts()
      tell('send', user, attempt)
      if attempt == 0 and OUTCOMES[user] then
        return OUTCOMES[user]()
      end
      return 'fine'
    end
    function connection:close()
      tell('close', '-', '-')
      client:close()
    end
    return connection
  end,
}

kumo.on('get_egress_path_config', function(routing_domain, source, site)
  -- One session at a time, and none that ends because nothing came for a while.
  return kumo.make_egress_path { connection_limit = 1, idle_timeout = '100s' }
end)
"#;

/// A call that the script told of.
#[derive(Clone, Debug)]
struct Step {
    what: String,
    who: String,
    attempt: String,
    session: String,
}

struct Stage {
    // First, as it must end before its folder goes.
    daemon: Daemon,
    home: Home,
    receiver: Receiver,
}

impl Stage {
    fn set() -> Stage {
        let (home, receiver) = (Home::new(), Receiver::start());
        let policy = Policy::new(POLICY.replace("@URL@", &receiver.url()));
        let daemon = Daemon::start(&home, &policy);
        Stage { home, receiver, daemon }
    }

    fn mail(&self, user: &str) {
        self.daemon.connect().send(&Mail::to(&format!("{user}@example.com")));
    }

    fn steps(&self) -> Vec<Step> {
        self.receiver
            .requests()
            .iter()
            .map(|request| {
                let words: Vec<_> = request.path.split('/').map(str::to_owned).collect();
                let [_, _, what, who, attempt, session] = &words[..] else { panic!("{words:?}") };
                Step { what: what.clone(), who: who.clone(), attempt: attempt.clone(), session: session.clone() }
            })
            .collect()
    }

    /// The session in which an attempt was made, once it was made.
    fn session_of(&self, who: &str, attempt: u32) -> String {
        wait_until(&format!("attempt {attempt} at {who} was made"), || {
            let made = |step: &Step| step.what == "send" && step.who == who && step.attempt == attempt.to_string();
            self.steps().into_iter().find(made).map(|step| step.session)
        })
    }

    fn wait_for_close(&self, session: &str) {
        wait_until(&format!("close was called in session {session}"), || {
            self.steps().iter().any(|step| step.what == "close" && step.session == session).then_some(())
        });
    }

    /// The records about an event's attempts, once there are this many.
    fn records(&self, user: &str, count: usize) -> Vec<Value> {
        let recipient = format!("{user}@example.com");
        wait_until(&format!("{count} records about {user} are in the log files"), || {
            let records: Vec<_> =
                self.home.hook_records().into_iter().filter(|record| record["recipient"] == recipient).collect();
            (records.len() >= count).then_some(records)
        })
    }

    /// The first attempt at an event, with one that goes well before and after. Returns its record and the sessions of
    /// the three.
    fn attempt(&self, user: &str) -> (Value, [String; 3]) {
        self.mail("before");
        self.records("before", 1);
        self.mail(user);
        let record = self.records(user, 1).remove(0);
        self.mail("after");
        // No innocent event fails: its first attempt is its only one.
        let after = self.records("after", 1);
        assert_eq!(after[0]["type"], "Delivery", "{}", after[0]);
        assert_eq!(after[0]["num_attempts"], 0);
        (record, [self.session_of("before", 0), self.session_of(user, 0), self.session_of("after", 0)])
    }

    /// The second attempt goes well.
    fn assert_retried(&self, user: &str) {
        let records = self.records(user, 2);
        assert_eq!(records[1]["type"], "Delivery", "{}", records[1]);
        assert_eq!(records[1]["num_attempts"], 1);
        assert_eq!(records[0]["id"], records[1]["id"], "it is the same message");
    }

    fn end(self, user: &str, records: usize, dead_letters: u64) {
        self.daemon.settled("hook", dead_letters);
        self.daemon.stop();
        let recipient = format!("{user}@example.com");
        let about = self.home.hook_records().into_iter().filter(|record| record["recipient"] == recipient);
        assert_eq!(about.count(), records);
    }
}

fn assert_kept([before, during, after]: &[String; 3]) {
    assert_eq!((before, during), (during, after), "one session for all three");
}

fn assert_our_own_failure(record: &Value, words: &str) {
    assert_eq!(record["type"], "TransientFailure", "{record}");
    assert_eq!(record["response"]["code"], 400);
    assert_eq!(record["peer_address"], Value::Null);
    let content = record["response"]["content"].as_str().expect("a text");
    assert!(content.starts_with("KumoMTA internal: error in deliver_message: "), "{content}");
    assert!(content.contains(words) && !content.contains('\n'), "{content}");
}

fn assert_the_scripts_word(record: &Value, kind: &str, code: u16, text: &str) {
    assert_eq!(record["type"], kind, "{record}");
    assert_eq!(record["response"]["code"], code);
    assert_eq!(record["response"]["content"], text);
    assert_eq!(record["response"]["enhanced_code"], Value::Null, "a script's text is not parsed");
    assert_eq!(record["peer_address"]["name"], "Lua via make.hook.log_hook");
    assert_eq!(record["delivery_protocol"], "Lua");
}

fn goes_well(user: &str, text: &str) {
    let stage = Stage::set();
    let (record, sessions) = stage.attempt(user);
    assert_the_scripts_word(&record, "Delivery", 200, text);
    assert_kept(&sessions);
    stage.end(user, 1, 0);
}

/// The script failed: again later, in another session, and this one is closed.
fn fails(user: &str, words: &str) {
    let stage = Stage::set();
    let (record, [before, during, after]) = stage.attempt(user);
    assert_our_own_failure(&record, words);
    assert_eq!(before, during);
    assert_ne!(during, after, "a session that failed is not used again");
    stage.wait_for_close(&during);
    stage.assert_retried(user);
    stage.end(user, 2, 0);
}

fn comes_again(user: &str, code: u16, text: &str) {
    let stage = Stage::set();
    let (record, sessions) = stage.attempt(user);
    assert_the_scripts_word(&record, "TransientFailure", code, text);
    assert_kept(&sessions);
    stage.assert_retried(user);
    stage.end(user, 2, 0);
}

fn is_given_up(user: &str, code: u16, text: &str) {
    let stage = Stage::set();
    let (record, sessions) = stage.attempt(user);
    assert_the_scripts_word(&record, "Bounce", code, text);
    assert_kept(&sessions);
    // Longer than the retry interval: a third event goes through, the lost one is not tried again.
    let given_up = Instant::now();
    wait_until("a retry would have come", || (given_up.elapsed().as_secs() >= 2).then_some(()));
    stage.end(user, 1, 1);
}

#[test]
fn a_returned_text_is_what_the_delivery_says() {
    goes_well("text", "this is the text");
}

#[test]
fn a_returned_number_is_its_text() {
    goes_well("number", "42");
}

#[test]
fn nothing_returned_is_an_error() {
    fails("none", "");
}

#[test]
fn a_table_returned_by_send_is_an_error() {
    fails("table", "");
}

#[test]
fn an_error_ends_the_session_and_fails_no_innocent_event() {
    fails("error", "boom");
}

#[test]
fn a_connection_that_is_refused_is_an_error_like_any_other() {
    fails("refused", "127.0.0.1:1");
}

#[test]
fn a_reject_with_400_is_tried_again() {
    comes_again("r400", 400, "try later");
}

#[test]
fn a_reject_with_450_is_tried_again() {
    comes_again("r450", 450, "not now");
}

#[test]
fn a_reject_with_499_is_tried_again() {
    comes_again("r499", 499, "the last of them");
}

#[test]
fn a_reject_with_421_closes_the_session_and_fails_no_innocent_event() {
    let stage = Stage::set();
    let (record, [before, during, after]) = stage.attempt("r421");
    assert_the_scripts_word(&record, "TransientFailure", 421, "4.3.2 go away");
    assert_eq!(before, during);
    assert_ne!(during, after);
    stage.wait_for_close(&during);
    stage.assert_retried("r421");
    stage.end("r421", 2, 0);
}

#[test]
fn a_reject_with_500_is_given_up_and_kept_as_a_dead_letter() {
    is_given_up("r500", 500, "no");
}

#[test]
fn a_reject_with_250_is_given_up_too() {
    is_given_up("r250", 250, "a strange no");
}

#[test]
fn a_constructor_that_fails_is_asked_again() {
    let stage = Stage::set();
    stage.receiver.answer(|_, before| if before == 0 { Answer::status(503) } else { Answer::ok() });
    stage.mail("text");
    let records = stage.records("text", 2);
    assert_eq!(records[0]["type"], "TransientFailure", "{}", records[0]);
    assert_eq!(records[0]["response"]["code"], 400);
    assert_eq!(records[0]["peer_address"], Value::Null);
    let content = records[0]["response"]["content"].as_str().expect("a text");
    assert!(content.starts_with("KumoMTA internal: failed to connect to any candidate hosts: "), "{content}");
    assert!(content.contains("the endpoint does not want a session"), "{content}");
    assert_eq!(records[1]["type"], "Delivery", "{}", records[1]);
    assert_eq!(records[1]["num_attempts"], 1);
    stage.end("text", 2, 0);
}
