//! Functions of the handler `lambda`: created as Kong's users do, run in a child process for a real bounce, killed when they
//! do not end; and that child process by itself.

use crate::harness::{Daemon, Home, Mail, Peer, Policy, Receiver, daemon, skip, wait_until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A daemon whose mail to `there.example` goes to a peer that knows nobody called gone.
struct Stage {
    curl: PathBuf,
    home: Home,
    _peer: Peer,
    daemon: Daemon,
}

impl Stage {
    fn new(webhooks: &str) -> Option<Stage> {
        let curl = skip::program("functions made with curl", "curl", "curl")?;
        let home = Home::new();
        let peer = Peer::start(|line, _| line.contains("gone@").then(|| "550 5.1.1 no such user".into()));
        let policy = Policy::new(
            "kumo.on('get_egress_path_config', function() return kumo.make_egress_path { prohibited_hosts = {} } end)",
        )
        .init(&format!("  kumo.configure_webhooks {{ {webhooks} }}"))
        .before(&format!(
            "kumo.on('get_queue_config', function(domain)
               if domain == 'there.example' then
                 return kumo.make_queue_config {{
                   protocol = {{ smtp = {{ mx_list = {{ {{ name = 'mx.there.example', addr = '{}' }} }} }} }} }}
               end
             end)",
            peer.address()
        ));
        let daemon = Daemon::start(&home, &policy);
        Some(Stage { curl, home, _peer: peer, daemon })
    }

    /// `curl` as on the pages of Kong: form fields with dotted names. Status and document.
    fn curl(&self, path: &str, fields: &[&str]) -> (String, Value) {
        let mut command = Command::new(&self.curl);
        command.args(["-sS", "--noproxy", "*", "-w", "\n%{http_code}"]);
        for field in fields {
            command.args(["--data-urlencode", field]);
        }
        let output = command.arg(format!("http://{}{path}", self.daemon.http())).output().expect("run curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or_else(|| panic!("{output:?}"));
        (status.to_owned(), serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}")))
    }

    /// A hook on bounces with this function.
    fn hook(&self, function: &str) -> (String, Value) {
        let function = format!("config.functions[]={function}");
        self.curl("/event-hooks", &["source=log", "event=Bounce", "handler=lambda", &function])
    }

    fn created(&self, function: &str) {
        let (status, hook) = self.hook(function);
        assert_eq!(status, "201", "{hook}");
        assert_eq!(hook["handler"], "lambda", "{hook}");
    }

    fn bounce(&self, who: &str) {
        self.daemon.connect().send(&Mail::to("gone@there.example").header(&format!("Subject: {who}")));
    }

    fn says(&self, what: &str, words: &[&str]) -> String {
        wait_until(what, || {
            let text = self.daemon.stderr();
            let line = text.lines().find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned)
        })
    }
}

const OPEN: &str = "allow_targets = { '127.0.0.0/8' }";

#[test]
fn a_function_made_with_curl_gets_a_real_bounce_and_posts_through_the_guard() {
    let Some(stage) = Stage::new(OPEN) else { return };
    let receiver = Receiver::start();
    stage.created(&format!(
        r#"return function(data, event, source, pid)
             print('bounced', data.recipient)
             local answer, why = http.request {{
               url = '{}', headers = {{ ['content-type'] = 'application/json', ['x-made-by'] = 'lambda' }},
               body = json.encode {{ who = data.recipient, code = data.response.code, event = event, source = source, os = os == nil }},
             }}
             return answer and {{ status = answer.status }}, why
           end"#,
        receiver.url()
    ));
    stage.bounce("one");
    let request = receiver.wait_for(1).remove(0);
    let expected = json!({
        "who": "gone@there.example", "code": 550, "event": "Bounce", "source": "log", "os": true
    });
    assert_eq!(request.json(), expected);
    assert_eq!((request.method.as_str(), request.header("x-made-by")), ("POST", Some("lambda")));
    stage.says("what it printed is logged", &["event_hooks", "lambda: bounced\\tgone@there.example"]);
    stage.daemon.stop();
    assert_eq!(receiver.requests().len(), 1);
}

#[test]
fn a_function_that_does_not_compile_makes_no_hook_and_its_line_is_told() {
    let Some(stage) = Stage::new("") else { return };
    let (status, refusal) = stage.hook("return function(data)\n  local = 1\nend");
    assert_eq!(status, "400", "{refusal}");
    assert!(refusal["message"].as_str().is_some_and(|text| text.contains("functions[1]:2:")), "{refusal}");
    let (_, hooks) = stage.curl("/event-hooks", &[]);
    assert_eq!(hooks["data"], json!([]));
    stage.daemon.stop();
}

#[test]
fn a_target_that_the_guard_refuses_is_nil_and_the_rule_for_the_function() {
    let Some(stage) = Stage::new("") else { return };
    let receiver = Receiver::start();
    let function = "return function() local answer, why = http.request { url = 'URL' } print(answer, why) return 1 end";
    stage.created(&function.replace("URL", &receiver.url()));
    stage.bounce("one");
    let line = stage.says("the refusal is printed", &["lambda: nil"]);
    assert!(line.contains("allow_targets") || line.contains("loopback"), "{line}");
    stage.daemon.stop();
    assert!(receiver.requests().is_empty());
}

