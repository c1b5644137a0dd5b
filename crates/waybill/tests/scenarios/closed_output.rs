//! Standard error or output that nobody reads any more, or whose disk is full.

use crate::harness::daemon::{program, serve};
use crate::harness::{Home, Policy, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, Command, Stdio};

/// Places that take nothing: a pipe whose reader has gone, and a full disk.
fn deaf() -> [Stdio; 2] {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    [writer.into(), full.into()]
}

/// How a command ends, with its standard output as given and standard error nowhere.
fn exit_code(command: &mut Command) -> Option<i32> {
    command.status().expect("run it").code()
}

#[test]
fn what_cannot_be_said_on_stderr_changes_no_exit_code() {
    let home = Home::new();
    home.write_policy("this is no policy");
    for stderr in deaf() {
        assert_eq!(exit_code(serve(&home).stdout(Stdio::null()).stderr(stderr)), Some(1));
    }
    for stderr in deaf() {
        assert_eq!(exit_code(serve(&home).arg("--validate").stdout(Stdio::null()).stderr(stderr)), Some(1));
    }
    for stderr in deaf() {
        let mut command = program();
        command.args(["hooks", "list", "--admin-socket"]).arg(home.file("nobody.sock"));
        assert_eq!(exit_code(command.stdout(Stdio::null()).stderr(stderr)), Some(1));
    }
}

#[test]
fn a_daemon_lives_and_stops_as_usual_where_nobody_reads_what_it_says() {
    for stderr in deaf() {
        let home = Home::new();
        home.write_policy(&Policy::new("").text(&home));
        let child = serve(&home).env("KUMOD_LOG", "debug").stdout(Stdio::null()).stderr(stderr).spawn();
        let mut daemon = Killed(child.expect("start the daemon"));
        wait_until("the daemon answers", || {
            let ended = daemon.0.try_wait().expect("look at our child");
            assert!(ended.is_none(), "the daemon has ended: {ended:?}");
            let mut client = program();
            client.args(["hooks", "list", "--admin-socket"]).arg(home.state().join("admin.sock"));
            client.output().expect("ask it").status.success().then_some(())
        });
        let pid = Pid::from_raw(daemon.0.id().try_into().expect("a process id"));
        kill(pid, Signal::SIGTERM).expect("ask it to stop");
        let status = wait_until("the daemon has stopped", || daemon.0.try_wait().expect("look at our child"));
        assert!(status.success(), "{status}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = Home::new();
    home.write_policy(&Policy::new("kumo.on('main', function() print 'hello' end)").text(&home));
    let long: [&[&str]; 4] =
        [&["dump-reference"], &["serve", "--dump-openapi-spec"], &["serve", "--help"], &["--version"]];
    for args in long {
        let [gone, _] = deaf();
        assert_eq!(exit_code(program().args(args).stdout(gone).stderr(Stdio::null())), Some(0), "{args:?}");
    }
    for stdout in deaf() {
        assert_eq!(exit_code(serve(&home).arg("--script").stdout(stdout).stderr(Stdio::null())), Some(0));
    }
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
