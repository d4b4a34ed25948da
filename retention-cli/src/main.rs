//! `registry-retention`: deletes old images so that everything kept still holds. Parses the command line, calls the library,
//! renders the result. registry-core decides what goes.

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

use registry_cli::exit::{parse_command_line, report_failure};
use registry_cli::log;
use tracing::level_filters::LevelFilter;

use crate::args::Verb;

fn main() -> ExitCode {
    let mut cli: args::Cli = match parse_command_line(exit::REFUSED) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    cli.take_environment();
    let (messages, is_verbose) = cli.messages();
    let level = if is_verbose { LevelFilter::INFO } else { LevelFilter::WARN };
    log::start(messages.log_format, level, log::Prefix::Word);
    let result = match &cli.verb {
        Some(Verb::Plan(args)) => plan::run(args),
        Some(Verb::Explain(args)) => plan::explain(args),
        Some(Verb::Run(args)) => run::run(args),
        None => run::run(&cli.run),
        Some(Verb::Apply(args)) => apply::run(args),
        Some(Verb::Undo(args)) => undo::run(args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => report_failure(failure.status(), failure.error()),
    }
}
