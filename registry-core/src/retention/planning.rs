//! Makes a plan: decides about each package and writes down each row. The types of a plan are in `plan`.

use jiff::Timestamp;

use super::at_risk::{CollectorPass, Warning};
use super::bytes::ReclaimableBytes;
use super::cross_package::CrossPackageDecisions;
use super::decide::{self, decide, decide_with_fates_elsewhere};
use super::decision::{self, Action, Decision, WhyNotPlanned};
use super::package::Package;
use super::plan::{PackagePlan, PackageState, Plan, PlanSummary, PlannedRow, SCHEMA, digest_of};
use super::policy::Policy;
use super::policy_text::PolicyText;
use super::reason::Reason;
use super::refusal::Refusal;
use super::source::{Source, SourceKind};
use super::undoable::undoable_rows;
use crate::oci::Digest;
use crate::text::escape;

/// Decides about every package of a source that the policy covers. The rows of each package must be in order
/// ([`Package::seal`]). Packages may come one at a time: each is dropped when it is planned, so that a plan of many packages
/// needs memory for their rows only.
pub fn plan(
    source: Source,
    packages: impl IntoIterator<Item = Package>,
    policy: &Policy,
    now: Timestamp,
    tool_version: &str,
) -> Plan {
    let mut reclaimable = ReclaimableBytes::default();
    let mut forecast = (source.kind == SourceKind::Forgejo).then(|| CollectorForecast::new(policy));
    let mut number = 0;
    let mut plan_one = |package: &Package, decision: Decision, forecast: &mut Option<CollectorForecast>| {
        reclaimable.add(package, &decision);
        if let Some(forecast) = forecast {
            forecast.add(number, package, &decision);
            number += 1;
        }
        let planned = package_plan(package, &decision, &source, policy);
        let rows = decision.rows.into_iter().enumerate();
        (planned, rows.filter_map(|(at, verdict)| Some((at, verdict.if_refused?))).collect())
    };
    let path = |package: &Package| source.repository_path(&package.name);
    let mut cross_package = CrossPackageDecisions::default();
    let mut planned: Vec<(PackagePlan, IfRefused)> = Vec::new();
    for package in packages {
        if !policy.covers_package(&package.name) {
            if let Some(forecast) = &mut forecast {
                forecast.add_uncovered(&package);
            }
            continue;
        }
        let decision = decide(&package, &path(&package), policy, now);
        if cross_package.record_fates(&package, &decision) {
            planned.push(plan_one(&package, decision, &mut forecast));
        } else {
            cross_package.waiting.push((package, decision));
        }
    }
    // Followers of subjects in other packages are decided last.
    cross_package
        .settle(|package, fates| decide_with_fates_elsewhere(package, &path(package), policy, now, fates));
    for (package, decision) in cross_package.waiting {
        planned.push(plan_one(&package, decision, &mut forecast));
    }
    let is_capped = refuse_if_too_many(&mut planned, policy.max_delete);
    let mut packages: Vec<PackagePlan> = planned.into_iter().map(|(package, _)| package).collect();
    for (number, warning) in forecast.into_iter().flat_map(|forecast| forecast.warnings(is_capped)) {
        if let Some(package) = packages.get_mut(number as usize) {
            package.warnings.push(warning.to_string());
        }
    }
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    let reclaimable_bytes = if is_capped { 0 } else { reclaimable.total() };
    let mut summary = PlanSummary { reclaimable_bytes, ..PlanSummary::default() };
    packages.iter().for_each(|package| summary.add(package));
    let text = PolicyText::from_policy(policy);
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

/// What the server's own collector would take after a plan.
struct CollectorForecast {
    undo_window: bool,
    decided: CollectorPass,
    /// The forecast in case the plan is refused as a whole, so that nothing goes anywhere. Absent where that cannot happen.
    if_capped: Option<CollectorPass>,
}

impl CollectorForecast {
    fn new(policy: &Policy) -> Self {
        Self {
            undo_window: policy.undo_window,
            decided: CollectorPass::default(),
            if_capped: policy.max_delete.map(|_| CollectorPass::default()),
        }
    }

    fn add(&mut self, number: u32, package: &Package, decision: &Decision) {
        let stays = |at: usize| decision.rows[at].action != Action::Delete;
        self.decided.add(Some(number), package, stays, self.undo_window);
        if let Some(if_capped) = &mut self.if_capped {
            if_capped.add(Some(number), package, |_| true, false);
        }
    }

    /// Adds a package that the policy does not cover: the collector reads it too.
    fn add_uncovered(&mut self, package: &Package) {
        for pass in [Some(&mut self.decided), self.if_capped.as_mut()].into_iter().flatten() {
            pass.add(None, package, |_| true, false);
        }
    }

    fn warnings(self, is_capped: bool) -> Vec<(u32, Warning)> {
        self.if_capped.filter(|_| is_capped).unwrap_or(self.decided).warnings()
    }
}

/// Manifests of one package whose build dates a plan needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndatedManifests {
    /// The package.
    pub package: String,
    /// Their digests.
    pub manifests: Vec<Digest>,
}

