//! How a program begins and ends: its command line, the error that stopped it, its exit status. Which status means what is the
//! programs' own.

use std::process::ExitCode;

use clap::Parser;

use crate::log;

/// The exit status of a run that a signal ended: 128 and the number of SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Reads the command line. Help and version are printed, and end the run with 0.
///
/// # Errors
/// With `usage`, when the command line cannot be used, which is said.
pub fn parse<C: Parser>(usage: u8) -> Result<C, ExitCode> {
    C::try_parse().map_err(|error| {
        // Where standard error is gone, nothing is left to say it with.
        let _ = error.print();
        if error.use_stderr() { usage.into() } else { ExitCode::SUCCESS }
    })
}

/// Says what stopped a run before it had an answer; its exit status.
pub fn stopped(status: u8, error: &anyhow::Error) -> ExitCode {
    log::error(error);
    status.into()
}
