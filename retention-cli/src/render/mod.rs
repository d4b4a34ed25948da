//! Plans in the form that was asked for. Nothing is decided here.

mod applied;
mod explain;
mod hints;
mod refusals;
mod stderr;
mod text;

use std::io::{self, BufWriter, Write};
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use registry_core::retention::{Applied, Plan};

pub use explain::Explained;
pub use refusals::not_back;
pub use stderr::{error, warn};

use crate::args::{Common, Output, When};

/// Prints a plan to standard output, and to standard error what it skips and refuses.
///
/// # Errors
/// When it cannot be written; a reader that went away is no error.
pub fn plan(common: &Common, plan: &Plan, is_armed: Option<bool>) -> io::Result<()> {
    refusals::of_plan(plan);
    printed(common, |out| match common.output {
        Output::Json => registry_core::printable::write(plan, out),
        Output::Text => text::write(plan, common, is_armed, out),
    })
}

/// Prints what was done to standard output, and to standard error what failed.
///
/// # Errors
/// As [`plan`].
pub fn applied(common: &Common, applied: &Applied, journal: &Path, aside: Option<&Path>) -> io::Result<()> {
    refusals::of_applied(applied);
    printed(common, |out| match common.output {
        Output::Json => registry_core::printable::write(applied, out),
        Output::Text => applied::write(applied, common, (journal, aside), out),
    })
}

/// Prints why a subject stays or goes, and of several owners whose it is.
///
/// # Errors
/// As [`plan`].
pub fn explain(common: &Common, plan: &Plan, subject: &str, several: bool) -> io::Result<Explained> {
    let mut found = Explained::Nothing;
    printed(common, |out| {
        found = explain::write(plan, subject, several, out)?;
        Ok(())
    })?;
    Ok(found)
}

fn printed(common: &Common, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let choice = match common.color {
        When::Auto => AutoStream::choice(&io::stdout()),
        When::Always => ColorChoice::Always,
        When::Never => ColorChoice::Never,
    };
    let mut out = BufWriter::with_capacity(64 << 10, AutoStream::new(io::stdout(), choice));
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
