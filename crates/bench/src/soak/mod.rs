//! `soak`: a daemon under full load that is killed again and again, and in the end everything is compared: what the senders
//! were told, what the next hop took, what the endpoints got, what the log files say.
//!
//! Senders, next hop and endpoints are ours, because they have to remember every answer; nothing of them is code of the daemon.
//! They are no parts of the harness of the daemon's own scenarios either: that one keeps every request whole and ends with a panic,
//! which is right for seconds and not for hours.
//!
//! What chance decides follows from the seed: when the daemon is killed, how the next hop and the endpoints treat what comes. What
//! the machine's timing does to it does not, so a seed repeats the plan and not the run.

mod args;
mod chance;
mod endpoint;
mod flow;
mod hop;
mod judge;
mod ledger;
mod logs;
mod memory;
mod sender;

pub(crate) use args::Args;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::daemon::Daemon;
use crate::preflight;
use crate::scratch::Scratch;
use chance::Chance;
use endpoint::{Endpoint, Mood};
use hop::Hop;
use judge::{Bounds, Judgement};
use ledger::Ledger;
use memory::Memory;
use sender::Senders;

/// The daemon runs for so long before it is killed, at the least and at the most.
const LIVES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(7));
/// This share of the time it is killed; in the rest it is left alone, so that its memory can be judged.
const KILLING: f64 = 2.0 / 3.0;
/// The end is given up on when nothing has happened for so long.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Sessions of the daemon to the next hop, and of one hook to its endpoint: what can be in flight when it is killed.
const MAIL_CONNECTIONS: usize = 16;
const HOOK_CONNECTIONS: usize = 10;
/// Settled events that a kill may bring again, for each hook.
const UNSAVED: usize = 256;

/// Everything that stands around the daemon.
struct Stage {
    ledger: Arc<Ledger>,
    senders: Senders,
    memory: Memory,
    kills: usize,
}

