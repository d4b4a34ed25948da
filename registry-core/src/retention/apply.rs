//! Acting on a plan: one confirmed deletion at a time, parents before what they name, every row read again right before.
//!
//! A row goes only when all images of the plan that reach it are *confirmed* gone, so what stops a run at any point leaves
//! no index without its children.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::collect::{Collecting, collect_one};
use super::decide::Action;
use super::drift::{mark, moved, orphaned, worse};
use super::health::{Health, healths};
use super::journal::{Entry, Journal, Outcome, SCHEMA as JOURNAL_SCHEMA};
use super::order::{Step, steps};
use super::package::Package;
use super::plan::{PackagePlan, PackageState, Plan};
use super::record::{RecordedManifest, RecordedPackage};
use super::server::{DeleteError, Deleted, Doomed, Writer};

/// The name of the shape of a result.
pub const SCHEMA: &str = "registry-retention/apply-result/1";

/// What an apply did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Applied {
    /// [`SCHEMA`].
    pub schema: String,
    /// The plan that was acted on.
    pub plan_digest: String,
    /// Rows that were to go, with what became of them.
    pub rows: Vec<AppliedRow>,
    /// Why the run ended before its plan did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stopped: Option<Stopped>,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AppliedRow {
    /// The package.
    pub package: String,
    /// The tag, or the digest.
    pub version: String,
    /// The outcome.
    pub outcome: Outcome,
    /// Why, where it did not go.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// Why a run ended before its plan did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// These credentials may not delete.
    Forbidden(String),
    /// A kept image got worse.
    Worse(String),
    /// The journal could not be written.
    Journal(String),
}

impl Applied {
    /// Rows with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rows.iter().filter(|row| row.outcome == outcome).count()
    }
}

/// Deletes what the plan says, and nothing else.
pub async fn apply(
    writer: &impl Writer,
    plan: &Plan,
    how: &Collecting<'_>,
    journal: &mut impl Journal,
    now: Timestamp,
) -> Applied {
    let mut run = Run {
        undo_window: plan.policy.undo_window == Some(true),
        journal,
        applied: Applied {
            schema: SCHEMA.into(),
            plan_digest: plan.plan_digest.clone(),
            rows: Vec::new(),
            stopped: None,
        },
    };
    let begin = Entry::Begin {
        schema: JOURNAL_SCHEMA.into(),
        source: plan.source.clone(),
        plan_digest: plan.plan_digest.clone(),
        at: now,
    };
    run.note(&begin);
    for package in &plan.packages {
        if package.state == PackageState::Planned {
            run.package(writer, package, how).await;
        }
    }
    run.applied
}

/// How it went with one row.
enum Went {
    /// It is gone.
    Gone,
    /// It may still be there, and why.
    Stays(String),
    /// It is not what was planned any more, and stays.
    Moved(String),
}

struct Run<'j, J> {
    /// Whether what goes is put by digest first, so that it can be put back for a day.
    undo_window: bool,
    journal: &'j mut J,
    applied: Applied,
}

