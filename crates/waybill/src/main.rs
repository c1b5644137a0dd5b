//! `waybill`: reads arguments, builds everything in one visible function ([`serve::run`]), runs, drains.

mod args;
mod diag;
mod home;
mod reference;
mod serve;
mod user;

use args::{Args, Command};
use clap::CommandFactory;
use std::process::ExitCode;
use waybill_runtime::say;

/// Threads of many kinds pass small pieces to each other all the time, at which glibc's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::from_command_line();
    let done = match args.command {
        Command::Serve(options) => serve::run(&options),
        // Before anything else is opened: it takes away from itself what functions must not have.
        Command::LambdaWorker => return waybill_lambda::run_worker(),
        Command::DumpReference => reference::dump(Args::command()),
        Command::Client(command) => client(command, &args.socket),
    };
    match done {
        Ok(code) => code,
        // As it came, for scripts that read it.
        Err(error) if error.is::<waybill_cli::ApiError>() => {
            say(&error);
            ExitCode::FAILURE
        }
        Err(error) => {
            say(format_args!("waybill: {error:#}"));
            // As when a part of the command line makes no sense.
            if error.is::<waybill_cli::Misuse>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

fn client(command: waybill_cli::ClientCommand, socket: &waybill_cli::AdminSocketArg) -> anyhow::Result<ExitCode> {
    let named = socket.named();
    let socket = socket.or(home::state_dir(None)?.join(home::ADMIN_SOCKET));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(waybill_cli::run(command, &socket, named))?;
    Ok(ExitCode::SUCCESS)
}
