//! Whether manifests answer down to the leaves. Layers are not looked at: that is a probe's job.

use super::package::{ManifestId, ManifestState, Package};

/// How much of a manifest and all that it lists answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// All of it.
    Whole,
    /// This manifest was not read, and none is known to be absent.
    Unknown(ManifestId),
    /// This manifest is known to be absent.
    Broken(ManifestId),
}

/// The health of every manifest, by number. Of several that do not answer the one with the smallest digest is named,
/// whatever the order of reading. A mere mention is no part: it need not be a manifest at all.
pub(super) fn healths(package: &Package) -> Vec<Health> {
    let mut healths = vec![Health::Whole; package.len()];
    for manifest in package.leaves_first(package.manifests()) {
        let own = match package.state(manifest) {
            ManifestState::Present(_) => Health::Whole,
            ManifestState::Absent => Health::Broken(manifest),
            ManifestState::Unasked | ManifestState::Unknown(_) => Health::Unknown(manifest),
        };
        let children = package.info(manifest).into_iter().flat_map(|info| &info.children);
        healths[manifest.index()] =
            children.fold(own, |worst, child| worse(package, worst, healths[child.index()]));
    }
    healths
}

fn worse(package: &Package, one: Health, other: Health) -> Health {
    let first = |a, b| if package.digest(a) <= package.digest(b) { a } else { b };
    match (one, other) {
        (Health::Whole, health) | (health, Health::Whole) => health,
        (Health::Broken(a), Health::Broken(b)) => Health::Broken(first(a, b)),
        (Health::Unknown(a), Health::Unknown(b)) => Health::Unknown(first(a, b)),
        (Health::Broken(lost), Health::Unknown(_)) | (Health::Unknown(_), Health::Broken(lost)) => {
            Health::Broken(lost)
        }
    }
}
