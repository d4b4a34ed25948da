//! Parses the command line, and reports the error that stopped a program. Each program defines its own exit statuses.

use std::process::ExitCode;

use clap::Parser;

use crate::log;

/// The exit status of a run that a signal ended: 128 + SIGINT, as in shells.
pub const INTERRUPTED: u8 = 130;

/// Parses the command line. Help and version are printed, and end the run with status 0.
///
/// # Errors
/// When the command line cannot be used: prints why, and returns the status `usage`.
pub fn parse_command_line<C: Parser>(usage: u8) -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        // If standard error is closed, the error cannot be reported anywhere.
        let _ = error.print();
        if error.use_stderr() { usage.into() } else { ExitCode::SUCCESS }
    })
}

/// Logs the error that stopped a run before it had a result, and returns the exit status.
pub fn report_failure(status: u8, error: &anyhow::Error) -> ExitCode {
    log::log_error(error);
    status.into()
}
