//! What changed under a plan: between planning and acting, and while acting. Asks nothing; compares.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::applied::Stopped;
use super::decision::Action;
use super::follow::followed;
use super::health::{Health, healths};
use super::package::{ManifestId, ManifestState, Package};
use super::plan::{PackagePlan, PlannedRow};
use super::stays::{Drift, WhyUnread, WhyWorse};
use crate::text::escape;

/// What tells a row from a later one of the same name: its number, which a re-push changes, else its time. With a number
/// the time does not count: it may be an original one that was told beside the server's.
pub(super) fn row_identity(
    id: Option<u64>,
    created_at: Option<Timestamp>,
) -> (Option<u64>, Option<Timestamp>) {
    (id, created_at.filter(|_| id.is_none()))
}

/// What of a package could not be read.
pub(super) fn unread(now: &Package) -> Option<String> {
    let unknown = || {
        now.manifests().find_map(|manifest| match now.state(manifest) {
            ManifestState::Unknown(why) => Some(format!("{}: {why}", now.digest(manifest))),
            _ => None,
        })
    };
    now.unreadable.clone().or_else(unknown)
}

/// Why nothing may go in a package that changed since it was planned: a new row reaches something that is to go, or a kept
/// image is gone or worse already.
pub(super) fn moved(planned: &PackagePlan, now: &Package) -> Option<Drift> {
    let rows = planned.versions.iter();
    let known: HashMap<&str, _> = rows
        .clone()
        .map(|row| (row.version.as_str(), (row_identity(row.id, row.created_at), row.digest)))
        .collect();
    let doomed = rows.filter(|row| row.action == Action::Delete).filter_map(|row| row.digest);
    let doomed: HashSet<ManifestId> = doomed.filter_map(|digest| now.find(&digest)).collect();
    let reaching = now.reach_up(doomed.iter().copied());
    for row in &now.rows {
        let digest = row.manifest.map(|manifest| now.digest(manifest));
        if known.get(&*row.version) == Some(&(row_identity(row.id, row.created_at), digest)) {
            continue;
        }
        let Some(manifest) = row.manifest else {
            return Some(Drift::Unreadable { version: row.version.to_string() });
        };
        // The same row with another digest: the plan was made from something that was not true.
        let planned = planned.versions.iter().find(|one| one.version == *row.version && row.id.is_some());
        if let Some(planned) = planned.filter(|one| one.id == row.id && one.digest != digest) {
            let (version, now) = (row.version.to_string(), now.digest(manifest));
            return Some(Drift::OtherDigest { version, now, planned: planned.digest });
        }
        let subject = now.info(manifest).and_then(|info| info.subject);
        let follows = followed(&row.version).and_then(|subject| now.find(&subject));
        let needed = subject.into_iter().chain(follows).find(|one| doomed.contains(one)).or_else(|| {
            let reached = reaching[manifest.index()].then(|| now.leaves_first([manifest]));
            reached.into_iter().flatten().find(|one| doomed.contains(one))
        });
        if let Some(needed) = needed {
            return Some(Drift::Needs { version: row.version.to_string(), needed: now.digest(needed) });
        }
    }
    already_worse(planned, now)
}

/// A kept image that is not there as the plan counted on it: fewer than asked for would stay.
fn already_worse(planned: &PackagePlan, now: &Package) -> Option<Drift> {
    let (health, is) = (healths(now), Rows::from_package(now));
    let broken: HashSet<&str> = planned.broken.iter().map(String::as_str).collect();
    for row in planned.versions.iter().filter(|row| row.action == Action::Keep && !row.version.contains(':'))
    {
        let name = escape(&row.version);
        match is.get(&row.version) {
            None => return Some(Drift::Gone { version: row.version.clone() }),
            Some(Some(manifest)) if Some(now.digest(manifest)) == row.digest => {
                if let (Health::Broken(part), false) = (health[manifest.index()], broken.contains(&*name)) {
                    return Some(Drift::Broken { version: row.version.clone(), part: now.digest(part) });
                }
            }
            Some(_) => {}
        }
    }
    None
}

