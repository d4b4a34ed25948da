//! Question 2: which images of a package may go, so that everything kept still holds?
//!
//! [`decide`] and [`plan`] are pure: packages, a policy and a clock in, a plan out. Effects act on a plan and nothing else.

mod bytes;
mod decide;
mod guard;
mod images;
mod in_use;
mod inventory;
mod judge;
mod package;
mod plan;
mod policy;
mod rank;
mod record;
mod undoable;
mod untagged;

pub use decide::{Action, Decision, Stop, Verdict, decide};
pub use in_use::{InUse, InUseError};
pub use inventory::{Inventory, Source, SourceKind};
pub use package::{Info, ManifestId, Package, PartId, Row, State};
pub use plan::{PackagePlan, PackageState, Plan, PolicyText, SCHEMA, Summary, Version, plan};
pub use policy::{Fate, Pattern, Policy, RankBy, Rule};
pub use record::{
    Record, RecordError, RecordedManifest, RecordedPackage, RecordedVersion, SCHEMA as INVENTORY_SCHEMA,
};
