//! The plan: steps in the order in which they are to be done, and what they leave. Made in rounds: each goes on from the graph
//! as it would be after the rounds before, so that damage behind damage is mended in one run. Reads only through its caller.

mod fetch;
mod leftovers;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::left_out::{self, WhyLeft};
use super::propose;
use super::propose::ProbablyDeleted;
pub use super::propose::{DeletedTags, Scope};
use super::regressions::{NotWhole, broken_now, reach};
use super::simulate::{Hopes, SavedBlob};
use super::step::{Act, RepairStep};
use super::supply::Supply;
use crate::audit::{self, Audit, AuditOptions, Code, Finding, Severity};
use crate::graph::{Graph, Recheck};
use crate::oci::Digest;
use crate::path::Place;

/// Most rounds: far more than links can hide behind each other.
const ROUNDS: usize = 64;

/// What a repair would do. Only [`plan`] makes one: its steps are not looked at for what they break.
#[derive(Debug)]
pub struct RepairPlan {
    steps: Vec<RepairStep>,
    revisions: HashMap<Arc<str>, BTreeSet<Digest>>,
    min_age: u32,
    /// Errors and warnings that stay, and why.
    pub left: Vec<Left>,
    /// The audit that the plan is made from.
    pub audit: Audit,
    /// What the other registry could not be asked.
    pub unanswered: Vec<String>,
}

impl RepairPlan {
    /// Steps, in order.
    pub fn steps(&self) -> &[RepairStep] {
        &self.steps
    }

    /// The repositories of the registry.
    pub fn repositories(&self) -> impl Iterator<Item = &str> {
        self.revisions.keys().map(|name| &**name)
    }

    /// Revisions of each repository, those that are linked by this plan included.
    pub(super) const fn revisions(&self) -> &HashMap<Arc<str>, BTreeSet<Digest>> {
        &self.revisions
    }

    /// The age below which leftovers are a push under way. Seconds.
    pub(super) const fn min_age(&self) -> u32 {
        self.min_age
    }
}

/// A finding that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// What.
    pub finding: Finding,
    /// Why, where more can be said than that nothing here mends it.
    pub why: Option<WhyLeft>,
}

/// Plans the repair of the registry called `name`. `settle` looks again at what the audit doubts, as for
/// [`audit::settled`]; the graph is left as it would be after the repair.
pub fn plan(
    graph: &mut Graph,
    name: &str,
    options: &AuditOptions,
    scope: &Scope<'_>,
    supply: Option<&dyn Supply>,
    settle: impl FnMut(&mut Graph, &[Recheck]),
) -> RepairPlan {
    let mut planning = Planner {
        name,
        // What is moved aside is planned piece by piece.
        options: AuditOptions { list_garbage: true, ..options.clone() },
        scope,
        supply,
        settle,
        seen: HashSet::new(),
        hopes: Hopes::default(),
        steps: Vec::new(),
        planned: HashSet::new(),
        asked: HashSet::new(),
        rebuilt: HashSet::new(),
        withheld: HashMap::new(),
        unanswered: Vec::new(),
    };
    let first = planning.audit(graph);
    let before = NotWhole::from_audit(&first);
    let mut last = None;
    for _ in 0..ROUNDS {
        if !planning.round(graph, last.as_ref().unwrap_or(&first), &before) {
            break;
        }
        last = Some(planning.audit(graph));
    }
    planning.leftovers(graph, last.as_ref().unwrap_or(&first), &before);
    let left = planning.left(last.as_ref().unwrap_or(&first));
    // Those that this plan links are no push either.
    let revisions = revisions(graph);
    let Planner { steps, unanswered, .. } = planning;
    RepairPlan { steps, revisions, min_age: options.min_age, left, audit: first, unanswered }
}

/// The revisions of every repository.
fn revisions(graph: &Graph) -> HashMap<Arc<str>, BTreeSet<Digest>> {
    let of = |one: &crate::graph::Repository| {
        one.revisions().iter().map(|entry| graph.digest(entry.node)).collect()
    };
    graph.repositories.iter().map(|one| (Arc::from(&*one.name), of(one))).collect()
}

struct Planner<'p, S> {
    name: &'p str,
    options: AuditOptions,
    scope: &'p Scope<'p>,
    supply: Option<&'p dyn Supply>,
    settle: S,
    /// Looked at a second time already.
    seen: HashSet<Recheck>,
    hopes: Hopes,
    steps: Vec<RepairStep>,
    /// Paths that a step is about.
    planned: HashSet<(Act, String)>,
    /// What the other registry was asked for.
    asked: HashSet<Digest>,
    rebuilt: HashSet<Arc<str>>,
    /// Why a path is not touched.
    withheld: HashMap<String, WhyLeft>,
    unanswered: Vec<String>,
}

