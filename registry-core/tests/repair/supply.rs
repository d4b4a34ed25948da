//! A tree as a supply of missing bytes: it gives only regular files in its `blobs/`, and no manifest with wrong bytes.

use std::os::unix::fs::symlink;

use registry_core::oci::manifest::MAX_BYTES;
use registry_core::oci::{Algorithm, Digest};
use registry_core::repair::{Supply as _, TreeSupply};
use registry_fixtures::{Image, TreeBuilder};

use crate::support::tree_supply;

fn tree() -> (TreeBuilder, Image) {
    let mut tree = TreeBuilder::new();
    let image = tree.image("team/app", Some("v1"), "image");
    (tree, image)
}

fn digest(digest: &registry_fixtures::Digest) -> Digest {
    digest.as_str().parse().unwrap()
}

fn fetch(supply: &TreeSupply, digest: &Digest) -> (Result<Option<u64>, String>, Vec<u8>) {
    let mut bytes = Vec::new();
    let answer = supply.fetch("any/name", digest, &mut bytes);
    (answer.map_err(|error| error.to_string()), bytes)
}

#[test]
fn supply_finds_blobs_regardless_of_links() {
    let (mut tree, image) = tree();
    tree.break_layer_link_missing("team/app", &image.layers[0]);
    tree.break_revision_link_missing("team/app", &image.digest);
    let supply = tree_supply(&tree);
    let (layer, bytes) = (digest(&image.layers[0]), tree.bytes(&image.layers[0]));
    assert_eq!(supply.size("any/name", &layer).unwrap(), Some(bytes.len() as u64));
    assert_eq!(fetch(&supply, &layer), (Ok(Some(bytes.len() as u64)), bytes));
    let manifest = supply.manifest("any/name", &digest(&image.digest)).unwrap();
    assert_eq!(manifest, Some(tree.bytes(&image.digest)));
}

#[test]
fn supply_reports_missing_blobs_as_absent() {
    let (mut tree, image) = tree();
    tree.break_blob_missing(&image.layers[0]).break_blob_data_missing(&image.config);
    tree.break_blob_data_is_folder(&image.digest);
    let supply = tree_supply(&tree);
    let never = Digest::hash(Algorithm::Sha512, b"never pushed");
    for digest in [digest(&image.layers[0]), digest(&image.config), digest(&image.digest), never] {
        assert_eq!(supply.size("team/app", &digest).unwrap(), None);
        assert_eq!(supply.manifest("team/app", &digest).unwrap(), None);
        assert_eq!(fetch(&supply, &digest), (Ok(None), Vec::new()));
    }
}

#[test]
fn supply_refuses_manifest_with_wrong_bytes_and_passes_on_unhashed_layer() {
    let (mut tree, image) = tree();
    tree.break_manifest_altered(&image.digest).break_blob_flipped(&image.layers[0]);
    let supply = tree_supply(&tree);
    let error = supply.manifest("team/app", &digest(&image.digest)).unwrap_err().to_string();
    assert!(error.ends_with("data: it has other bytes than its digest says"), "{error}");
    let (answer, bytes) = fetch(&supply, &digest(&image.layers[0]));
    assert_eq!(answer, Ok(Some(bytes.len() as u64)));
    assert_ne!(Digest::hash(Algorithm::Sha256, &bytes), digest(&image.layers[0]));
}

#[test]
fn supply_ignores_manifest_above_four_mebibytes() {
    let mut tree = TreeBuilder::new();
    let most = usize::try_from(MAX_BYTES).unwrap();
    let (fits, larger) = (tree.blob(&vec![b' '; most]), tree.blob(&vec![b' '; most + 1]));
    // A tree without repositories is no registry.
    tree.image("team/app", Some("v1"), "image");
    let supply = tree_supply(&tree);
    assert_eq!(supply.manifest("team/app", &digest(&fits)).unwrap().unwrap().len(), most);
    assert_eq!(supply.manifest("team/app", &digest(&larger)).unwrap(), None);
    assert_eq!(supply.size("team/app", &digest(&larger)).unwrap(), Some(MAX_BYTES + 1));
}

#[test]
fn supply_follows_no_symbolic_link_to_or_at_a_file() {
    let (tree, image) = tree();
    let elsewhere = tempfile::tempdir().unwrap();
    let data = tree.blob_path(&image.layers[0]);
    let moved = elsewhere.path().join("data");
    std::fs::rename(&data, &moved).unwrap();
    symlink(&moved, &data).unwrap();
    let folder = tree.blob_path(&image.digest).parent().unwrap().to_path_buf();
    let moved = elsewhere.path().join("folder");
    std::fs::rename(&folder, &moved).unwrap();
    symlink(&moved, &folder).unwrap();
    let supply = tree_supply(&tree);
    for digest in [digest(&image.layers[0]), digest(&image.digest)] {
        assert!(supply.size("team/app", &digest).is_err());
        assert!(supply.manifest("team/app", &digest).is_err());
        let (answer, bytes) = fetch(&supply, &digest);
        let why = answer.unwrap_err();
        assert!(why.contains("symbolic link") && why.contains("blobs/"), "{why}");
        assert!(bytes.is_empty());
    }
}
