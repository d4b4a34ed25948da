//! `registry-retention`: which images may go so that everything kept still holds. Parse, call the library, render. What
//! goes is decided in registry-core.

mod args;
mod config;
mod exit;
mod plan;
mod policy;
mod render;

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
        None | Some(Verb::Run(_) | Verb::Apply(_) | Verb::Undo(_)) => {
            eprintln!(
                "registry-retention {}: {} is not there yet: this version plans and explains from recorded inventories; \
                 it neither lists a server nor deletes anything",
                env!("CARGO_PKG_VERSION"),
                cli.name(),
            );
            return ExitCode::from(exit::REFUSED);
        }
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
