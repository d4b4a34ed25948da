//! `registry-fsck`: parses the command line, calls the library, renders the result. registry-core decides what is damage.

mod args;
mod connect;
mod exit;
mod gc_preview;
mod hints;
mod interrupt;
mod log;
mod probe;
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

use registry_cli::exit::{parse_command_line, report_failure};

fn main() -> ExitCode {
    let cli: args::Cli = match parse_command_line(exit::USAGE) {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    log::start(cli.common());
    let result = match &cli.command {
        args::Command::Scan(args) => scan::run(args),
        args::Command::GcPreview(args) => gc_preview::run(args),
        args::Command::Repair(args) => repair::run(args),
        args::Command::Undo(args) => undo::run(args),
        args::Command::Probe(args) => probe::run(args),
        args::Command::Verify(args) => verify::run(args),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            let (status, error) = failure.status_and_error();
            report_failure(status, error)
        }
    }
}
