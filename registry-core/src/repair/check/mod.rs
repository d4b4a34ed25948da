//! Whether a step may be done now, and the change that it comes to. Everything that a plan relied on is looked at again, on
//! the disk, right before the write.

mod away;
pub(super) mod look;
mod write;

use super::change::Change;
use super::conditions::Conditions;
use super::scheduler_state;
use super::step::{Act, RepairStep, StepOutcome};
use crate::storage::edit::Editor;

/// Looks at one step again.
///
/// # Errors
/// The outcome of a step that is not done.
pub(super) fn check(
    editor: &dyn Editor,
    step: &RepairStep,
    now: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    match step.action {
        Act::Rebuild => write::rebuild(editor, step),
        Act::Relink | Act::Rewrite => write::link(editor, step, now),
        Act::Restore => write::restore(editor, step, now),
        Act::Fetch => write::fetch(editor, step, now),
        Act::Quarantine => away::quarantine(editor, step, now),
        Act::Unlink => away::unlink(editor, step, now),
        Act::Clear | Act::MoveAside => away::aside(editor, step, now),
        Act::Retire => away::retire(editor, step, now),
        Act::Drop => away::drop_tag(editor, step, now),
        Act::Reset => scheduler_state::check(editor, now),
    }
}
