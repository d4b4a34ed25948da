//! `registry-fsck`: parse, call the library, render. What is damage is decided in registry-core.

mod args;
mod connect;
mod credentials;
mod exit;
mod file;
mod gc_preview;
mod interrupt;
mod log;
mod probe;
mod processes;
mod progress;
mod push;
mod render;
mod repair;
mod reporting;
mod role;
mod scan;
mod settings;
mod state;
mod supply;
mod undo;
mod unused;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is a usage error.
            let status = if error.use_stderr() { exit::USAGE } else { exit::NOTHING_WRONG };
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    log::start(cli.common());
    let status = match &cli.command {
        args::Command::Scan(args) => scan::run(args),
        args::Command::GcPreview(args) => gc_preview::run(args),
        args::Command::Repair(args) => repair::run(args),
        args::Command::Undo(args) => undo::run(args),
        args::Command::Probe(args) => probe::run(args),
        args::Command::Verify(args) => verify::run(args),
    };
    match status {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            log::failure(&failure);
            ExitCode::from(failure.status())
        }
    }
}
