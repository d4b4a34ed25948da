//! Prints plans and results as text or JSON. Nothing is decided here.

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
pub use hints::add_hints;
pub use refusals::log_not_undone;

use crate::args::Common;

/// Prints a plan to standard output, and logs which packages it skips or refuses.
///
/// # Errors
/// When it cannot be written; a closed pipe is no error.
pub fn plan(common: &Common, plan: &Plan, is_armed: Option<bool>) -> io::Result<()> {
    refusals::log_plan(plan);
    output::print(common.printing, plan, |out| text::write(plan, common, is_armed, out))
}

/// Prints the result of an apply to standard output, and logs what failed.
///
/// # Errors
/// As [`plan`].
pub fn applied(common: &Common, applied: &Applied, journal: &Path, aside: Option<&Path>) -> io::Result<()> {
    refusals::log_applied(applied);
    output::print(common.printing, applied, |out| applied::write(applied, common, (journal, aside), out))
}

/// Prints why a subject stays or goes; with several owners, also the owner.
///
/// # Errors
/// As [`plan`].
pub fn explain(
    common: &Common,
    plan: &Plan,
    subject: &str,
    has_several_owners: bool,
) -> io::Result<Explained> {
    let mut found = Explained::Nothing;
    output::print_text(common.printing.color, |out| {
        found = explain::write(plan, subject, has_several_owners, out)?;
        Ok(())
    })?;
    Ok(found)
}
