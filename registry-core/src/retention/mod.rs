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
pub use applied::{AppliedRow, ApplyResult, SCHEMA as APPLIED_SCHEMA, Stopped};
#[cfg(feature = "remote")]
pub use apply::apply;
#[cfg(feature = "remote")]
pub use cache::Cache;
#[cfg(feature = "remote")]
pub use collect::{CollectOptions, CollectedRecord, collect, collect_with_cache, read_build_dates};
#[cfg(feature = "remote")]
pub use confirm::{AssumedManifests, UnconfirmedReference, confirm, find_unconfirmed};
pub use copied::CopiedTimes;
pub use decide::decide;
pub use decision::{Action, Decision, RowDecision, WhyNotPlanned};
pub use follow::{FateElsewhere, FollowedSubject, SubjectElsewhere, SubjectFate};
pub use group_by::{GroupBy, GroupByError, TagGroup};
pub use in_use::{ImagesInUse, InUseError};
pub use journal::{
    DeletionEntry, DeletionHistory, DeletionJournal, DeletionJournalError, RowOutcome,
    SCHEMA as JOURNAL_SCHEMA,
};
pub use letter_case::LetterCase;
pub use other_packages::{OtherPackages, SharedDigests, UnselectedPackages};
pub use package::{Loss, ManifestId, ManifestInfo, ManifestState, Package, PartId, Restored, Row};
pub use plan::{PackagePlan, PackageState, Plan, PlanSummary, PlannedRow, SCHEMA};
#[cfg(feature = "remote")]
pub use plan_server::{CachedRows, PlannedRecord, ServerPlanning, plan_server};
pub use planning::{UndatedManifests, manifests_without_date, plan};
pub use policy::{Pattern, Policy, RankBy, Rule, UnneededAction};
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
    DeleteError, DeletionTime, IncompletePackage, ListedRow, Listing, NoAnswer, Permission, PlannedDeletion,
    Reader, WriteAccess, Writer,
};
pub use skip::Skip;
pub use source::{Source, SourceKind};
#[cfg(any(feature = "remote", feature = "storage"))]
pub use stays::{PackageDrift, WhyHalted, WhyNotDeleted, WhyUnread, WhyWorse};
pub use undecided::{Undecided, UndecidedImages};
#[cfg(feature = "remote")]
pub use undo::{RowUndoState, UndoneRow, undo};
#[cfg(any(feature = "remote", feature = "storage"))]
pub use verified::{PlanError, PlanExpectations, VerifiedPlan};
