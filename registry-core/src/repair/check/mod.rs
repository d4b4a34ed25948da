//! Whether a step may be done now, and the change that it comes to. Everything that the plan relied on is read again from the
//! disk, right before the write.

mod away;
pub(super) mod look;
mod write;

use self::look::StepCheck;
use super::change::Change;
use super::conditions::Conditions;
use super::scheduler_state;
use super::step::{RepairStep, StepAction, StepOutcome};
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
        StepAction::Rebuild => check.check_rebuild(),
        StepAction::Relink | StepAction::Rewrite => check.check_link(),
        StepAction::Restore => check.check_restore(),
        StepAction::Fetch => check.check_fetch(),
        StepAction::Quarantine => check.check_quarantine(),
        StepAction::Unlink => check.check_unlink(),
        StepAction::Clear | StepAction::MoveAside => check.check_move_aside(),
        StepAction::Retire => check.check_retire(),
        StepAction::Drop => check.check_drop(),
        StepAction::Reset => scheduler_state::check(editor, conditions),
    }
}
