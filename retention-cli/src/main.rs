//! `registry-retention`: which images may go so that everything kept still holds. Parse, call the library, render. What
//! goes is decided in registry-core.

mod apply;
mod args;
mod config;
mod connect;
mod exit;
mod file;
mod interrupt;
mod journal;
mod layout;
mod metrics;
mod plan;
mod planning;
mod policy;
mod render;
mod run;
#[cfg(test)]
mod schemas;
mod undo;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Verb;

fn main() -> ExitCode {
    let mut cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { exit::REFUSED } else { exit::DONE };
            // Nothing is left to say it with when standard error is gone.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    cli.take_environment();
    let done = match &cli.verb {
        Some(Verb::Plan(args)) => plan::run(args),
        Some(Verb::Explain(args)) => plan::explain(args),
        Some(Verb::Run(args)) => run::run(args),
        None => run::run(&cli.run),
        Some(Verb::Apply(args)) => apply::run(args),
        Some(Verb::Undo(args)) => undo::run(args),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            render::error(None, failure.error());
            ExitCode::from(failure.status())
        }
    }
}
