//! Real children, real signals.

use futures::future::{BoxFuture, join_all};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use waybill_lambda::{Answer, Call, Failure, Outbound, Pool, PoolOptions, Request};
use waybill_runtime::{StopSource, Supervisor};

/// Tells that it was asked, and answers when it is let; `/now` at once.
#[derive(Default)]
struct Gate {
    asked: Notify,
    open: Notify,
}

impl Outbound for Gate {
    fn send(&self, request: Request, hops: u8) -> BoxFuture<'_, Result<Answer, String>> {
        Box::pin(async move {
            assert_eq!(hops, 3, "those of the call");
            if request.url != "/now" {
                self.asked.notify_one();
                self.open.notified().await;
            }
            Ok(Answer { status: 200, headers: [].into(), body: request.body })
        })
    }
}

struct Ground {
    pool: Pool,
    gate: Arc<Gate>,
    supervisor: Supervisor,
    source: StopSource,
}

fn ground(change: impl FnOnce(&mut PoolOptions)) -> Ground {
    let mut options = PoolOptions::this_program([]);
    options.program = env!("CARGO_BIN_EXE_waybill-lambda-test-worker").into();
    change(&mut options);
    let (source, stop) = StopSource::new();
    let (gate, supervisor) = (Arc::<Gate>::default(), Supervisor::current());
    let pool = Pool::start(options, gate.clone(), &supervisor, stop);
    Ground { pool, gate, supervisor, source }
}

fn call(body: &str, data: Value) -> Call {
    let source = format!("return function(data, event, source, pid)\n{body}\nend");
    Call { functions: vec![source], data, event: "Bounce".into(), source: "log".into(), hops: 3 }
}

/// Until the kernel has let the process go.
async fn until_gone(id: u32) {
    let status = format!("/proc/{id}/stat");
    // A zombie that nobody has waited for yet has ended, too.
    while std::fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_call_gets_its_result_and_the_child_is_used_again() {
    let ground = ground(|_| ());
    let call = call("return { n = data.n + 1, e = event, s = source, pid = pid }", json!({"n": 1}));
    let expected = json!({"n": 2, "e": "Bounce", "s": "log", "pid": std::process::id()});
    assert_eq!(ground.pool.call(&call).await, Ok(expected.clone()));
    let first = ground.pool.idle();
    assert_eq!(ground.pool.call(&call).await, Ok(expected));
    assert_eq!((first.len(), ground.pool.idle()), (1, first));
}

#[tokio::test]
async fn functions_that_do_not_compile_are_told_by_number_and_line() {
    let ground = ground(|_| ());
    let functions = ["return function() end".to_owned(), "return function()\n  local = 1\nend".to_owned()];
    let failure = ground.pool.check(&functions).await.unwrap_err();
    assert!(failure.to_string().starts_with("functions[2]:2: "), "{failure}");
    assert_eq!(ground.pool.check(&functions[..1]).await, Ok(()));
}

#[tokio::test]
async fn what_a_script_says_of_its_error_is_one_printable_line() {
    let ground = ground(|_| ());
    let failure = ground.pool.call(&call("error('a\\nb\\27[31m')", Value::Null)).await.unwrap_err();
    assert_eq!(failure.to_string(), r"functions[1]:2: a\nb\x1b[31m");
}

#[tokio::test]
async fn a_hundred_calls_beside_each_other_all_get_their_own_result() {
    let ground = ground(|options| options.workers = 5);
    let body = "local r = http.request { url = '/now', body = tostring(data.n) } print(data.n) return tonumber(r.body)";
    let calls: Vec<Call> = (0..100).map(|n| call(body, json!({"n": n}))).collect();
    let results = join_all(calls.iter().map(|call| ground.pool.call(call))).await;
    let expected: Vec<_> = (0..100).map(|n| Ok(json!(n))).collect();
    assert_eq!(results, expected);
    assert!((1..=5).contains(&ground.pool.idle().len()), "{:?}", ground.pool.idle());
}

#[tokio::test]
async fn what_no_limit_of_lua_can_stop_is_killed_at_the_time_limit_and_the_next_call_runs() {
    let ground = ground(|options| {
        options.timeout = Duration::from_secs(5);
        options.workers = 1;
    });
    ground.pool.call(&call("return 1", Value::Null)).await.unwrap();
    let victim = ground.pool.idle()[0];
    let pattern = "return ('a'):rep(3000):find(('.-'):rep(20) .. 'b')";
    let stopped = Failure::TimedOut(Duration::from_secs(5));
    assert_eq!(ground.pool.call(&call(pattern, Value::Null)).await, Err(stopped.clone()));
    until_gone(victim).await;
    let finalizer = "setmetatable({}, { __gc = function() while true do end end }) return 1";
    assert_eq!(ground.pool.call(&call(finalizer, Value::Null)).await, Err(stopped));
    assert_eq!(ground.pool.call(&call("return 2", Value::Null)).await, Ok(json!(2)));
}

#[tokio::test]
async fn a_child_that_is_killed_in_mid_call_fails_that_call_only() {
    let ground = ground(|_| ());
    ground.pool.call(&call("return 1", Value::Null)).await.unwrap();
    let victim = ground.pool.idle()[0];
    let waiting = call("return http.request { url = '/wait' }", Value::Null);
    let failing = ground.pool.call(&waiting);
    let killing = async {
        ground.gate.asked.notified().await;
        kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
        ground.gate.open.notify_one();
    };
    let (failed, ()) = tokio::join!(failing, killing);
    assert_eq!(failed, Err(Failure::Died("killed by SIGKILL".into())));
    assert_eq!(ground.pool.call(&call("return 2", Value::Null)).await, Ok(json!(2)));
    assert_ne!(ground.pool.idle(), [victim]);
}

#[tokio::test]
async fn a_child_that_was_killed_while_idle_costs_no_call() {
    let ground = ground(|_| ());
    ground.pool.call(&call("return 1", Value::Null)).await.unwrap();
    let victim = ground.pool.idle()[0];
    kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL).unwrap();
    until_gone(victim).await;
    assert_eq!(ground.pool.call(&call("return 2", Value::Null)).await, Ok(json!(2)));
}

