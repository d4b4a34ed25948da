//! Repairs findings of an audit with what is on this disk or in another registry, and undoes repairs.
//!
//! [`plan`] turns a graph into steps; it reads only through a supply and its caller. [`apply`] does the steps through a
//! [`TreeWriter`](crate::tree_writer::TreeWriter): each is checked again on the disk and written to the journal before it is done.
//! [`Undo`] undoes a run by its journal. Only [`purge`] deletes anything.

mod aside;
mod bytes_text;
mod causes;
mod change;
mod change_result;
mod check;
mod conditions;
mod journal;
mod left_out;
mod make;
mod needs;
mod plan;
mod plan_tree;
mod propose;
mod purge;
mod regressions;
mod report;
mod run;
mod scheduler_state;
mod simulate;
mod sizes;
mod step;
mod supply;
mod undo;

pub use causes::{WhyFailed, WhyRefused, WhySkipped, WhyStopped};
pub use change::{Change, FileBefore};
pub(crate) use journal::MovesAside;
pub use journal::{
    FileLog, JournalLine, JournalOutput, RepairEntry, RepairHistory, RepairJournal, RepairJournalError,
    SCHEMA as JOURNAL_SCHEMA,
};
pub use left_out::WhyRemaining;
#[cfg(test)]
pub(crate) use needs::{serves_layer, serves_manifest};
pub use plan::{DeletedTags, Left, RepairPlan, Scope, plan};
pub use plan_tree::{plan_tree, scan_and_plan};
pub use purge::{PurgeError, QuarantineContent, count_content, purge};
pub use report::{
    FindingCounts, PURGE_SCHEMA, PurgeReport, RemainingFinding, RepairOptions, RepairReport, RepairSummary,
    RunningServer, SCHEMA, StepResult, UNDO_SCHEMA, UndoReport,
};
pub(crate) use run::{Expectations, StepRunner};
pub use run::{StepProgress, apply};
pub use step::{RepairStep, StepAction, StepOutcome};
#[cfg(feature = "remote")]
pub use supply::RegistrySupply;
pub use supply::{Supply, SupplyError, TreeSupply};
pub use undo::{ChangeUndoState, OtherRegistry, Undo, UndoneChange, WhyKept, WhyLost};
