//! The plan of a run (schema `registry-retention/plan/1`): what goes, what stays and why, with no mode and no outcome in
//! it. Made from decisions; a person reviews it, and an effect acts on it and on nothing else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::at_risk::{self, Collector};
use super::bytes::Reclaim;
use super::decide::{Action, Decision, SPARED, Stop, decide};
use super::package::Package;
use super::policy::Policy;
use super::policy_text::PolicyText;
use super::source::{Source, SourceKind};
use super::undoable::undoable;
use crate::oci::{Algorithm, Digest, Hasher};
use crate::text::escape;

/// The name of this shape.
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
    /// Hash of this plan with this field left empty: whoever edits a plan by hand breaks it.
    pub plan_digest: String,
    /// Where the packages are.
    pub source: Source,
    /// What was asked for.
    pub policy: PolicyText,
    /// Packages by name.
    pub packages: Vec<PackagePlan>,
    /// Sums.
    pub summary: Summary,
}

/// Whether a package was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PackageState {
    /// It was.
    Planned,
    /// Its graph is not known: nothing goes.
    Skipped,
    /// A guard refused: nothing goes.
    Refused,
}

/// What becomes of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PackagePlan {
    /// Its name, without the owner.
    pub name: String,
    /// Whether it was decided.
    pub state: PackageState,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Images that stay.
    pub images_kept: u64,
    /// Images that go.
    pub images_deleted: u64,
    /// Tags of images that do not answer down to the leaves.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub broken: Vec<String>,
    /// What a person should know, and no plan can mend.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// Signatures whose subject is gone.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub orphan_signatures: u64,
    /// Rows of its listing, newest first.
    pub versions: Vec<Version>,
}

/// What becomes of one row of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Version {
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
    /// Why.
    pub reasons: Vec<String>,
    /// Of what goes: whether it can be put back while the server's collector has not run. What is not is final.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub undoable: Option<bool>,
    /// Indexes that name its manifest.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub parents: Vec<Digest>,
}

/// Sums over all packages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
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
    /// Bytes that only what goes needs; the server's own collector frees them.
    pub reclaimable_bytes: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Decides about every package of a source that the policy covers. Packages must be in order ([`Package::seal`]) and may come one at a time: each