#[tokio::test]
async fn dropping_a_call_kills_its_child() {
    let ground = ground(|_| ());
    ground.pool.call(&call("return 1", Value::Null)).await.unwrap();
    let victim = ground.pool.idle()[0];
    let waiting = call("return http.request { url = '/wait' }", Value::Null);
    tokio::select! {
        result = ground.pool.call(&waiting) => panic!("{result:?}"),
        () = ground.gate.asked.notified() => {}
    }
    until_gone(victim).await;
    assert_eq!(ground.pool.idle(), [0; 0]);
}

#[tokio::test]
async fn a_child_has_no_descriptors_no_environment_and_hard_limits() {
    // One that is not closed on exec, as a service manager or a shell leaves them.
    let leaked = nix::unistd::dup(std::io::stdin()).unwrap();
    let ground = ground(|_| ());
    ground.pool.call(&call("return 1", Value::Null)).await.unwrap();
    let id = ground.pool.idle()[0];
    let proc = Path::new("/proc").join(id.to_string());
    let mut open: Vec<PathBuf> = std::fs::read_dir(proc.join("fd")).unwrap().map(|e| e.unwrap().path()).collect();
    open.sort();
    let targets: Vec<String> = open.iter().map(|fd| std::fs::read_link(fd).unwrap().display().to_string()).collect();
    assert_eq!(open.len(), 4, "{targets:?}");
    assert_eq!(targets.iter().filter(|target| target.starts_with("pipe:")).count(), 3, "{targets:?}");
    assert!(targets.contains(&"/dev/null".to_owned()), "{targets:?}");
    assert_eq!(std::fs::read(proc.join("environ")).unwrap(), b"");
    let status = std::fs::read_to_string(proc.join("status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2\n"), "{status}");
    assert_eq!(ground.pool.tally().unfiltered, 0);
    let limits = std::fs::read_to_string(proc.join("limits")).unwrap();
    for limit in ["Max processes", "Max open files", "Max file size", "Max core file size"] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        let words: Vec<&str> = line[limit.len()..].split_whitespace().take(2).collect();
        assert_eq!(words, ["0", "0"], "{line}");
    }
    for limit in ["Max address space", "Max cpu time"] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        assert_ne!(line[limit.len()..].split_whitespace().next(), Some("unlimited"), "{line}");
    }
    drop(leaked);
}

#[tokio::test]
async fn where_the_kernel_has_no_seccomp_functions_run_without_a_filter_and_that_is_known() {
    let ground = ground(|options| {
        options.arguments = vec!["without-seccomp".into()];
        options.calls = 1;
    });
    for _ in 0..2 {
        assert_eq!(ground.pool.call(&call("return 1", Value::Null)).await, Ok(json!(1)));
    }
    let tally = ground.pool.tally();
    assert_eq!((tally.started, tally.unfiltered, tally.done), (2, 2, 2));
}

#[tokio::test]
async fn idle_children_are_ended_and_all_of_them_at_the_stop() {
    let quick = ground(|options| options.idle = Duration::from_millis(50));
    quick.pool.call(&call("return 1", Value::Null)).await.unwrap();
    if let Some(id) = quick.pool.idle().first() {
        until_gone(*id).await;
    }
    assert_eq!(quick.pool.idle(), [0; 0]);

    let slow = ground(|_| ());
    slow.pool.call(&call("return 1", Value::Null)).await.unwrap();
    let id = slow.pool.idle()[0];
    slow.source.request();
    slow.supervisor.join().await;
    until_gone(id).await;
}

