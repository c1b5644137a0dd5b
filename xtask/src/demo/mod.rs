//! `cargo xtask demo`: mail in, every event out, in front of a person's eyes.
//!
//! The daemon runs the policy that the guide walks through, unchanged; the webhook receiver and the SMTP client are here, so that
//! a bare machine needs nothing else. Every wait is for a condition, with a limit.

mod daemon;
mod event;
mod home;
mod http;
mod mail;
mod news;
mod readiness;
mod receiver;
mod sender;
mod timestamp;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::debian::{self, Group, Packages};
use crate::usage::Ending;
use crate::{paths, toolchain_env};
use daemon::Daemon;
use home::Home;
use mail::Expected;
use news::{News, Newsroom};

/// From the last mail to the last event. The daemon takes milliseconds; a busy machine may take longer.
const EVENTS_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at the hooks, which cannot tell us when they change.
const GLANCE: Duration = Duration::from_millis(20);

/// Runs the command.
pub(crate) fn run(ending: Ending) -> Result<()> {
    let binary = build()?;
    let mut home = Home::create()?;
    let shown = show(&binary, &home, ending);
    if shown.is_err() {
        home.keep();
        println!("what the daemon said is in {}", home.log().display());
    }
    shown
}

fn build() -> Result<PathBuf> {
    match debian::ensure(Group::Build)? {
        Packages::Missing(names) => {
            bail!("missing: {}; install with: {}", names.join(" "), debian::install_command(&names))
        }
        Packages::Unknown => println!("not a Debian system: xtask/debian/packages.txt lists what the build needs"),
        Packages::Complete => {}
    }
    println!("building waybill (the first time takes a while: RocksDB is compiled)");
    let status = toolchain_env::cargo().args(["build", "-p", "waybill"]).status().context("run cargo build")?;
    if !status.success() {
        bail!("cargo build -p waybill: {status}");
    }
    Ok(toolchain_env::target_dir().join("debug/waybill"))
}

fn show(binary: &Path, home: &Home, ending: Ending) -> Result<()> {
    let newsroom = Newsroom::open();
    let url = receiver::start(newsroom.reporter())?;
    println!("\nreceiver   {url}\npolicy     {}\nstate      {}", home.policy().display(), home.folder().display());
    let daemon = Daemon::start(home.serve(binary, &url), &home.log(), newsroom.reporter())?;
    let smtp = daemon.wait_until_ready(&newsroom)?;
    println!("daemon     process {}, smtp listener on {smtp}\n", daemon.pid());

    let mut expected = Expected::default();
    for mail in mail::HANDFUL {
        let answer = sender::send(smtp, mail).with_context(|| format!("send the mail to {}", mail.recipient))?;
        println!("sent       to {}: {answer}", mail.recipient);
        expected.add(mail);
    }
    println!("\n{}", event::HEADING);
    wait_for_events(&newsroom, expected)?;
    wait_for_rest(&newsroom, binary, home)?;

    println!("\n$ waybill hooks list");
    let status = home.client(binary).args(["hooks", "list"]).status().context("run waybill hooks list")?;
    if !status.success() {
        bail!("waybill hooks list: {status}");
    }
    match ending {
        Ending::Stop => {
            daemon.stop(&newsroom)?;
            println!("\nstopped cleanly");
        }
        Ending::Keep => {
            explain(binary, home, smtp, daemon.pid());
            follow(&newsroom)?;
        }
    }
    Ok(())
}

/// Prints events until every expected one has come.
fn wait_for_events(newsroom: &Newsroom, mut expected: Expected) -> Result<()> {
    let deadline = news::deadline(EVENTS_WITHIN);
    while !expected.is_met() {
        match newsroom.next(deadline) {
            Some(News::Event(arrival)) => {
                println!("{arrival}");
                expected.note(&arrival.event);
            }
            Some(News::Trouble(what)) => println!("receiver: {what}"),
            Some(News::Stopped(status)) => {
                bail!("the daemon stopped: {status}; still expected: {expected}");
            }
            Some(News::Notice(_)) => {}
            None => bail!("{} seconds have passed; still expected: {expected}", EVENTS_WITHIN.as_secs()),
        }
    }
    Ok(())
}

/// Waits until every hook has heard that its events arrived: the last answer is still on its way when its event is shown.
fn wait_for_rest(newsroom: &Newsroom, binary: &Path, home: &Home) -> Result<()> {
    let deadline = news::deadline(EVENTS_WITHIN);
    loop {
        let listed =
            home.client(binary).args(["hooks", "list", "--json"]).output().context("run waybill hooks list")?;
        if !listed.status.success() {
            bail!("waybill hooks list: {}: {}", listed.status, String::from_utf8_lossy(&listed.stderr).trim());
        }
        let hooks: Vec<serde_json::Value> =
            serde_json::from_slice(&listed.stdout).context("read waybill hooks list --json")?;
        if hooks.iter().all(|hook| hook["lag_events"] == 0) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            bail!("{} seconds have passed, and events are not settled: {hooks:?}", EVENTS_WITHIN.as_secs());
        }
        match newsroom.next(news::deadline(GLANCE)) {
            Some(News::Event(arrival)) => println!("{arrival}"),
            Some(News::Trouble(what)) => println!("receiver: {what}"),
            Some(News::Stopped(status)) => bail!("the daemon stopped: {status}"),
            Some(News::Notice(_)) | None => {}
        }
    }
}

fn explain(binary: &Path, home: &Home, smtp: SocketAddr, pid: u32) {
    println!("\nkept running; events go on below. In another terminal:");
    if paths::find_program("swaks").is_some() {
        println!("  swaks --server {smtp} --from you@sender.example --to someone@delivered.example");
    } else {
        println!("  send mail with any SMTP client to {smtp} (apt-get install swaks gives you one)");
    }
    println!("  domains with a fate: {}", mail::DOMAINS.join(", "));
    println!("  {} {} hooks list", home.state_variable(), binary.display());
    println!("  kill {pid}     stops daemon and demo and removes {}", home.folder().display());
    println!("Ctrl-C here stops both too, and leaves the folder.\n\n{}", event::HEADING);
}

/// Prints events until somebody stops the daemon.
fn follow(newsroom: &Newsroom) -> Result<()> {
    loop {
        match newsroom.next_whenever() {
            News::Event(arrival) => println!("{arrival}"),
            News::Trouble(what) => println!("receiver: {what}"),
            News::Notice(_) => {}
            News::Stopped(status) => {
                if !status.success() {
                    bail!("the daemon stopped: {status}");
                }
                println!("stopped cleanly");
                return Ok(());
            }
        }
    }
}
