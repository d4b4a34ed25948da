//! From packages to a plan: each decided, and told row by row. What a plan is stands in `plan`.

use jiff::Timestamp;

use super::among::Among;
use super::at_risk::{Collector, Warning};
use super::bytes::Reclaim;
use super::decide::{self, decide, decide_among};
use super::decision::{self, Action, Decision, NotPlanned};
use super::package::Package;
use super::plan::{PackagePlan, PackageState, Plan, PlanSummary, PlannedRow, SCHEMA, digest_of};
use super::policy::Policy;
use super::policy_text::PolicyText;
use super::reason::Reason;
use super::refusal::Refusal;
use super::source::{Source, SourceKind};
use super::undoable::undoable;
use crate::oci::Digest;
use crate::text::escape;

/// Decides about every package of a source that the policy covers. Packages must be in order ([`Package::seal`]) and may come one at a time: each
/// is dropped when it is planned, so that a plan of many needs the memory of its rows only.
pub fn plan(
    source: Source,
    packages: impl IntoIterator<Item = Package>,
    policy: &Policy,
    now: Timestamp,
    tool_version: &str,
) -> Plan {
    let mut reclaim = Reclaim::default();
    let mut forecast = (source.kind == SourceKind::Forgejo).then(|| CollectorForecast::new(policy));
    let mut number = 0;
    let mut one = |package: &Package, decision: Decision, forecast: &mut Option<CollectorForecast>| {
        reclaim.add(package, &decision);
        if let Some(forecast) = forecast {
            forecast.add(number, package, &decision);
            number += 1;
        }
        let planned = package_plan(package, &decision, &source, policy);
        let hanging = decision.rows.into_iter().enumerate();
        (planned, hanging.filter_map(|(at, verdict)| Some((at, verdict.if_refused?))).collect())
    };
    let path = |package: &Package| source.path_of(&package.name);
    let (mut among, mut packages_planned) = (Among::default(), Vec::<(PackagePlan, IfRefused)>::new());
    for package in packages {
        if !policy.covers(&package.name) {
            if let Some(forecast) = &mut forecast {
                forecast.add_uncovered(&package);
            }
            continue;
        }
        let decision = decide(&package, &path(&package), policy, now);
        if among.add(&package, &decision) {
            packages_planned.push(one(&package, decision, &mut forecast));
        } else {
            among.waiting.push((package, decision));
        }
    }
    // Followers of what other packages have are decided when all others are.
    among.settle(|package, others| decide_among(package, &path(package), policy, now, others));
    for (package, decision) in among.waiting {
        packages_planned.push(one(&package, decision, &mut forecast));
    }
    let mut packages = packages_planned;
    let is_capped = cap(&mut packages, policy.max_delete);
    for (package, warning) in forecast.into_iter().flat_map(|forecast| forecast.warnings(is_capped)) {
        if let Some((package, _)) = packages.get_mut(package as usize) {
            package.warnings.push(warning.to_string());
        }
    }
    packages.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let packages: Vec<PackagePlan> = packages.into_iter().map(|(package, _)| package).collect();
    let reclaimable_bytes = if is_capped { 0 } else { reclaim.bytes() };
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

/// What the server's own collector takes after a plan.
struct CollectorForecast {
    undo_window: bool,
    decided: Collector,
    /// The same if nothing goes anywhere, where a plan may be refused as a whole.
    if_capped: Option<Collector>,
}

impl CollectorForecast {
    fn new(policy: &Policy) -> Self {
        Self {
            undo_window: policy.undo_window,
            decided: Collector::default(),
            if_capped: policy.max_delete.map(|_| Collector::default()),
        }
    }

    fn add(&mut self, number: u32, package: &Package, decision: &Decision) {
        let stays = |at: usize| decision.rows[at].action != Action::Delete;
        self.decided.add(Some(number), package, stays, self.undo_window);
        if let Some(if_capped) = &mut self.if_capped {
            if_capped.add(Some(number), package, |_| true, false);
        }
    }

    /// Adds a package that the policy does not cover: the collector reads it nevertheless.
    fn add_uncovered(&mut self, package: &Package) {
        for collector in [Some(&mut self.decided), self.if_capped.as_mut()].into_iter().flatten() {
            collector.add(None, package, |_| true, false);
        }
    }

    fn warnings(self, is_capped: bool) -> Vec<(u32, Warning)> {
        self.if_capped.filter(|_| is_capped).unwrap_or(self.decided).warnings()
    }
}

/// Manifests of one package whose configs are wanted for a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undated {
    /// The package.
    pub package: String,
    /// Their digests.
    pub manifests: Vec<Digest>,
}

