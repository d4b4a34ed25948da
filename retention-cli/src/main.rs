//! `registry-retention`: which images may go so that everything kept still holds. This version parses its command line
//! and says that it does nothing more.

mod args;

use std::process::ExitCode;

use clap::Parser as _;

/// Nothing was done because nothing was asked: help and version.
const DONE: u8 = 0;
/// The command line was refused, or asks for something that this version does not do.
const REFUSED: u8 = 2;

fn main() -> ExitCode {
    match args::Cli::try_parse() {
        Ok(cli) => {
            eprintln!(
                "registry-retention {}: {} is not there yet: this version parses its command line only; it does not \
                 list, plan or delete anything",
                env!("CARGO_PKG_VERSION"),
                cli.verb(),
            );
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            let status = if error.use_stderr() { REFUSED } else { DONE };
            // Nothing is left to say it with when standard error is gone.
            let _ = error.print();
            ExitCode::from(status)
        }
    }
}
