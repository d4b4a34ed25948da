//! What changed in a package between planning and acting, and while acting. It compares what others read, and reads nothing.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::applied::{Held, Stopped};
use super::decision::Action;
use super::follow::{SubjectElsewhere, followed_digest};
use super::health::{Health, healths};
use super::package::{ManifestId, ManifestState, Package};
use super::plan::{PackagePlan, PlannedRow};
use super::stays::{PackageDrift, WhyNotDeleted, WhyUnread, WhyWorse};
use super::waiting_rows::is_gone;
use crate::oci::Digest;
use crate::text::escape;

/// What tells a row from a later one of the same name: its number, which a re-push changes, else its push time. Beside a number
/// the time does not count: it may be an original push time that replaced the server's.
pub(super) fn row_identity(
    id: Option<u64>,
    created_at: Option<Timestamp>,
) -> (Option<u64>, Option<Timestamp>) {
    (id, created_at.filter(|_| id.is_none()))
}

/// The first part of a package that could not be read, and why.
pub(super) fn unread_part(now: &Package) -> Option<String> {
    let is_unknown = |manifest: &ManifestId| matches!(now.state(*manifest), ManifestState::Unknown(_));
    now.unreadable
        .clone()
        .or_else(|| now.manifests().find(is_unknown).map(|manifest| why_unread(now, manifest)))
}

/// Why nothing may be deleted in a package that changed since it was planned: a new row reaches a manifest to delete, or a kept
/// image is gone or broken already.
pub(super) fn find_drift(planned: &PackagePlan, now: &Package) -> Option<PackageDrift> {
    let rows = planned.versions.iter();
    let known: HashMap<&str, _> =
        rows.map(|row| (row.version.as_str(), (row_identity(row.id, row.created_at), row.digest))).collect();
    let deleted = planned.rows_to_delete().filter_map(|row| row.digest);
    let deleted: HashSet<ManifestId> = deleted.filter_map(|digest| now.find(&digest)).collect();
    let reaching = now.reach_up(deleted.iter().copied());
    for row in &now.rows {
        let digest = row.manifest.map(|manifest| now.digest(manifest));
        if known.get(&*row.version) == Some(&(row_identity(row.id, row.created_at), digest)) {
            continue;
        }
        let Some(manifest) = row.manifest else {
            return Some(PackageDrift::Unreadable { version: row.version.to_string() });
        };
        // The same row has another digest: the plan was made from a wrong reading.
        let planned = planned.versions.iter().find(|other| other.version == *row.version && row.id.is_some());
        if let Some(planned) = planned.filter(|other| other.id == row.id && other.digest != digest) {
            let (version, now) = (row.version.to_string(), now.digest(manifest));
            return Some(PackageDrift::OtherDigest { version, now, planned: planned.digest });
        }
        let followed = followed_digest(&row.version).and_then(|subject| now.find(&subject));
        let mut subjects = now.subject(manifest).into_iter().chain(followed);
        let needed = subjects.find(|subject| deleted.contains(subject)).or_else(|| {
            let reached = reaching[manifest.index()].then(|| now.leaves_first([manifest]));
            reached.into_iter().flatten().find(|below| deleted.contains(below))
        });
        if let Some(needed) = needed {
            return Some(PackageDrift::Needs {
                version: row.version.to_string(),
                needed: now.digest(needed),
            });
        }
    }
    find_lost_kept_tag(planned, now)
}

/// The subjects in the package `name` that are not confirmed to be gone, and why their followers in other packages stay. `now` is
/// the package as it was just read, or why it could not be read.
pub(super) fn subjects_not_gone(
    planned: Option<&PackagePlan>,
    name: &str,
    now: &Result<Package, String>,
    subjects: BTreeSet<Digest>,
) -> Vec<(SubjectElsewhere, Held)> {
    let not_gone = subjects.into_iter().filter_map(|digest| {
        let package = name.to_owned();
        let held = match now {
            Ok(now) if is_gone(planned, now, &digest) => return None,
            Ok(_) => Held::spared(WhyNotDeleted::SubjectThere { digest, package }),
            Err(why) => Held::failed(WhyNotDeleted::SubjectUnknown { digest, package, why: why.clone() }),
        };
        Some((SubjectElsewhere { package: name.to_owned(), digest }, held))
    });
    not_gone.collect()
}

