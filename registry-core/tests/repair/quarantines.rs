//! Where a quarantine may lie, and to whom it belongs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use registry_core::repair::place;
use registry_fixtures::TreeBuilder;

use crate::support::{OLD, Registry};

/// A registry in which something is to be moved aside.
fn cluttered() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    tree.image("app", Some("v1"), "v1");
    tree.layer("app", b"linked and needed by no manifest");
    tree.age_all(OLD);
    tree
}

/// Where the quarantine that somebody wishes for would lie, or why it may not.
fn placed(registry: &Registry, wish: &Path) -> String {
    match place(&registry.located, Some(wish), Timestamp::now()) {
        Ok(place) => format!("{} {}", place.base.display(), place.below),
        Err(error) => error.to_string(),
    }
}

#[test]
fn another_registrys_quarantine_is_named_and_refused() {
    let (one, other) = (cluttered(), cluttered());
    let folder = tempfile::tempdir().unwrap();
    let aside = folder.path().join("aside");
    Registry::open(one.root()).repair_into(&aside);
    let text = placed(&Registry::open(other.root()), &aside);
    let text = text.replace(&*folder.path().to_string_lossy(), "FOLDER");
    insta::assert_snapshot!(text.replace(&*one.root().to_string_lossy(), "ONE"), @"FOLDER/aside is the quarantine of another registry, ONE/docker/registry/v2: name another folder");
    // One's own is taken again.
    let again = placed(&Registry::open(one.root()), &aside);
    assert_eq!(again, format!("{} aside", folder.path().display()));
}

#[test]
fn folders_without_a_name_of_their_own_are_what_they_are() {
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
    .map(|wish| placed(&registry, wish).replace(&*folder.path().to_string_lossy(), "FOLDER"))
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