/// The manifests whose build dates a plan needs and nobody has read yet: those of rankings by push time in which something goes.
/// A caller that can read them does so (`read_build_dates`) before [`plan`]. Without the dates the guard against pushes in the reverse
/// order of builds ignores these images.
pub fn manifests_without_date(
    source: &Source,
    packages: impl IntoIterator<Item = Package>,
    policy: &Policy,
    now: Timestamp,
) -> Vec<UndatedManifests> {
    let packages = packages.into_iter().filter(|package| policy.covers_package(&package.name));
    let undated = packages.map(|package| {
        let manifests = decide::undated(&package, &source.repository_path(&package.name), policy, now);
        UndatedManifests { package: package.name, manifests }
    });
    undated.filter(|undated| !undated.manifests.is_empty()).collect()
}

/// The rows of a package whose reasons change when a guard refuses the package, by number, with the new reasons.
type IfRefused = Vec<(usize, Vec<Reason>)>;

/// Refuses all packages if the run would delete more images than allowed. Returns whether it did.
fn refuse_if_too_many(packages: &mut [(PackagePlan, IfRefused)], most: Option<u64>) -> bool {
    let all: u64 = packages.iter().map(|(package, _)| package.images_deleted).sum();
    let Some(most) = most.filter(|most| all > *most) else { return false };
    for (package, if_refused) in packages {
        if package.rows_to_delete().next().is_some() {
            let why = Refusal::TooManyOfRun { going: all, most };
            package.refuse(why, std::mem::take(if_refused));
        }
    }
    true
}

impl PackagePlan {
    /// Takes back all deletions, as [`Decision::refuse`] does. `if_refused` are the rows whose reasons change then.
    fn refuse(&mut self, why: Refusal, if_refused: IfRefused) {
        let mut if_refused = if_refused.into_iter().peekable();
        for (at, row) in self.versions.iter_mut().enumerate() {
            let why = if_refused.next_if(|(row, _)| *row == at).map(|(_, why)| why);
            decision::refuse_row(&mut row.action, &mut row.why, why);
            row.reasons = in_words(&row.why);
            row.undoable = None;
            row.after.clear();
        }
        self.images_kept += std::mem::take(&mut self.images_deleted);
        self.state = PackageState::Refused;
        self.reason = Some(escape(&why.to_string()));
        self.why = Some(WhyNotPlanned::Refused(why));
    }
}

fn package_plan(package: &Package, decision: &Decision, source: &Source, policy: &Policy) -> PackagePlan {
    let state = match &decision.not_planned {
        None => PackageState::Planned,
        Some(WhyNotPlanned::Skipped(_)) => PackageState::Skipped,
        Some(WhyNotPlanned::Refused(_)) => PackageState::Refused,
    };
    let parents = package.parents();
    let undoable = undoable_rows(package, decision, source, policy);
    let version = |(at, (row, verdict)): (usize, (&super::Row, &super::RowDecision))| {
        let info = row.manifest.and_then(|manifest| package.info(manifest));
        let parents = row.manifest.and_then(|manifest| parents.get(&manifest)).into_iter().flatten();
        let mut parents: Vec<Digest> = parents.map(|parent| package.digest(*parent)).collect();
        parents.sort_unstable();
        parents.shrink_to_fit();
        let why = reasons_at_source(row, verdict, source.kind);
        PlannedRow {
            version: row.version.to_string(),
            id: row.id,
            digest: row.manifest.map(|manifest| package.digest(manifest)),
            media_type: info.map(|info| info.media_type.as_str().to_owned()),
            // The size of a manifest that is signed anew may differ at each answer.
            bytes: info.filter(|info| !info.is_signed_anew).map(|info| info.bytes),
            created_at: row.created_at,
            action: verdict.action,
            reasons: in_words(&why),
            why,
            undoable: undoable[at],
            after: verdict.after.clone(),
            parents,
        }
    };
    PackagePlan {
        name: package.name.clone(),
        state,
        reason: decision.not_planned.as_ref().map(|why| escape(&why.to_string())),
        why: decision.not_planned.clone(),
        images_kept: decision.images_kept,
        images_deleted: decision.images_deleted,
        broken: decision.broken.clone(),
        warnings: Vec::new(),
        notes: decision.notes.iter().map(|note| escape(&note.to_string())).collect(),
        orphan_signatures: decision.orphans,
        undecided: decision.undecided.clone(),
        versions: package.rows.iter().zip(&decision.rows).enumerate().map(version).collect(),
    }
}

/// The reasons of a row, as they are at this kind of source: on a tree the links of deleted images are moved with the tags, and
/// not left to a collector.
fn reasons_at_source(row: &super::Row, verdict: &super::RowDecision, kind: SourceKind) -> Vec<Reason> {
    let is_link = kind == SourceKind::Layout && !row.is_tag();
    let at_source = |reason: &Reason| match reason {
        Reason::LeftToCollector { part, image } if is_link => {
            Reason::GoesWithImage { part: *part, image: image.clone() }
        }
        reason => reason.clone(),
    };
    verdict.reasons.iter().map(at_source).collect()
}

fn in_words(why: &[Reason]) -> Vec<String> {
    why.iter().map(Reason::to_string).collect()
}

impl PlanSummary {
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