/// Exit code 1 when something was not as promised.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    preflight::check_soak(&args.daemon, args.minutes, args.plot.as_deref())?;
    let chance = Chance::new(args.seed());
    // Until the run was as promised.
    let scratch = Scratch::create(true)?;
    let folder = scratch.path().to_owned();
    println!("seed {}; {} minutes", chance.seed(), args.minutes);
    let ledger = Arc::new(Ledger::default());
    let hop = Hop::start(chance, Arc::clone(&ledger))?;
    let steady = Endpoint::start(Mood::Steady, chance, Arc::clone(&ledger))?;
    let moody = Endpoint::start(Mood::Moody, chance, Arc::clone(&ledger))?;
    let script = script(scratch.path(), &hop, &steady, &moody);
    let senders = Senders::start(chance, Arc::clone(&ledger))?;
    let mut stage = Stage { ledger, senders, memory: Memory::default(), kills: 0 };

    let time = Duration::from_secs_f64(args.minutes * 60.0);
    let done = soak(args, chance, scratch, &script, &mut stage, time);
    let judgement = done.with_context(|| format!("seed {}, kept: {}", chance.seed(), folder.display()))?;
    stage.memory.print();
    if let Some(file) = &args.plot {
        stage.memory.plot(chance.seed(), file)?;
    }
    judgement.print();
    if judgement.findings.is_empty() {
        println!("all as promised; seed {}", chance.seed());
        if !args.keep {
            std::fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    println!("NOT as promised; seed {}, kept: {}", chance.seed(), folder.display());
    Ok(ExitCode::FAILURE)
}

/// The run itself: killed for a while, then left alone, then settled and stopped in good order.
fn soak(
    args: &Args,
    chance: Chance,
    scratch: Scratch,
    script: &str,
    stage: &mut Stage,
    time: Duration,
) -> Result<Judgement> {
    let begun = Instant::now();
    let logs = scratch.path().join("logs");
    let mut daemon = Daemon::start_script(&args.daemon, scratch, script)?;
    let mut life = 0;
    stage.senders.onto(Some(daemon.smtp));
    while begun.elapsed() < time.mul_f64(KILLING) {
        let lives = chance.between("life", life, LIVES);
        watch(&mut daemon, stage, begun, life, lives)?;
        stage.senders.onto(None);
        daemon = daemon.kill_and_start()?;
        stage.kills += 1;
        life += 1;
        stage.ledger.next_life();
        stage.senders.onto(Some(daemon.smtp));
        println!("kill {life} after {:.1} s; {}", lives.as_secs_f64(), stage.ledger.summary());
    }
    let calm = time.saturating_sub(begun.elapsed());
    println!("left alone for {} s", calm.as_secs());
    watch(&mut daemon, stage, begun, life, calm)?;
    stage.senders.stop();
    println!("no more mail; {}", stage.ledger.summary());
    settle(&mut daemon, stage, begun, life)?;
    daemon.stop()?;
    let files = logs::read(&logs)?;
    let bounds = Bounds { kills: stage.kills, mail: MAIL_CONNECTIONS, hook: HOOK_CONNECTIONS, unsaved: UNSAVED };
    let mut judgement = judge::judge(&stage.ledger.take(), &files, chance, &bounds);
    judgement.findings.extend(stage.memory.findings());
    Ok(judgement)
}

/// Lets it run and notes its memory.
fn watch(daemon: &mut Daemon, stage: &mut Stage, begun: Instant, life: u64, lives: Duration) -> Result<()> {
    let until = Instant::now() + lives;
    while Instant::now() < until {
        daemon.must_run()?;
        stage.memory.note(begun.elapsed(), life, daemon.cost()?.resident);
        std::thread::sleep(LOOK_EVERY.min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}

/// Waits until all that was accepted has come to its end, and all events have arrived.
fn settle(daemon: &mut Daemon, stage: &mut Stage, begun: Instant, life: u64) -> Result<()> {
    let (mut seen, mut last) = (0, Instant::now());
    loop {
        watch(daemon, stage, begun, life, LOOK_EVERY)?;
        let (open, events) = stage.ledger.open();
        if open == 0 && daemon.lag()? == 0.0 {
            return Ok(());
        }
        if events > seen {
            (seen, last) = (events, Instant::now());
        }
        if last.elapsed() > PATIENCE {
            bail!("nothing has arrived for {} s, and {open} mails have no end", PATIENCE.as_secs());
        }
    }
}

/// What an operator would write for this: two hooks, mail to one next hop, log files.
fn script(folder: &Path, hop: &Hop, steady: &Endpoint, moody: &Endpoint) -> String {
    let (folder, hop, steady, moody) = (folder.display(), hop.address(), steady.url(), moody.url());
    format!(
        "local kumo = require 'kumo'
local log_hooks = require 'policy-extras.log_hooks'
local soon = {{ retry_interval = '1s', max_retry_interval = '1s' }}

log_hooks:new_json {{ name = 'steady', url = '{steady}', queue_config = soon }}
log_hooks:new_json {{ name = 'moody', url = '{moody}', queue_config = soon, timeout = '5s' }}

kumo.on('init', function()
  kumo.define_spool {{ name = 'data', path = '{folder}/spool/data', min_free_space = '1%' }}
  kumo.define_spool {{ name = 'meta', path = '{folder}/spool/meta', min_free_space = '1%' }}
  kumo.configure_local_logs {{ log_dir = '{folder}/logs', min_free_space = '1%' }}
  kumo.start_esmtp_listener {{ listen = '127.0.0.1:0', relay_hosts = {{ '127.0.0.1' }} }}
  kumo.start_http_listener {{ listen = '127.0.0.1:0' }}
end)

kumo.on('get_queue_config', function(domain)
  if domain == '{domain}' then
    return kumo.make_queue_config {{
      retry_interval = '1s', max_retry_interval = '1s', protocol = {{ smtp = {{ mx_list = {{ '{hop}' }} }} }},
    }}
  end
end)

kumo.on('get_egress_path_config', function(domain, source, site)
  if not domain:match '%.log_hook$' then
    return kumo.make_egress_path {{
      prohibited_hosts = {{}}, connection_limit = {MAIL_CONNECTIONS}, rcpt_to_timeout = '2s', data_dot_timeout = '5s',
    }}
  end
end)
",
        domain = sender::DOMAIN
    )
}