#[test]
fn a_function_that_does_not_end_is_stopped_and_the_daemon_and_other_hooks_go_on() {
    let Some(stage) = Stage::new(OPEN) else { return };
    let receiver = Receiver::start();
    stage.created("return function() while true do end end");
    stage.created("return function(data) error('boom') end");
    stage.created(&format!("return function() return http.request {{ url = '{}' }} end", receiver.url()));
    stage.bounce("one");
    receiver.wait_for(1);
    stage.bounce("two");
    receiver.wait_for(2);
    stage.daemon.connect().send(&Mail::to("ann@example.com"));
    wait_until("mail is delivered meanwhile", || (stage.home.maildir_count("example.com") == 1).then_some(()));
    stage.daemon.stop();
}

#[test]
fn functions_can_be_forbidden_and_the_refusal_names_the_setting() {
    let Some(stage) = Stage::new("untrusted_lua = 'off'") else { return };
    let (status, refusal) = stage.hook("return function(data) return data end");
    assert_eq!(status, "400", "{refusal}");
    assert!(refusal.to_string().contains("lambda"), "{refusal}");
    stage.daemon.stop();
}

/// `waybill lambda-worker`, spoken to as the daemon does.
struct Worker(Child);

impl Worker {
    fn start() -> Worker {
        let mut command = daemon::program();
        command.arg("lambda-worker").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut worker = Worker(command.spawn().expect("start the worker"));
        assert_eq!(worker.hear(), json!({"ready": {"version": 1}}));
        worker
    }

    fn say(&mut self, message: &Value) {
        let text = message.to_string();
        let length = u32::try_from(text.len()).expect("a short message").to_be_bytes();
        let input = self.0.stdin.as_mut().expect("a pipe");
        input.write_all(&[&length, text.as_bytes()].concat()).expect("tell the worker");
    }

    fn hear(&mut self) -> Value {
        let output = self.0.stdout.as_mut().expect("a pipe");
        let mut length = [0; 4];
        output.read_exact(&mut length).expect("the length of a frame");
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        output.read_exact(&mut body).expect("a frame");
        serde_json::from_slice(&body).expect("JSON")
    }

    /// What a function makes of `data`, with so much memory.
    fn call(&mut self, function: &str, data: Value, memory: u64) -> Value {
        let call = json!({"functions": [function], "data": data, "event": "Bounce", "source": "log"});
        let limits = json!({"instructions": 500_000_000, "memory": memory, "cpu": 30});
        self.say(&json!({"call": {"call": call, "pid": 7, "limits": limits}}));
        self.hear()
    }
}

#[test]
fn the_worker_of_the_program_runs_functions_within_its_limits_and_ends_with_its_input() {
    let mut worker = Worker::start();
    let plenty = 64 << 20;
    let twice = "return function(data, event, source, pid) return { data.n * 2, event, source, pid } end";
    assert_eq!(worker.call(twice, json!({"n": 4}), plenty), json!({"done": {"Ok": [8, "Bounce", "log", 7]}}));
    let most = "return function() local t = {} for i = 1, 40 do t[i] = ('x'):rep(1 << 20) end return #t end";
    assert_eq!(worker.call(most, Value::Null, plenty), json!({"done": {"Ok": 40}}), "what Lua may have it gets");
    let failed = worker.call("return function() return ('x'):rep(1e9) end", Value::Null, plenty);
    assert!(failed["done"]["Err"]["message"].as_str().is_some_and(|text| text.contains("memory")), "{failed}");
    worker.say(&json!({"check": {"functions": ["return 1"]}}));
    assert_eq!(worker.hear(), json!({"checked": {"Ok": null}}));
    drop(worker.0.stdin.take());
    assert!(worker.0.wait().expect("wait for the worker").success());
}

#[test]
fn a_worker_that_would_outgrow_its_process_is_ended_by_the_limit_on_address_space() {
    let mut worker = Worker::start();
    let call = json!({
        "functions": ["return function() local t = {} for i = 1, 1e6 do t[i] = ('x'):rep(1 << 20) end end"],
        "data": null, "event": "Bounce", "source": "log",
    });
    // No limit that counts inside of Lua.
    let limits = json!({"instructions": 500_000_000, "memory": u64::from(u32::MAX) << 8, "cpu": 30});
    worker.say(&json!({"call": {"call": call, "pid": 7, "limits": limits}}));
    drop(worker.0.stdin.take());
    let mut rest = Vec::new();
    worker.0.stdout.as_mut().expect("a pipe").read_to_end(&mut rest).expect("its end");
    let status = worker.0.wait().expect("wait for the worker");
    let told = String::from_utf8_lossy(&rest).contains("memory");
    assert!(told || !status.success(), "{status}: {}", String::from_utf8_lossy(&rest));
}
