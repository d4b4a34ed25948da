//! Plans in the form that was asked for. Nothing is decided here.

mod applied;
mod explain;
mod hints;
mod refusals;
mod text;

use std::io;
use std::path::Path;

use registry_cli::output;
use registry_core::retention::{Applied, Plan};

pub use explain::Explained;
pub use hints::in_words;
pub use refusals::not_back;

use crate::args::Common;

/// Prints a plan to standard output, and to standard error what it skips and refuses.
///
/// # Errors
/// When it cannot be written; a reader that went away is no error.
pub fn plan(common: &Common, plan: &Plan, is_armed: Option<bool>) -> io::Result<()> {
    refusals::of_plan(plan);
    output::print(common.printing, plan, |out| text::write(plan, common, is_armed, out))
}

/// Prints what was done to standard output, and to standard error what failed.
///
/// # Errors
/// As [`plan`].
pub fn applied(common: &Common, applied: &Applied, journal: &Path, aside: Option<&Path>) -> io::Result<()> {
    refusals::of_applied(applied);
    output::print(common.printing, applied, |out| applied::write(applied, common, (journal, aside), out))
}

/// Prints why a subject stays or goes, and of several owners whose it is.
///
/// # Errors
/// As [`plan`].
pub fn explain(common: &Common, plan: &Plan, subject: &str, several: bool) -> io::Result<Explained> {
    let mut found = Explained::Nothing;
    output::print_text(common.printing.color, |out| {
        found = explain::write(plan, subject, several, out)?;
        Ok(())
    })?;
    Ok(found)
}