/// is dropped when it is planned, so that a plan of many needs the memory of its rows only.
pub fn plan(
    source: Source,
    packages: impl IntoIterator<Item = Package>,
    policy: &Policy,
    now: Timestamp,
    tool_version: &str,
) -> Plan {
    let (mut reclaim, mut collector) = (Reclaim::default(), Collector::default());
    let mut number = 0;
    let one = |package: Package| {
        let decision = decide(&package, &source.path_of(&package.name), policy, now);
        reclaim.add(&package, &decision);
        if source.kind == SourceKind::Forgejo {
            collector.add(number, &package, &decision);
            number += 1;
        }
        package_plan(&package, &decision, &source, policy)
    };
    let mut packages: Vec<PackagePlan> =
        packages.into_iter().filter(|package| policy.covers(&package.name)).map(one).collect();
    for (package, head) in collector.takes() {
        if let Some(package) = packages.get_mut(package as usize) {
            package.warn_of(|digest| at_risk::begins(digest, &head));
        }
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let is_capped = cap(&mut packages, policy.max_delete);
    let reclaimable_bytes = if is_capped { 0 } else { reclaim.bytes() };
    let mut summary = Summary { reclaimable_bytes, ..Summary::default() };
    packages.iter().for_each(|package| summary.add(package));
    let text = PolicyText::of(policy);
    let mut plan = Plan {
        schema: SCHEMA.into(),
        tool_version: tool_version.into(),
        planned_at: now,
        policy_digest: digest_of(&text),
        plan_digest: String::new(),
        source,
        policy: text,
        packages,
        summary,
    };
    plan.plan_digest = plan.own_digest().to_string();
    plan
}

/// How the guard over a whole run is told.
const CAPPED: &str = "in this run, more than --max-delete";

impl Plan {
    /// Whether the guard over the whole run refused it.
    pub fn is_capped(&self) -> bool {
        let reasons = self.packages.iter().filter_map(|package| package.reason.as_deref());
        reasons.into_iter().any(|reason| reason.contains(CAPPED))
    }

    /// What [`Plan::plan_digest`] should be.
    pub fn own_digest(&self) -> Digest {
        /// A plan with an empty digest, and no second copy of its rows.
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
            summary: Summary,
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

/// Hashes what is written to it.
struct Hashing(Hasher);

impl std::io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The hash of the JSON of a value.
fn digest_of(value: &impl Serialize) -> Digest {
    let mut hashing = std::io::BufWriter::new(Hashing(Hasher::new(Algorithm::Sha256)));
    // Writing these shapes to a hasher cannot fail; if it did, the digest would match nothing.
    let done = serde_json::to_writer(&mut hashing, value).is_ok();
    match hashing.into_inner() {
        Ok(hashing) if done => hashing.0.finish(),
        _ => Digest::of(Algorithm::Sha256, b""),
    }
}

/// A run that would delete more than was allowed deletes nothing anywhere. Gives whether that is so.
fn cap(packages: &mut [PackagePlan], most: Option<u64>) -> bool {
    let all: u64 = packages.iter().map(|package| package.images_deleted).sum();
    let Some(most) = most.filter(|most| all > *most) else { return false };
    let deletes =
        |package: &&mut PackagePlan| package.versions.iter().any(|row| row.action == Action::Delete);
    for package in packages.iter_mut().filter(deletes) {
        package.refuse(format!("{all} images would go {CAPPED} {most}"));
    }
    true
}

impl PackagePlan {
    /// Warns of the row of a digest that the server's collector takes although something kept needs it.
    fn warn_of(&mut self, is_it: impl Fn(&Digest) -> bool) {
        let rows = self.versions.iter().filter(|row| row.version.contains(':'));
        let warn = |row: &Version| {
            let (digest, why) = (row.digest.filter(|digest| is_it(digest))?, row.reasons.first()?);
            Some(format!(
                "the server's own collector will take {digest} ({why}) once it is a day old: it was pushed again after \
                 the index that names it, and another package has it too; push the tag again"
            ))
        };
        self.warnings.extend(rows.filter_map(warn));
    }

    /// Takes back what would go, for the reason given, as [`Decision::refuse`] does.
    fn refuse(&mut self, why: String) {
        for row in self.versions.iter_mut().filter(|row| row.action == Action::Delete) {
            row.action = Action::Leave;
            row.reasons.push(SPARED.into());
            row.undoable = None;
        }
        self.images_kept += std::mem::take(&mut self.images_deleted);
        (self.state, self.reason) = (PackageState::Refused, Some(why));
    }
}

fn package_plan(package: &Package, decision: &Decision, source: &Source, policy: &Policy) -> PackagePlan {
    let (state, reason) = match &decision.stop {
        None => (PackageState::Planned, None),
        Some(Stop::Skipped(why)) => (PackageState::Skipped, Some(escape(why))),
        Some(Stop::Refused(why)) => (PackageState::Refused, Some(escape(why))),
    };
    let parents = package.parents();
    let undoable = undoable(package, decision, source, policy);
    let version = |(at, (row, verdict)): (usize, (&super::Row, &super::Verdict))| {
        let info = row.manifest.and_then(|manifest| package.info(manifest));
        let mut named: Vec<Digest> = row
            .manifest
            .and_then(|manifest| parents.get(&manifest))
            .into_iter()
            .flatten()
            .map(|parent| package.digest(*parent))
            .collect();
        named.sort_unstable();
        named.shrink_to_fit();
        Version {
            version: row.version.to_string(),
            id: row.id,
            digest: row.manifest.map(|manifest| package.digest(manifest)),
            media_type: info.map(|info| info.media_type.as_str().to_owned()),
            bytes: info.map(|info| info.bytes),
            created_at: row.created_at,
            action: verdict.action,
            reasons: verdict.reasons.clone(),
            undoable: undoable[at],
            parents: named,
        }
    };
    PackagePlan {
        name: package.name.clone(),
        state,
        reason,
        images_kept: decision.images_kept,
        images_deleted: decision.images_deleted,
        broken: decision.broken.clone(),
        warnings: Vec::new(),
        orphan_signatures: decision.orphans,
        versions: package.rows.iter().zip(&decision.rows).enumerate().map(version).collect(),
    }
}

impl Summary {
    fn add(&mut self, package: &PackagePlan) {
        let count =
            |action: Action| package.versions.iter().filter(|row| row.action == action).count() as u64;
        self.packages += 1;
        self.images_kept += package.images_kept;
        self.images_deleted += package.images_deleted;
        self.versions_deleted += count(Action::Delete);
        self.left += count(Action::Leave);
        self.broken += package.broken.len() as u64;
        self.skipped_packages += u64::from(package.state == PackageState::Skipped);
        self.refused_packages += u64::from(package.state == PackageState::Refused);
    }
}