/// A kept tag that is gone or broken although the plan counted on it: fewer images than asked for would stay.
fn find_lost_kept_tag(planned: &PackagePlan, now: &Package) -> Option<PackageDrift> {
    let (health, rows) = (healths(now), manifests_by_row(now));
    let broken: HashSet<&str> = planned.broken.iter().map(String::as_str).collect();
    for row in planned.versions.iter().filter(|row| row.action == Action::Keep && row.is_tag()) {
        let name = escape(&row.version);
        match rows.get(row.version.as_str()).copied() {
            None => return Some(PackageDrift::Gone { version: row.version.clone() }),
            Some(Some(manifest)) if Some(now.digest(manifest)) == row.digest => {
                if let (Health::Broken(part), false) = (health[manifest.index()], broken.contains(&*name)) {
                    return Some(PackageDrift::Broken {
                        version: row.version.clone(),
                        part: now.digest(part),
                    });
                }
            }
            Some(_) => {}
        }
    }
    None
}

/// A tag that was pushed between the last reading of a package and a deletion, and that needs what was deleted. Nothing can
/// prevent that; it is reported, so that somebody pushes the tag again.
#[cfg(feature = "remote")]
pub(super) fn find_orphaned_tag(planned: &PackagePlan, now: &Package) -> Option<WhyWorse> {
    let known: HashSet<_> = planned
        .versions
        .iter()
        .map(|row| (row.version.as_str(), row_identity(row.id, row.created_at)))
        .collect();
    let deleted: HashSet<_> = planned.rows_to_delete().filter_map(|row| row.digest).collect();
    let new = now.rows.iter().filter(|row| row.is_tag());
    let mut new = new.filter(|row| !known.contains(&(&*row.version, row_identity(row.id, row.created_at))));
    new.find_map(|row| {
        let reached = now.leaves_first([row.manifest?]);
        let lost =
            reached.into_iter().filter(|manifest| matches!(now.state(*manifest), ManifestState::Absent));
        let lost = lost.map(|manifest| now.digest(manifest)).find(|digest| deleted.contains(digest))?;
        Some(WhyWorse::Pushed { package: planned.name.clone(), tag: row.version.to_string(), lost })
    })
}

/// A kept tag that was whole before a package was acted on and is not now. A tag that is known to be worse comes before one that
/// could not be read.
pub(super) fn find_worse_tag(planned: &PackagePlan, before: &Package, now: &Package) -> Option<Stopped> {
    let (health_before, health_now) = (healths(before), healths(now));
    let (rows_before, rows_now) = (manifests_by_row(before), manifests_by_row(now));
    let kept = planned.versions.iter().filter(|row| row.action != Action::Delete && row.is_tag());
    let mut unread = None;
    for PlannedRow { version, digest, .. } in kept {
        let (Some(digest), Some(Some(manifest))) = (*digest, rows_before.get(version.as_str()).copied())
        else {
            continue;
        };
        if before.digest(manifest) != digest || health_before[manifest.index()] != Health::Whole {
            continue;
        }
        let (package, tag) = (planned.name.clone(), version.clone());
        let stopped = match rows_now.get(version.as_str()).copied() {
            None => Stopped::Worse(WhyWorse::Gone { package, tag }),
            Some(None) => match now.unreadable.clone() {
                Some(why) => Stopped::Unread(WhyUnread::Tag { package, tag, why }),
                None => Stopped::Worse(WhyWorse::NoAnswer { package, tag }),
            },
            // Somebody moved the tag meanwhile: that is no damage by this run.
            Some(Some(other)) if now.digest(other) != digest => continue,
            Some(Some(same)) => match health_now[same.index()] {
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

/// A manifest that was not read, and why where that is known.
fn why_unread(package: &Package, manifest: ManifestId) -> String {
    match package.state(manifest) {
        ManifestState::Unknown(why) => format!("{}: {why}", package.digest(manifest)),
        _ => package.digest(manifest).to_string(),
    }
}

/// The manifest of each row, by the name of the row; `None` for a row whose manifest is unknown.
fn manifests_by_row(package: &Package) -> HashMap<&str, Option<ManifestId>> {
    package.rows.iter().map(|row| (&*row.version, row.manifest)).collect()
}