/// What is not known yet and a plan depends on: when images were built, where something goes by push time. Whoever can
/// ask for it does so (`add_dates`) before [`plan`]; without it the guard against pushes in the reverse order of builds does
/// not see these images.
pub fn undated(
    source: &Source,
    packages: impl IntoIterator<Item = Package>,
    policy: &Policy,
    now: Timestamp,
) -> Vec<Undated> {
    let packages = packages.into_iter().filter(|package| policy.covers(&package.name));
    let one = |package: Package| {
        let manifests = decide::undated(&package, &source.path_of(&package.name), policy, now);
        Undated { package: package.name, manifests }
    };
    packages.map(one).filter(|one| !one.manifests.is_empty()).collect()
}

/// Rows of a package, by number, with why they stay when a guard refuses it; only those that hang on a deletion.
type IfRefused = Vec<(usize, Vec<Reason>)>;

/// A run that would delete more than was allowed deletes nothing anywhere. Gives whether that is so.
fn cap(packages: &mut [(PackagePlan, IfRefused)], most: Option<u64>) -> bool {
    let all: u64 = packages.iter().map(|(package, _)| package.images_deleted).sum();
    let Some(most) = most.filter(|most| all > *most) else { return false };
    for (package, if_refused) in packages {
        if package.versions.iter().any(|row| row.action == Action::Delete) {
            let why = Refusal::TooManyOfRun { going: all, most };
            package.refuse(why, std::mem::take(if_refused));
        }
    }
    true
}

impl PackagePlan {
    /// Takes back what would go, for the reason given, as [`Decision::refuse`] does; `if_refused` are the reasons of rows
    /// that hang on a deletion.
    fn refuse(&mut self, why: Refusal, if_refused: IfRefused) {
        let mut if_refused = if_refused.into_iter().peekable();
        for (at, row) in self.versions.iter_mut().enumerate() {
            let why = if_refused.next_if(|(row, _)| *row == at).map(|(_, why)| why);
            decision::refuse(&mut row.action, &mut row.why, why);
            row.reasons = in_words(&row.why);
            row.undoable = None;
            row.after.clear();
        }
        self.images_kept += std::mem::take(&mut self.images_deleted);
        self.state = PackageState::Refused;
        self.reason = Some(escape(&why.to_string()));
        self.why = Some(NotPlanned::Refused(why));
    }
}

fn package_plan(package: &Package, decision: &Decision, source: &Source, policy: &Policy) -> PackagePlan {
    let state = match &decision.not_planned {
        None => PackageState::Planned,
        Some(NotPlanned::Skipped(_)) => PackageState::Skipped,
        Some(NotPlanned::Refused(_)) => PackageState::Refused,
    };
    let parents = package.parents();
    let undoable = undoable(package, decision, source, policy);
    let version = |(at, (row, verdict)): (usize, (&super::Row, &super::RowDecision))| {
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
        let why = why(row, verdict, source.kind);
        PlannedRow {
            version: row.version.to_string(),
            id: row.id,
            digest: row.manifest.map(|manifest| package.digest(manifest)),
            media_type: info.map(|info| info.media_type.as_str().to_owned()),
            // What is signed anew need not have the same size twice.
            bytes: info.filter(|info| !info.is_signed_anew).map(|info| info.bytes),
            created_at: row.created_at,
            action: verdict.action,
            reasons: in_words(&why),
            why,
            undoable: undoable[at],
            after: verdict.after.clone(),
            parents: named,
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

/// Why a row stays or goes. On a tree the links of what goes are moved with it, and no collector is waited for.
fn why(row: &super::Row, verdict: &super::RowDecision, kind: SourceKind) -> Vec<Reason> {
    let is_link = kind == SourceKind::Layout && !row.is_tag();
    let one = |reason: &Reason| match reason {
        Reason::LeftToCollector { part, image } if is_link => {
            Reason::GoesWithImage { part: *part, image: image.clone() }
        }
        reason => reason.clone(),
    };
    verdict.reasons.iter().map(one).collect()
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
