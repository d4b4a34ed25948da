//! The plan of a repair: its steps in their order, and the findings that stay. It is made in rounds. Each starts from the graph as
//! it would be after the rounds before, so that one run repairs damage that other damage hides. Only the caller reads the disk.

mod fetch;
mod leftovers;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::left_out::{self, WhyRemaining};
use super::propose::{self, ProbablyDeleted};
pub use super::propose::{DeletedTags, Scope};
use super::regressions::{BrokenBefore, newly_broken_tags, reached_from_tag};
use super::simulate::{SavedBlob, SimulatedChanges};
use super::step::{RepairStep, StepAction};
use super::supply::Supply;
use crate::audit::{self, Audit, AuditOptions, Code, Finding, Severity};
use crate::graph::{Graph, Recheck};
use crate::oci::Digest;
use crate::path::Place;

/// Most rounds: far more than damage can be nested.
const ROUNDS: usize = 64;

/// What a repair would do. Only [`plan`] makes one: [`apply`](crate::repair::apply) does not check whether a step breaks a tag.
#[derive(Debug)]
pub struct RepairPlan {
    steps: Vec<RepairStep>,
    revisions: HashMap<Arc<str>, BTreeSet<Digest>>,
    min_age: u32,
    /// Errors and warnings that stay, with the reason.
    pub left: Vec<Left>,
    /// The audit before the repair.
    pub audit: Audit,
    /// Requests that the other registry did not answer, with the error.
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

    /// The revisions of each repository, including those that this plan links.
    pub(super) const fn revisions(&self) -> &HashMap<Arc<str>, BTreeSet<Digest>> {
        &self.revisions
    }

    /// Leftovers younger than this, in seconds, may belong to a push under way.
    pub(super) const fn min_age(&self) -> u32 {
        self.min_age
    }
}

/// A finding that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// The finding.
    pub finding: Finding,
    /// Why it stays; `None` when no repair is known for it.
    pub why: Option<WhyRemaining>,
}

/// Plans the repair of the registry called `name`. `settle` looks again at what the audit doubts and corrects the graph. The graph
/// is left as it would be after the repair.
pub fn plan(
    graph: &mut Graph,
    name: &str,
    options: &AuditOptions,
    scope: &Scope<'_>,
    supply: Option<&dyn Supply>,
    settle: impl FnMut(&mut Graph, &[Recheck]),
) -> RepairPlan {
    let mut planner = Planner {
        name,
        // Each piece of garbage gets a step of its own.
        options: AuditOptions { list_garbage: true, ..options.clone() },
        scope,
        supply,
        recheck: settle,
        rechecked: HashSet::new(),
        simulated: SimulatedChanges::default(),
        steps: Vec::new(),
        planned: HashSet::new(),
        asked: HashSet::new(),
        rebuilt: HashSet::new(),
        withheld: HashMap::new(),
        unanswered: Vec::new(),
    };
    let first = planner.audit(graph);
    let before = BrokenBefore::from_audit(&first);
    let mut last = None;
    for _ in 0..ROUNDS {
        if !planner.plan_round(graph, last.as_ref().unwrap_or(&first), &before) {
            break;
        }
        last = Some(planner.audit(graph));
    }
    planner.plan_leftovers(graph, last.as_ref().unwrap_or(&first), &before);
    let left = planner.left_findings(last.as_ref().unwrap_or(&first));
    // Read from the graph after the repair: a revision that the plan links itself is no push.
    let revisions = revisions(graph);
    let Planner { steps, unanswered, .. } = planner;
    RepairPlan { steps, revisions, min_age: options.min_age, left, audit: first, unanswered }
}

/// The revisions of every repository.
fn revisions(graph: &Graph) -> HashMap<Arc<str>, BTreeSet<Digest>> {
    let repositories = graph.repositories.iter().map(|repository| {
        let digests = repository.revisions().iter().map(|entry| graph.digest(entry.node));
        (Arc::from(&*repository.name), digests.collect())
    });
    repositories.collect()
}

struct Planner<'p, S> {
    name: &'p str,
    options: AuditOptions,
    scope: &'p Scope<'p>,
    supply: Option<&'p dyn Supply>,
    recheck: S,
    /// Doubts that `recheck` was asked about already.
    rechecked: HashSet<Recheck>,
    simulated: SimulatedChanges,
    steps: Vec<RepairStep>,
    /// Acts and paths of the steps.
    planned: HashSet<(StepAction, String)>,
    /// Digests that the other registry was asked for.
    asked: HashSet<Digest>,
    /// Repositories whose `_layers` folder is made.
    rebuilt: HashSet<Arc<str>>,
    /// Paths for which no step is planned, with the reason.
    withheld: HashMap<String, WhyRemaining>,
    unanswered: Vec<String>,
}