#[tokio::test]
async fn a_child_is_replaced_after_so_many_calls() {
    let ground = ground(|options| options.calls = 2);
    let one = call("return 1", Value::Null);
    ground.pool.call(&one).await.unwrap();
    let first = ground.pool.idle();
    ground.pool.call(&one).await.unwrap();
    assert_eq!((first.len(), ground.pool.idle().len()), (1, 0));
}

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_before_a_child_is_asked() {
    let ground = ground(|_| ());
    let failure = ground.pool.call(&call("return 1", json!("x".repeat(2 << 20)))).await.unwrap_err();
    assert_eq!(failure, Failure::TooLarge((2 << 20) + 2));
    assert_eq!(ground.pool.idle(), [0; 0]);
    // The longest that is taken comes back whole.
    let most = json!("x".repeat((1 << 20) - 2));
    assert_eq!(ground.pool.call(&call("return data", most.clone())).await, Ok(most));
}

/// A pool whose children are shells that say something else than a worker does.
fn shell(script: &str) -> Ground {
    ground(|options| {
        options.program = "/bin/sh".into();
        options.arguments = vec!["-c".into(), script.into()];
    })
}

/// A frame as `printf` of a shell writes it.
fn frame(json: &str) -> String {
    let length = u32::try_from(json.len()).unwrap().to_be_bytes().map(|byte| format!("\\{byte:03o}")).concat();
    format!("printf '{length}{json}'")
}

#[tokio::test]
async fn a_child_that_breaks_the_protocol_is_killed_and_its_call_fails() {
    let ready = frame(r#"{"ready":{"version":1}}"#);
    let cases = [
        ("printf 'hello, I am no worker at all'; cat".to_owned(), "Unavailable", "the longest has"),
        ("echo why >&2; exit 3".to_owned(), "Unavailable", "exit status: 3; it said: why"),
        (frame(r#"{"ready":{"version":7}}"#), "Unavailable", "no worker of this version"),
        (format!("{ready}; printf '\\377\\377\\377\\377'; cat"), "Protocol", "a frame of 4294967295 bytes"),
        (format!("{ready}; {}; cat", frame(r#"{"exec":1}"#)), "Protocol", "says nothing known"),
        (format!("{ready}; {}; cat", frame(r#"{"checked":{"Ok":null}}"#)), "Protocol", "something else"),
        (format!("{ready}; {ready}; cat"), "Protocol", "began anew"),
        (format!("{ready}; printf '\\000\\000\\001\\000only this'; exit 0"), "Died", "exit status: 0"),
    ];
    for (script, kind, words) in cases {
        let ground = shell(&script);
        let failure = ground.pool.call(&call("return 1", Value::Null)).await.unwrap_err();
        assert!(format!("{failure:?}").starts_with(kind) && failure.to_string().contains(words), "{script}: {failure}");
        assert_eq!(ground.pool.idle(), [0; 0], "{script}");
    }
}

#[tokio::test]
async fn the_whole_process_group_of_a_late_child_is_killed() {
    let directory = std::env::temp_dir().join(format!("waybill-lambda-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let note = directory.join("grandchild");
    let script = format!(
        "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; {1}; cat > /dev/null",
        note.display(),
        frame(r#"{"ready":{"version":1}}"#)
    );
    let ground = ground(|options| {
        options.program = "/bin/sh".into();
        options.arguments = vec!["-c".into(), script.into()];
        options.timeout = Duration::from_millis(100);
    });
    let failure = ground.pool.call(&call("return 1", Value::Null)).await.unwrap_err();
    assert_eq!(failure, Failure::TimedOut(Duration::from_millis(100)));
    let grandchild: u32 = std::fs::read_to_string(&note).unwrap().trim().parse().unwrap();
    until_gone(grandchild).await;
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn what_became_of_calls_is_counted_by_how_they_ended() {
    let ground = ground(|options| {
        options.timeout = Duration::from_secs(5);
        options.memory = PoolOptions::MOST_MEMORY;
    });
    // More than the default, which is what the limit of the process has to leave room for.
    ground.pool.call(&call("return #(('x'):rep(60 * 1024 * 1024))", Value::Null)).await.unwrap();
    ground.pool.call(&call("error('no')", Value::Null)).await.unwrap_err();
    let pattern = "return ('a'):rep(3000):find(('.-'):rep(20) .. 'b')";
    ground.pool.call(&call(pattern, Value::Null)).await.unwrap_err();
    ground.pool.call(&call("return 1", json!("x".repeat(2 << 20)))).await.unwrap_err();
    let tally = ground.pool.tally();
    assert_eq!((tally.done, tally.failed, tally.timed_out, tally.died, tally.refused), (1, 1, 1, 0, 1));
    assert_eq!((tally.started, tally.idle, tally.busy), (1, 0, 0), "the one that took too long was killed");
}
