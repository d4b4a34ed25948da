//! Retention: which images of a package may be deleted, so that everything kept stays whole?
//!
//! [`decide`] and [`plan`] are pure: they take packages, a policy and a clock, and return a plan. Effects act on a plan and on
//! nothing else.

#[cfg(any(feature = "remote", feature = "storage"))]
mod applied;
#[cfg(feature = "remote")]
mod apply;
mod at_risk;
#[cfg(feature = "remote")]
pub(crate) mod attempt;
mod built;
mod bytes;
#[cfg(feature = "remote")]
mod cache;
#[cfg(feature = "remote")]
mod collect;
#[cfg(feature = "remote")]
mod confirm;
mod copied;
mod cross_package;
mod decide;
mod deciding;
mod decision;
#[cfg(any(feature = "remote", feature = "storage"))]
mod drift;
mod follow;
mod group_by;
mod guard;
mod health;
#[cfg(feature = "remote")]
mod hold;
mod images;
mod in_use;
mod journal;
mod judge;
#[cfg(feature = "remote")]
mod known_rows;
#[cfg(feature = "storage")]
pub mod layout;
mod letter_case;
#[cfg(any(feature = "remote", feature = "storage"))]
mod order;
mod other_packages;
mod package;
mod plan;
#[cfg(feature = "remote")]
mod plan_server;
mod planning;
mod policy;
mod policy_text;
#[cfg(feature = "remote")]
mod push_times;
mod rank;
mod reach;
mod reason;
mod record;
mod refusal;
#[cfg(feature = "remote")]
mod registry;
mod reversal;
#[cfg(feature = "remote")]
pub(crate) mod server;
mod skip;
mod source;
#[cfg(any(feature = "remote", feature = "storage"))]
mod stays;
mod undecided;
#[cfg(feature = "remote")]
mod undo;
mod undoable;
mod untagged;
#[cfg(any(feature = "remote", feature = "storage"))]
mod verified;
#[cfg(any(feature = "remote", feature = "storage"))]
mod waiting_rows;

#[cfg(any(feature = "remote", feature = "storage"))]
pub use applied::{Applied, AppliedRow, SCHEMA as APPLIED_SCHEMA, Stopped};
#[cfg(feature = "remote")]
pub use apply::apply;
#[cfg(feature = "remote")]
pub use cache::Cache;
#[cfg(feature = "remote")]
pub use collect::{Collecting, Collection, add_dates, collect, collect_known};
#[cfg(feature = "remote")]
pub use confirm::{Assumed, Unconfirmed, confirm, unconfirmed};
pub use copied::CopiedTimes;
pub use decide::decide;
pub use decision::{Action, Decision, NotPlanned, RowDecision};
pub use follow::{After, FateElsewhere, Followed, SubjectFate};
pub use group_by::{GroupBy, GroupByError, TagGroup};
pub use in_use::{InUse, InUseError};
pub use journal::{
    DeletionEntry, DeletionHistory, DeletionJournal, DeletionJournalError, RowOutcome,
    SCHEMA as JOURNAL_SCHEMA,
};
pub use letter_case::LetterCase;
pub use other_packages::{Elsewhere, SharedDigests, Unselected};
pub use package::{Info, Loss, ManifestId, ManifestState, Package, PartId, Restored, Row};
pub use plan::{PackagePlan, PackageState, Plan, PlanSummary, PlannedRow, SCHEMA};
#[cfg(feature = "remote")]
pub use plan_server::{CachedRows, PlannedRecord, ServerPlanning, plan_server};
pub use planning::{Undated, plan, undated};
pub use policy::{Pattern, Policy, RankBy, Rule, Unneeded};
pub use policy_text::{PolicyText, RuleText};
#[cfg(feature = "remote")]
pub use push_times::{PushTime, PushTimes, PushTimesError, SCHEMA as PUSH_TIMES_SCHEMA};
pub use reason::{ImagePart, ImageTags, Reason, RuleName};
pub use record::{
    Record, RecordError, RecordedManifest, RecordedPackage, RecordedVersion, SCHEMA as INVENTORY_SCHEMA,
};
pub use refusal::{Refusal, Reversal};
#[cfg(feature = "remote")]
pub use registry::RegistrySource;
#[cfg(feature = "remote")]
pub use server::{
    DeleteError, Deletion, Incomplete, ListedRow, Listing, Permission, PlannedDeletion, Reader, Unanswered,
    WriteAccess, Writer,
};
pub use skip::Skip;
pub use source::{Source, SourceKind};
#[cfg(any(feature = "remote", feature = "storage"))]
pub use stays::{Drift, WhyHalted, WhyStays, WhyUnread, WhyWorse};
pub use undecided::{Undecided, UndecidedImages};
#[cfg(feature = "remote")]
pub use undo::{RowUndoState, UndoneRow, undo};
#[cfg(any(feature = "remote", feature = "storage"))]
pub use verified::{Expected, PlanError, VerifiedPlan};
