//! Whether manifests are whole: they and all their children answer. Layers are not looked at; a probe does that.

use super::package::{ManifestId, ManifestState, Package};

/// Whether a manifest answers with everything below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// The manifest and all its children answer, at every depth.
    Whole,
    /// The named manifest was not read, and none is known to be absent.
    Unknown(ManifestId),
    /// The named manifest is absent.
    Broken(ManifestId),
}

/// The health of every manifest, by number. Of several manifests that do not answer, the one with the smallest digest is named,
/// so that the order of reading does not matter. Mentions do not count: they need not be manifests.
pub(super) fn healths(package: &Package) -> Vec<Health> {
    let mut healths = vec![Health::Whole; package.len()];
    for manifest in package.leaves_first(package.manifests()) {
        let own = match package.state(manifest) {
            ManifestState::Present(_) => Health::Whole,
            ManifestState::Absent => Health::Broken(manifest),
            ManifestState::Unasked | ManifestState::Unknown(_) => Health::Unknown(manifest),
        };
        healths[manifest.index()] = package
            .children(manifest)
            .fold(own, |health, child| worse_of(package, health, healths[child.index()]));
    }
    healths
}

/// The worse of two healths.
fn worse_of(package: &Package, one: Health, other: Health) -> Health {
    let smaller = |a, b| if package.digest(a) <= package.digest(b) { a } else { b };
    match (one, other) {
        (Health::Whole, health) | (health, Health::Whole) => health,
        (Health::Broken(a), Health::Broken(b)) => Health::Broken(smaller(a, b)),
        (Health::Unknown(a), Health::Unknown(b)) => Health::Unknown(smaller(a, b)),
        (Health::Broken(lost), Health::Unknown(_)) | (Health::Unknown(_), Health::Broken(lost)) => {
            Health::Broken(lost)
        }
    }
}
