//! Prints plans and results as text or JSON. Nothing is decided here.

mod applied;
mod explain;
mod hints;
mod refusals;
mod text;

use std::io;
use std::path::Path;

use anyhow::Context as _;
use registry_cli::output;
use registry_core::retention::{ApplyResult, Plan};

pub use explain::Explained;
pub use hints::add_hints;
pub use refusals::log_not_undone;

use crate::args::Common;
use crate::exit::Failure;

/// Prints a plan to standard output, and logs which packages it skips or refuses.
///
/// # Errors
/// When it cannot be written; a closed pipe is no error.
pub fn plan(common: &Common, plan: &Plan, is_armed: Option<bool>) -> Result<(), Failure> {
    refusals::log_plan(plan);
    let printed = output::print(common.printing, plan, |out| text::write(plan, common, is_armed, out));
    printed.context("cannot print the plan").map_err(Failure::Io)
}

/// Prints the result of an apply to standard output, and logs what failed.
///
/// # Errors
/// As [`plan`].
pub fn applied(
    common: &Common,
    applied: &ApplyResult,
    journal: &Path,
    aside: Option<&Path>,
) -> io::Result<()> {
    refusals::log_applied(applied);
    output::print(common.printing, applied, |out| applied::write(applied, common, (journal, aside), out))
}

/// Prints why a subject stays or goes; `with_owner` also names the owner.
///
/// # Errors
/// As [`plan`].
pub fn explain(common: &Common, plan: &Plan, subject: &str, with_owner: bool) -> io::Result<Explained> {
    let mut found = Explained::Nothing;
    output::print_text(common.printing.color, |out| {
        found = explain::write(plan, subject, with_owner, out)?;
        Ok(())
    })?;
    Ok(found)
}
