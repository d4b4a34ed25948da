//! Whether a step may be done now, and the change that it comes to. Everything that the plan relied on is read again from the
//! disk, right before the write.

mod away;
pub(super) mod look;
mod write;

use self::look::StepCheck;
use super::change::Change;
use super::conditions::Conditions;
use super::scheduler_state;
use super::step::{Act, RepairStep, StepOutcome};
use crate::storage::edit::Editor;

/// Checks one step.
///
/// # Errors
/// The outcome of a step that is not done.
pub(super) fn check(
    editor: &dyn Editor,
    step: &RepairStep,
    conditions: &Conditions<'_>,
) -> Result<Change, StepOutcome> {
    let check = StepCheck { editor, step, conditions };
    match step.action {
        Act::Rebuild => check.check_rebuild(),
        Act::Relink | Act::Rewrite => check.check_link(),
        Act::Restore => check.check_restore(),
        Act::Fetch => check.check_fetch(),
        Act::Quarantine => check.check_quarantine(),
        Act::Unlink => check.check_unlink(),
        Act::Clear | Act::MoveAside => check.check_move_aside(),
        Act::Retire => check.check_retire(),
        Act::Drop => check.check_drop(),
        Act::Reset => scheduler_state::check(editor, conditions),
    }
}
