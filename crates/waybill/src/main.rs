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

fn main() -> ExitCode {
    let args = Args::from_command_line();
    let done = match args.command {
        Command::Serve(options) => serve::run(&options),
        Command::DumpReference => reference::dump(Args::command()),
        Command::Client(command) => client(command, &args.socket),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            if let Some(refusal) = error.downcast_ref::<waybill_cli::ApiError>() {
                // As it came: JSON, for whoever reads it by program.
                eprintln!("{refusal}");
                return ExitCode::FAILURE;
            }
            eprintln!("waybill: {error:#}");
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