impl<J: Journal> Run<'_, J> {
    /// Writes an entry; what cannot be written down is not done.
    fn note(&mut self, entry: &Entry) -> bool {
        match self.journal.write(entry) {
            Ok(()) => true,
            Err(error) => {
                self.applied.stopped.get_or_insert_with(|| Stopped::Journal(error.to_string()));
                false
            }
        }
    }

    fn outcome(&mut self, package: &str, version: &str, outcome: Outcome, reason: Option<String>) {
        let (package, version) = (package.to_owned(), version.to_owned());
        self.applied.rows.push(AppliedRow { package, version, outcome, reason });
    }

    async fn package(&mut self, writer: &impl Writer, planned: &PackagePlan, how: &Collecting<'_>) {
        let doomed: Vec<_> = planned.versions.iter().filter(|row| row.action == Action::Delete).collect();
        if doomed.is_empty() {
            return;
        }
        let all = |run: &mut Self, outcome: Outcome, why: &str| {
            for row in &doomed {
                run.outcome(&planned.name, &row.version, outcome, Some(why.to_owned()));
            }
        };
        if self.applied.stopped.is_some() {
            all(self, Outcome::Stopped, "the run stopped before this package");
            return;
        }
        let recorded = match collect_one(writer, &planned.name, how).await {
            Ok(recorded) => recorded,
            Err(why) => {
                all(self, Outcome::Stopped, &format!("the package could not be listed again: {why}"));
                return;
            }
        };
        let before = recorded.package();
        if let Some(why) = moved(planned, &before) {
            all(self, Outcome::Stopped, &why);
            return;
        }
        let (order, left) = steps(planned, &before);
        if !self.save(&planned.name, &recorded, &before, &order) {
            all(self, Outcome::Stopped, "the journal could not be written");
            return;
        }
        if self.undo_window && !self.hold(writer, planned, &recorded, &before).await {
            all(self, Outcome::Stopped, "what goes could not be held for an undo");
            return;
        }
        for row in left {
            self.outcome(
                &planned.name,
                &row.version,
                Outcome::Spared,
                Some("no safe order was found".into()),
            );
        }
        self.steps(writer, planned, &order).await;
        self.check(writer, planned, &before, how).await;
    }

    /// Puts by digest, children first, every manifest that what goes reaches and nothing kept does: the server's collector
    /// goes by a row's age, so all of them stay for a day.
    async fn hold(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        recorded: &RecordedPackage,
        package: &Package,
    ) -> bool {
        let of = |goes: bool| {
            let rows = planned
                .versions
                .iter()
                .filter(move |row| !row.version.contains(':') && (row.action == Action::Delete) == goes);
            package.reach(rows.filter_map(|row| row.digest).filter_map(|digest| package.find(&digest)))
        };
        let (goes, stays) = (of(true), of(false));
        let all = package.leaves_first(package.manifests());
        let healths = healths(package);
        for manifest in all.into_iter().filter(|one| goes[one.index()] && !stays[one.index()]) {
            // What is broken cannot be put back anyway, and no server takes an index without its children.
            if healths[manifest.index()] != Health::Whole {
                continue;
            }
            let digest = package.digest(manifest);
            let Some(RecordedManifest::Present { media_type, data, .. }) = recorded.manifests.get(&digest)
            else {
                continue;
            };
            if writer.put(&planned.name, &digest.to_string(), media_type, data).await.is_err() {
                return false;
            }
        }
        true
    }

    /// Saves the bytes of everything that goes, children first.
    fn save(&mut self, name: &str, recorded: &RecordedPackage, package: &Package, order: &[Step]) -> bool {
        let roots = order.iter().filter_map(|step| package.find(&step.digest));
        for manifest in package.leaves_first(roots) {
            let digest = package.digest(manifest);
            let Some(content @ RecordedManifest::Present { .. }) = recorded.manifests.get(&digest) else {
                continue;
            };
            let entry = Entry::Manifest { package: name.to_owned(), digest, content: content.clone() };
            if !self.note(&entry) {
                return false;
            }
        }
        true
    }

    async fn steps(&mut self, writer: &impl Writer, planned: &PackagePlan, order: &[Step]) {
        let name = &planned.name;
        // What stays although it was to go holds all that it needs.
        let mut held: BTreeMap<usize, String> = BTreeMap::new();
        for (number, step) in order.iter().enumerate() {
            let mut why = step.after.iter().find_map(|other| held.get(other).cloned());
            if let (Some(why), true) = (&why, step.rows.is_empty()) {
                held.insert(number, why.clone());
            }
            if why.is_none() && self.applied.stopped.is_none() {
                // The first row is read again right before it goes, the others now and then once more.
                why = self.changed(writer, name, step, step.rows.iter().skip(1)).await;
            }
            let together: Vec<&str> = step.rows.iter().map(|row| row.version.as_str()).collect();
            for row in &step.rows {
                if self.applied.stopped.is_some() {
                    self.outcome(name, &row.version, Outcome::Stopped, None);
                    held.entry(number).or_insert_with(|| "the run stopped".into());
                    continue;
                }
                if let Some(why) = &why {
                    self.outcome(name, &row.version, Outcome::Spared, Some(why.clone()));
                    held.insert(number, format!("{} stays, which needs it", row.version));
                    continue;
                }
                match self.delete(writer, name, row, step, &together).await {
                    Went::Gone => {}
                    Went::Stays(failed) => {
                        held.insert(number, failed);
                    }
                    Went::Moved(moved) => {
                        held.insert(number, format!("{} stays, which needs it", row.version));
                        why = Some(moved);
                    }
                }
            }
        }
    }

    /// Whether any of these rows is not what it was when it was planned: then the whole image is spared.
    async fn changed<'r>(
        &self,
        writer: &impl Writer,
        package: &str,
        step: &Step,
        rows: impl Iterator<Item = &'r super::Version>,
    ) -> Option<String> {
        for row in rows {
            match writer.row(package, &row.version).await {
                Ok(None) => {}
                Ok(Some(now)) if mark(now.id, now.created_at) == mark(row.id, row.created_at) => {}
                Ok(Some(_)) => return Some(format!("{} was pushed again since it was planned", row.version)),
                Err(why) => return Some(format!("{} could not be read again: {why}", row.version)),
            }
            if row.id.is_none() {
                // Without numbers only the digest tells.
                match writer.head(package, &row.version).await {
                    Ok(None) => {}
                    Ok(Some(digest)) if digest == step.digest => {}
                    Ok(Some(_)) => return Some(format!("{} names another manifest now", row.version)),
                    Err(why) => return Some(format!("{} could not be read again: {why}", row.version)),
                }
            }
        }
        None
    }

    /// Deletes one row, if it still is what was planned.
    async fn delete(
        &mut self,
        writer: &impl Writer,
        package: &str,
        row: &super::Version,
        step: &Step,
        together: &[&str],
    ) -> Went {
        let entry = Entry::Deleting {
            package: package.to_owned(),
            version: row.version.clone(),
            digest: step.digest,
            id: row.id,
            created_at: row.created_at,
        };
        if !self.note(&entry) {
            self.outcome(package, &row.version, Outcome::Stopped, None);
            return Went::Stays("the journal could not be written".into());
        }
        if let Some(why) = self.changed(writer, package, step, std::iter::once(row)).await {
            self.done(package, row, Outcome::Spared, Some(&why));
            return Went::Moved(why);
        }
        let doomed = Doomed { package, version: &row.version, id: row.id, digest: step.digest, together };
        let (outcome, why) = match writer.delete(&doomed).await {
            Ok(Deleted::Now | Deleted::Before) => (Outcome::Deleted, None),
            Err(DeleteError::Forbidden(why)) => {
                self.applied.stopped.get_or_insert_with(|| Stopped::Forbidden(why.clone()));
                (Outcome::Failed, Some(why))
            }
            Err(DeleteError::Failed(why)) => (Outcome::Failed, Some(why)),
        };
        self.done(package, row, outcome, why.as_ref());
        why.map_or(Went::Gone, |why| Went::Stays(format!("{} could not be deleted: {why}", row.version)))
    }

    fn done(&mut self, package: &str, row: &super::Version, outcome: Outcome, why: Option<&String>) {
        self.note(&Entry::Done { package: package.to_owned(), version: row.version.clone(), outcome });
        self.outcome(package, &row.version, outcome, why.cloned());
    }

    /// Looks at the kept images again: one that was whole and is not any more stops the run.
    async fn check(
        &mut self,
        writer: &impl Writer,
        planned: &PackagePlan,
        before: &Package,
        how: &Collecting<'_>,
    ) {
        let again = match collect_one(writer, &planned.name, how).await {
            Ok(recorded) => recorded.package(),
            Err(why) => {
                let why = format!("{}: what is kept could not be looked at again: {why}", planned.name);
                self.applied.stopped.get_or_insert(Stopped::Worse(why));
                return;
            }
        };
        if let Some(why) = orphaned(planned, &again).or_else(|| worse(planned, before, &again)) {
            self.applied.stopped.get_or_insert(Stopped::Worse(why));
        }
    }
}
