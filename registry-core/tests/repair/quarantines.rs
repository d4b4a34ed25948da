//! Where a quarantine may lie, which registry it belongs to, and its mode.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use registry_core::repair::StepOutcome;
use registry_core::tree_writer::find_place;
use registry_fixtures::TreeBuilder;

use crate::support::{OLD, Registry, broken_tags, shorten_hashes};

/// A registry with something to move aside.
fn cluttered() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "v1");
    tree.layer("app", b"linked and needed by no manifest");
    tree.age_all(OLD);
    tree
}

/// The place of a quarantine that is asked for, or why it is refused.
fn placement(registry: &Registry, wish: &Path) -> String {
    match find_place(&registry.located, Some(wish), Timestamp::now()) {
        Ok(place) => format!("{} {}", place.base.display(), place.below),
        Err(error) => error.to_string(),
    }
}

#[test]
fn quarantine_of_another_registry_is_named_and_refused() {
    let (one, other) = (cluttered(), cluttered());
    let folder = tempfile::tempdir().unwrap();
    let aside = folder.path().join("aside");
    Registry::open(one.root()).repair_into(&aside);
    let text = placement(&Registry::open(other.root()), &aside);
    let text = text.replace(&*folder.path().to_string_lossy(), "FOLDER");
    insta::assert_snapshot!(text.replace(&*one.root().to_string_lossy(), "ONE"), @"FOLDER/aside is the quarantine of another registry, ONE/docker/registry/v2: name another folder");
    // The registry may use its own quarantine again.
    let again = placement(&Registry::open(one.root()), &aside);
    assert_eq!(again, format!("{} aside", folder.path().display()));
}

#[test]
fn quarantine_paths_without_a_usable_name_are_resolved_or_refused() {
    let tree = cluttered();
    let registry = Registry::open(tree.root());
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("empty/inner")).unwrap();
    fs::create_dir_all(folder.path().join("full/inner")).unwrap();
    symlink(folder.path().join("empty/inner"), folder.path().join("link")).unwrap();
    let v2 = tree.v2();
    let said: Vec<_> = [
        folder.path().join("empty/inner/."),
        folder.path().join("full/inner/.."),
        folder.path().join("link/"),
        v2.join("repositories/.."),
        PathBuf::from("/"),
        PathBuf::from("."),
        PathBuf::from(".."),
        folder.path().join("line\nbreak"),
    ]
    .iter()
    .map(|wish| placement(&registry, wish).replace(&*folder.path().to_string_lossy(), "FOLDER"))
    .map(|text| text.replace(&*tree.root().to_string_lossy(), "ROOT"))
    .collect();
    insta::assert_snapshot!(said.join("\n"), @"
    FOLDER/empty inner
    FOLDER/full/inner/.. is there and is no quarantine: name a folder that is not there, or empty
    FOLDER/link/ is there and is no quarantine: name a folder that is not there, or empty
    ROOT/docker/registry/v2/repositories/.. is there and is no quarantine: name a folder that is not there, or empty
    / is there and is no quarantine: name a folder that is not there, or empty
    . is there and is no quarantine: name a folder that is not there, or empty
    .. is there and is no quarantine: name a folder that is not there, or empty
    FOLDER/line
    break is no path that can be written down: choose a name in UTF-8 without control characters
    ");
}

/// A registry with one damage whose repair writes, and one whose repair moves.
fn damaged() -> TreeBuilder {
    let mut tree = cluttered();
    let index = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    let image = tree.image("web", Some("1"), "web");
    tree.break_revision_link_missing("team/app", &index.images[0].digest);
    tree.break_blob_zero(&image.layers[0]);
    tree.age_all(OLD);
    tree
}

#[test]
fn steps_that_only_add_are_done_without_a_quarantine() {
    let tree = damaged();
    fs::write(tree.root().join(".registry-fsck"), "a file in its place").unwrap();
    let registry = Registry::open(tree.root());
    let repaired = registry.repair();
    let said = repaired.plan.steps().iter().zip(&repaired.outcomes).map(|(step, outcome)| match outcome {
        StepOutcome::Failed(why) => format!("{} failed: {why}", step.action.as_str()),
        other => format!("{} {other:?}", step.action.as_str()),
    });
    let said = said.collect::<Vec<_>>().join("\n").replace(&*tree.root().to_string_lossy(), "ROOT");
    let stamped =
        said.split("/.registry-fsck/").map(|part| part.split_once("Z ").map_or(part, |(_, part)| part));
    insta::assert_snapshot!(shorten_hashes(&stamped.collect::<Vec<_>>().join("/.registry-fsck/TIME ")), @"
    quarantine failed: the quarantine ROOT/.registry-fsck/TIME cannot be made: a file in the place of a folder; name another folder
    relink Done
    unlink failed: the quarantine ROOT/.registry-fsck/TIME cannot be made: a file in the place of a folder; name another folder
    ");
    // The missing link was restored.
    assert_eq!(broken_tags(&registry.audit()).into_iter().collect::<Vec<_>>(), ["web:1"]);
}

#[test]
fn quarantine_has_the_mode_of_its_parent_without_rights_for_others() {
    for (mode, expected) in [(0o755, 0o750), (0o2775, 0o770), (0o777, 0o770), (0o700, 0o700), (0o555, 0o750)]
    {
        let tree = damaged();
        fs::set_permissions(tree.root(), fs::Permissions::from_mode(mode)).unwrap();
        Registry::open(tree.root()).repair();
        let home = tree.root().join(".registry-fsck");
        let quarantine = fs::read_dir(&home).unwrap().next().unwrap().unwrap().path();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        for folder in [&home, &quarantine, &quarantine.join("blobs"), &quarantine.join("repositories/app")] {
            assert_eq!(mode(folder), expected, "{}", folder.display());
        }
        assert_eq!(mode(&quarantine.join("quarantine.json")), expected & 0o666);
        fs::set_permissions(tree.root(), fs::Permissions::from_mode(0o755)).unwrap();
    }
}
