//! `registry-retention`: which images may go so that everything kept still holds. Parse, call the library, render. What
//! goes is decided in registry-core.

mod args;
mod config;
mod connect;
mod exit;
mod journal;
mod metrics;
mod plan;
mod policy;
mod render;
mod run;
#[cfg(test)]
mod schemas;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Verb;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { exit::REFUSED } else { exit::DONE };
            // Nothing is left to say it with when standard error is gone.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    let done = match &cli.verb {
        Some(Verb::Plan(args)) => plan::run(args),
        Some(Verb::Explain(args)) => plan::explain(args),
        Some(Verb::Run(args)) => run::run(args),
        None => run::run(&cli.run),
        Some(Verb::Apply(args)) => run::apply(args),
        Some(Verb::Undo(args)) => run::undo(args),
    };
    match done {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            let text = registry_core::text::without_controls(&format!("{:#}", failure.error()));
            eprintln!("error: {text}");
            ExitCode::from(failure.status())
        }
    }
}
