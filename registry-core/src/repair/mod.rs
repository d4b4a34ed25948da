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

pub use causes::{WhyFailed, WhyRefused, WhySpared, WhyStopped};
pub use change::{Before, Change};
pub(crate) use journal::MovesAside;
pub use journal::{
    FileLog, JournalLine, Log, RepairEntry, RepairHistory, RepairJournal, RepairJournalError,
    SCHEMA as JOURNAL_SCHEMA,
};
pub use left_out::WhyLeft;
#[cfg(test)]
pub(crate) use needs::{serves_layer, serves_manifest};
pub use plan::{DeletedTags, Left, RepairPlan, Scope, plan};
pub use plan_tree::{plan_tree, scan_and_plan};
pub use purge::{PurgeError, QuarantineContent, content, purge};
pub use report::{
    Counts, LeftFinding, Options, PURGE_SCHEMA, PurgeReport, RepairReport, RepairSummary, RunningServer,
    SCHEMA, Taken, UNDO_SCHEMA, UndoReport,
};
pub(crate) use run::{Expectations, StepRunner};
pub use run::{StepProgress, apply};
pub use step::{Act, RepairStep, StepOutcome};
#[cfg(feature = "remote")]
pub use supply::RegistrySupply;
pub use supply::{Supply, SupplyError, TreeSupply};
pub use undo::{ChangeUndoState, OtherRegistry, Undo, UndoneChange, WhyLost, WhyTaken};
