//! The project's own commands: `cargo xtask test`, `graph`, `docs`, `demo`, `fuzz`, `bench`, `soak`, `count`.
//!
//! Refuses to depend on any crate of ours: the tool that judges a broken tree has to build in it. It compiles in seconds and
//! brings `anyhow` and `serde_json` only.

mod bench;
mod clock;
mod debian;
mod demo;
mod docs;
mod fuzz;
mod graph;
mod paths;
mod test;
mod toolchain_env;
mod usage;

use std::process::ExitCode;

use usage::{Command, Usage};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = match Command::parse(&arguments) {
        Ok(command) => command,
        Err(usage) => return complain(&usage),
    };
    let done = match command {
        Command::Help => {
            print!("{}", usage::TEXT);
            Ok(())
        }
        Command::Test(scope) => test::run(scope),
        Command::Graph(task) => graph::run(task),
        Command::Docs(task, depth) => docs::run(task, depth),
        Command::Demo(ending) => demo::run(ending),
        Command::Fuzz(what) => fuzz::run(&what),
        Command::Bench(options) => bench::run(&options),
        Command::Soak(options) => bench::soak(&options),
        Command::Count(options) => bench::count(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what was wrong with the command line, then what would be right. Exit code 2, as shells expect of a usage error.
fn complain(usage: &Usage) -> ExitCode {
    eprint!("xtask: {usage}\n\n{}", usage::TEXT);
    ExitCode::from(2)
}