impl<S: FnMut(&mut Graph, &[Recheck])> Planner<'_, S> {
    /// Audits the graph as it would be, with a second look at each doubt that is not simulated.
    fn audit(&mut self, graph: &mut Graph) -> Audit {
        loop {
            let audit = audit::audit(graph, self.name, &self.options);
            let doubts: Vec<Recheck> = audit
                .doubts
                .iter()
                .copied()
                .filter(|doubt| !self.simulated.covers(*doubt) && self.rechecked.insert(*doubt))
                .collect();
            if doubts.is_empty() {
                return audit;
            }
            (self.recheck)(graph, &doubts);
        }
    }

    /// Plans steps for the findings of one audit. Returns whether there was any new step.
    fn plan_round(&mut self, graph: &mut Graph, audit: &Audit, before: &BrokenBefore) -> bool {
        let mut fresh = propose::damage_steps(audit, graph, self.scope, &self.rebuilt);
        fresh.retain(|step| !self.withheld.contains_key(&step.path));
        fresh.retain(|step| self.planned.insert((step.action, step.path.clone())));
        let (away, mut fresh): (Vec<RepairStep>, Vec<RepairStep>) =
            fresh.into_iter().partition(|step| step.action == StepAction::Quarantine);
        let mut steps = self.without_regressions(graph, away, before);
        fresh.sort_by_key(|step| step.action);
        for step in &fresh {
            if step.action == StepAction::Rebuild {
                self.rebuilt.extend(step.repository.clone());
            }
            self.simulated.apply(graph, step, self.options.now);
        }
        // Moves come first: fetched bytes take the place of the moved ones.
        steps.extend(self.plan_fetches(graph, audit));
        steps.append(&mut fresh);
        let is_new = !steps.is_empty();
        self.steps.append(&mut steps);
        is_new
    }

    /// Those of these steps, which move bytes aside, that break no whole tag.
    fn without_regressions(
        &mut self,
        graph: &mut Graph,
        mut steps: Vec<RepairStep>,
        before: &BrokenBefore,
    ) -> Vec<RepairStep> {
        let mut saved_blobs: Vec<SavedBlob> = Vec::new();
        for step in &steps {
            if let Some(digest) = &step.digest {
                saved_blobs.push(SavedBlob::new(graph, digest));
            }
            self.simulated.apply(graph, step, self.options.now);
        }
        while !steps.is_empty() {
            let broken = newly_broken_tags(graph, &self.options, before);
            let Some((repository, tag)) = broken.first() else { break };
            let reached: HashSet<_> = broken
                .iter()
                .flat_map(|(repository, tag)| reached_from_tag(graph, repository, tag))
                .collect();
            let find_node = |graph: &Graph, step: &RepairStep| graph.digests().find(&step.digest?);
            let may_break_tag =
                |step: &RepairStep| find_node(graph, step).is_some_and(|node| reached.contains(&node));
            // If no step is found to break these tags, all are withheld: an unrepaired tag is better than a broken one.
            let is_cause_unknown = !steps.iter().any(may_break_tag);
            let (withheld, rest): (Vec<RepairStep>, Vec<RepairStep>) =
                steps.into_iter().partition(|step| is_cause_unknown || may_break_tag(step));
            for step in withheld {
                let node = find_node(graph, &step);
                if let Some(saved) = saved_blobs.iter().find(|saved| Some(saved.node) == node) {
                    self.simulated.restore_blob(graph, saved);
                }
                let why = WhyRemaining::Serves { repository: repository.clone(), tag: tag.clone() };
                self.withheld.insert(step.path, why);
            }
            steps = rest;
        }
        steps
    }

    /// Errors and warnings that stay: those of the last audit for which no step is planned.
    fn left_findings(&self, audit: &Audit) -> Vec<Left> {
        let moved: HashSet<&str> =
            self.steps.iter().filter(|step| step.action.moves_aside()).map(|step| &*step.path).collect();
        let is_moved = |finding: &Finding| {
            let path = finding.path.as_deref().unwrap_or_default();
            moved.iter().any(|moved| {
                path == *moved || path.strip_prefix(moved).is_some_and(|rest| rest.starts_with('/'))
            }) || finding.code == Code::PathUnexpected && moved.contains(&*format!("{path}/_manifests"))
        };
        let stays = |finding: &&Finding| {
            finding.severity <= Severity::Warning && !(finding.code >= Code::GcHazard && is_moved(finding))
        };
        let why_withheld = |finding: &Finding| {
            let path = finding.path.as_deref()?;
            let folder = path.strip_suffix("/data").unwrap_or(path);
            let data = finding.digest.map(|digest| Place::BlobData(digest).to_string());
            let mut places = [Some(path), Some(folder), data.as_deref()].into_iter().flatten();
            places.find_map(|place| self.withheld.get(place)).cloned()
        };
        let may_fetch = self.supply.is_some();
        let deleted = ProbablyDeleted::from_audit(audit);
        let why = |finding: &Finding| {
            why_withheld(finding).or_else(|| left_out::why_left(self.scope, finding, may_fetch, &deleted))
        };
        let findings = audit.findings.iter().filter(stays);
        findings.map(|finding| Left { finding: finding.clone(), why: why(finding) }).collect()
    }
}
