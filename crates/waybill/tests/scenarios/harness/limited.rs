//! Commands that must come to an end.

use super::wait::LIMIT;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

/// What a command says, once it has ended; its input is closed unless something else was asked for.
///
/// # Panics
/// When it cannot be started, or has not ended within [`LIMIT`]: it is killed then, and what it had said is shown.
pub(crate) fn output_of(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{shown}: {error}"));
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid fits"));
    let (sender, ended) = mpsc::channel();
    let waiter = thread::spawn(move || drop(sender.send(child.wait_with_output())));
    let output = ended.recv_timeout(LIMIT);
    let Ok(output) = output else {
        // Not yet waited for: the number is still its own.
        let _ = kill(pid, Signal::SIGKILL);
        let said = ended.recv().expect("it is waited for").expect("its output");
        let said = [said.stdout, said.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        panic!("{shown} did not end within {LIMIT:?}\n{}", said.concat());
    };
    waiter.join().expect("no panic");
    output.unwrap_or_else(|error| panic!("{shown}: {error}"))
}