impl<S: FnMut(&mut Graph, &[Recheck])> Planner<'_, S> {
    /// Audits the graph as it would be, with all that is on disk looked at twice.
    fn audit(&mut self, graph: &mut Graph) -> Audit {
        loop {
            let audit = audit::audit(graph, self.name, &self.options);
            let doubts: Vec<Recheck> = audit
                .doubts
                .iter()
                .copied()
                .filter(|doubt| !self.hopes.covers(*doubt) && self.seen.insert(*doubt))
                .collect();
            if doubts.is_empty() {
                return audit;
            }
            (self.settle)(graph, &doubts);
        }
    }

    /// Plans what can be done about the findings of one audit; whether there was anything new.
    fn round(&mut self, graph: &mut Graph, audit: &Audit, before: &NotWhole) -> bool {
        let mut fresh = propose::damage(audit, graph, self.scope, &self.rebuilt);
        fresh.retain(|step| !self.withheld.contains_key(&step.path));
        fresh.retain(|step| self.planned.insert((step.action, step.path.clone())));
        let (away, mut fresh): (Vec<RepairStep>, Vec<RepairStep>) =
            fresh.into_iter().partition(|step| step.action == Act::Quarantine);
        let mut steps = self.harmless(graph, away, before);
        fresh.sort_by_key(|step| step.action);
        for step in &fresh {
            if step.action == Act::Rebuild {
                self.rebuilt.extend(step.repository.clone());
            }
            self.hopes.take(graph, step, self.options.now);
        }
        // What is moved aside comes first: what is fetched takes its place.
        steps.extend(self.fetched(graph, audit));
        steps.append(&mut fresh);
        let is_new = !steps.is_empty();
        self.steps.append(&mut steps);
        is_new
    }

    /// Of steps that move bytes aside, those that break no tag that is whole.
    fn harmless(
        &mut self,
        graph: &mut Graph,
        mut steps: Vec<RepairStep>,
        before: &NotWhole,
    ) -> Vec<RepairStep> {
        let mut kept: Vec<SavedBlob> = Vec::new();
        for step in &steps {
            if let Some(digest) = &step.digest {
                kept.push(SavedBlob::take_from(graph, digest));
            }
            self.hopes.take(graph, step, self.options.now);
        }
        while !steps.is_empty() {
            let broken = broken_now(graph, &self.options, before);
            let Some((repository, tag)) = broken.first() else { break };
            let reached: HashSet<_> =
                broken.iter().flat_map(|(repository, tag)| reach(graph, repository, tag)).collect();
            let is_guilty = |step: &RepairStep, all: bool| {
                all || step
                    .digest
                    .and_then(|digest| graph.digests().find(&digest))
                    .is_some_and(|node| reached.contains(&node))
            };
            // If none seems to be the reason, all are held back: better unrepaired than broken.
            let all = !steps.iter().any(|step| is_guilty(step, false));
            let (back, rest): (Vec<RepairStep>, Vec<RepairStep>) =
                steps.into_iter().partition(|step| is_guilty(step, all));
            for step in back {
                let node = step.digest.and_then(|digest| graph.digests().find(&digest));
                if let Some(kept) = kept.iter().find(|kept| Some(kept.node) == node) {
                    self.hopes.give_back(graph, kept);
                }
                let why = WhyLeft::Serves { repository: repository.clone(), tag: tag.clone() };
                self.withheld.insert(step.path, why);
            }
            steps = rest;
        }
        steps
    }

    /// Errors and warnings that stay: those of the last audit that no step is about.
    fn left(&self, audit: &Audit) -> Vec<Left> {
        let moved: HashSet<&str> =
            self.steps.iter().filter(|step| step.action.takes_away()).map(|step| &*step.path).collect();
        let is_moved = |finding: &Finding| {
            let path = finding.path.as_deref().unwrap_or_default();
            moved.iter().any(|moved| {
                path == *moved || path.strip_prefix(moved).is_some_and(|rest| rest.starts_with('/'))
            }) || finding.code == Code::PathUnexpected && moved.contains(&*format!("{path}/_manifests"))
        };
        let stays = |finding: &&Finding| {
            finding.severity <= Severity::Warning && !(finding.code >= Code::GcHazard && is_moved(finding))
        };
        let why = |finding: &Finding| {
            let path = finding.path.as_deref()?;
            let folder = path.strip_suffix("/data").unwrap_or(path);
            let data = finding.digest.map(|digest| Place::BlobData(digest).to_string());
            let mut places = [Some(path), Some(folder), data.as_deref()].into_iter().flatten();
            places.find_map(|place| self.withheld.get(place)).cloned()
        };
        let may_fetch = self.supply.is_some();
        let deleted = ProbablyDeleted::from_audit(audit);
        let why = |finding: &Finding| {
            why(finding).or_else(|| left_out::why(self.scope, finding, may_fetch, &deleted))
        };
        let findings = audit.findings.iter().filter(stays);
        findings.map(|finding| Left { finding: finding.clone(), why: why(finding) }).collect()
    }
}