/// A tag pushed between the last look at a package and a deletion, which needs what went. Nothing can hinder that; it is
/// told, so that it is pushed again.
#[cfg(feature = "remote")]
pub(super) fn orphaned(planned: &PackagePlan, again: &Package) -> Option<WhyWorse> {
    let known: HashSet<_> = planned
        .versions
        .iter()
        .map(|row| (row.version.as_str(), row_identity(row.id, row.created_at)))
        .collect();
    let doomed = planned.versions.iter().filter(|row| row.action == Action::Delete);
    let doomed: HashSet<_> = doomed.filter_map(|row| row.digest).collect();
    let new = again.rows.iter().filter(|row| row.is_tag());
    let mut new = new.filter(|row| !known.contains(&(&*row.version, row_identity(row.id, row.created_at))));
    new.find_map(|row| {
        let reached = again.leaves_first([row.manifest?]);
        let lost = reached.into_iter().filter(|one| matches!(again.state(*one), ManifestState::Absent));
        let lost = lost.map(|one| again.digest(one)).find(|one| doomed.contains(one))?;
        Some(WhyWorse::Pushed { package: planned.name.clone(), tag: row.version.to_string(), lost })
    })
}

/// What got worse while a package was acted on: a kept tag that was there and whole before, and is not now.
pub(super) fn worse(planned: &PackagePlan, before: &Package, now: &Package) -> Option<Stopped> {
    let (healthy, health) = (healths(before), healths(now));
    let (was, is) = (Rows::from_package(before), Rows::from_package(now));
    let kept = planned.versions.iter().filter(|row| row.action != Action::Delete);
    let mut unread = None;
    for PlannedRow { version, digest, .. } in kept.filter(|row| !row.version.contains(':')) {
        let Some((digest, Some(at))) = digest.and_then(|digest| Some((digest, was.get(version)?))) else {
            continue;
        };
        if before.digest(at) != digest || healthy[at.index()] != Health::Whole {
            continue;
        }
        let (package, tag) = (planned.name.clone(), version.clone());
        let stopped = match is.get(version) {
            None => Stopped::Worse(WhyWorse::Gone { package, tag }),
            Some(None) => match now.unreadable.clone() {
                Some(why) => Stopped::Unread(WhyUnread::Tag { package, tag, why }),
                None => Stopped::Worse(WhyWorse::NoAnswer { package, tag }),
            },
            // A tag that somebody moved meanwhile is no damage of ours.
            Some(Some(other)) if now.digest(other) != digest => continue,
            Some(Some(same)) => match health[same.index()] {
                Health::Whole => continue,
                Health::Unknown(part) => {
                    Stopped::Unread(WhyUnread::Tag { package, tag, why: why_unread(now, part) })
                }
                Health::Broken(part) => {
                    Stopped::Worse(WhyWorse::Broken { package, tag, part: now.digest(part) })
                }
            },
        };
        if matches!(stopped, Stopped::Worse(_)) {
            return Some(stopped);
        }
        unread.get_or_insert(stopped);
    }
    unread
}

fn why_unread(package: &Package, manifest: ManifestId) -> String {
    match package.state(manifest) {
        ManifestState::Unknown(why) => format!("{}: {why}", package.digest(manifest)),
        _ => package.digest(manifest).to_string(),
    }
}

/// Rows by name.
struct Rows<'a>(HashMap<&'a str, Option<ManifestId>>);

impl<'a> Rows<'a> {
    fn from_package(package: &'a Package) -> Self {
        Self(package.rows.iter().map(|row| (&*row.version, row.manifest)).collect())
    }

    /// What a row names: `None` when there is no such row, `Some(None)` when that is not known.
    fn get(&self, version: &str) -> Option<Option<ManifestId>> {
        self.0.get(version).copied()
    }
}
