//! The plan of a run (schema `registry-retention/plan/1`): what goes, what stays and why. It holds no mode and no outcome. It
//! is made from decisions, a person reviews it, and an effect acts on it and on nothing else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::decision::{Action, WhyNotPlanned};
use super::follow::SubjectElsewhere;
use super::policy_text::PolicyText;
use super::reason::{Reason, is_zero};
use super::source::Source;
use super::undecided::UndecidedImages;
use crate::oci::{Algorithm, Digest, Hasher};

/// The schema of a plan.
pub const SCHEMA: &str = "registry-retention/plan/1";

/// What one run would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of the program that planned.
    pub tool_version: String,
    /// The clock of the decision.
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub planned_at: Timestamp,
    /// Hash of the policy: two plans with the same one were made under the same rules.
    pub policy_digest: Digest,
    /// Hash of this plan with this field left empty. It does not match any more when somebody edits the plan.
    pub plan_digest: String,
    /// Where the packages are.
    pub source: Source,
    /// The policy under which it was made.
    pub policy: PolicyText,
    /// Packages by name.
    pub packages: Vec<PackagePlan>,
    /// Sums.
    pub summary: PlanSummary,
}

/// Whether a decision was made about a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PackageState {
    /// A decision was made.
    Planned,
    /// Something in it is unknown, so nothing goes.
    Skipped,
    /// A guard refused the decision, so nothing goes.
    Refused,
}

/// What becomes of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackagePlan {
    /// Its name, without the owner.
    pub name: String,
    /// Whether a decision was made about it.
    pub state: PackageState,
    /// Why nothing goes in it, in words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Why nothing goes in it. Absent in plans of releases that wrote words only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub why: Option<WhyNotPlanned>,
    /// Images that stay.
    pub images_kept: u64,
    /// Images that go.
    pub images_deleted: u64,
    /// Tags of images that do not answer down to the leaves.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub broken: Vec<String>,
    /// Problems that no plan can solve, for the person who reviews it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// Remarks that do not prevent the decision, for the person who reviews it.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub notes: Vec<String>,
    /// Signatures whose subject is gone.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub orphan_signatures: u64,
    /// Images that stay because no ranking decides about them, by cause.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub undecided: Vec<UndecidedImages>,
    /// Rows of its listing, newest first.
    pub versions: Vec<PlannedRow>,
}

/// What becomes of one row of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlannedRow {
    /// The tag, or the digest.
    pub version: String,
    /// The server's number for this row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<u64>,
    /// Its manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// Media type of its manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_type: Option<String>,
    /// Bytes of its manifest.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bytes: Option<u64>,
    /// When it was pushed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "schema", schemars(schema_with = "crate::schema::instant"))]
    pub created_at: Option<Timestamp>,
    /// What becomes of it.
    pub action: Action,
    /// Why, in words.
    pub reasons: Vec<String>,
    /// Why: one for each of `reasons`, in their order. Absent in plans of releases that wrote words only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub why: Vec<Reason>,
    /// For a row that goes, whether it can be put back until the server's collector runs. If not, its deletion is final.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undoable: Option<bool>,
    /// For a row that goes, the subjects in other packages that it follows. It goes after the rows of all packages, and only when
    /// these subjects are confirmed to be gone.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub after: Vec<SubjectElsewhere>,
    /// Indexes that name its manifest.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parents: Vec<Digest>,
}

/// Sums over all packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PlanSummary {
    /// Packages looked at.
    pub packages: u64,
    /// Images that stay.
    pub images_kept: u64,
    /// Images that go.
    pub images_deleted: u64,
    /// Rows that go.
    pub versions_deleted: u64,
    /// Rows that are left as they are.
    pub left: u64,
    /// Tags of images that do not answer down to the leaves.
    pub broken: u64,
    /// Packages skipped because their graph is not known.
    pub skipped_packages: u64,
    /// Packages in which a guard refused.
    pub refused_packages: u64,
    /// Bytes that only deleted images need; the server's own collector frees them.
    pub reclaimable_bytes: u64,
}

impl PackagePlan {
    /// The rows that the plan deletes.
    pub(super) fn rows_to_delete(&self) -> impl Iterator<Item = &PlannedRow> {
        self.versions.iter().filter(|row| row.action == Action::Delete)
    }
}

#[cfg(any(feature = "remote", feature = "storage"))]
impl PlannedRow {
    /// Whether this is a tag. A tag has no colon, a digest has one.
    pub(super) fn is_tag(&self) -> bool {
        !self.version.contains(':')
    }
}

impl Plan {
    /// The packages that were neither skipped nor refused.
    #[cfg(any(feature = "remote", feature = "storage"))]
    pub(super) fn planned_packages(&self) -> impl Iterator<Item = &PackagePlan> {
        self.packages.iter().filter(|package| package.state == PackageState::Planned)
    }

    /// Whether the guard over the whole run refused it.
    pub fn is_capped(&self) -> bool {
        let is_of_run = |why: &WhyNotPlanned| matches!(why, WhyNotPlanned::Refused(refusal) if refusal.refuses_whole_run());
        self.packages.iter().filter_map(|package| package.why.as_ref()).any(is_of_run)
    }

    /// What [`Plan::plan_digest`] should be.
    pub fn own_digest(&self) -> Digest {
        /// A plan with an empty digest that borrows its rows, so that they are not copied.
        #[derive(Serialize)]
        struct Unsealed<'a> {
            schema: &'a str,
            tool_version: &'a str,
            planned_at: Timestamp,
            policy_digest: Digest,
            plan_digest: &'a str,
            source: &'a Source,
            policy: &'a PolicyText,
            packages: &'a [PackagePlan],
            summary: PlanSummary,
        }
        digest_of(&Unsealed {
            schema: &self.schema,
            tool_version: &self.tool_version,
            planned_at: self.planned_at,
            policy_digest: self.policy_digest,
            plan_digest: "",
            source: &self.source,
            policy: &self.policy,
            packages: &self.packages,
            summary: self.summary,
        })
    }
}

/// The hash of the JSON of a value.
pub(super) fn digest_of(value: &impl Serialize) -> Digest {
    let mut writer = std::io::BufWriter::new(Hasher::new(Algorithm::Sha256));
    // Writing these types to a hasher cannot fail; if it did, the digest would match nothing.
    let is_written = serde_json::to_writer(&mut writer, value).is_ok();
    match writer.into_inner() {
        Ok(hasher) if is_written => hasher.finish(),
        _ => Digest::hash(Algorithm::Sha256, b""),
    }
}
