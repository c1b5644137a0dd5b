//! Functions of the handler `lambda` in the program as it is installed.

use crate::harness::daemon::program;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::process::{Child, Stdio};

/// `waybill lambda-worker`, spoken to as the daemon does.
struct Worker(Child);

impl Worker {
    fn start() -> Worker {
        let mut command = program();
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
