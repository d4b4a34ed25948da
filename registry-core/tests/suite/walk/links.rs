//! Symbolic links are unread unless the caller asks to follow them, and no loop or knot of them keeps the walk from ending.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use registry_core::audit::Code;
use registry_core::storage::Symlinks;

use crate::support::{APP, Base, View, text};

/// Every folder and file that can stand behind a link, and whether it is a folder.
fn levels(base: &Base) -> Vec<(PathBuf, bool)> {
    let tree = &base.tree;
    let up = |path: PathBuf, levels: usize| path.ancestors().nth(levels).unwrap().to_path_buf();
    let (one, arm) = (&base.one, &base.arm);
    let (data, layer) = (tree.blob_path(&one.digest), tree.blob_path(&one.layers[0]));
    let (revision, link) = (tree.revision_link(APP, &arm.digest), tree.layer_link_path(APP, &one.layers[0]));
    let current = tree.tag_link(APP, "v1");
    let mut levels =
        vec![(tree.blobs(), true), (tree.repositories(), true), (up(tree.repository(APP), 1), true)];
    levels.extend([(tree.repository(APP), true), (tree.manifests_folder(APP), true)]);
    for (file, depth) in [(data, 3), (layer, 2), (revision, 3), (link, 3), (current, 3)] {
        levels.push((file.clone(), false));
        levels.extend((1..=depth).map(|above| (up(file.clone(), above), true)));
    }
    levels
}

#[test]
fn symbolic_links_are_not_followed_and_their_targets_are_unknown() {
    for number in 0..levels(&Base::new()).len() {
        let mut base = Base::new();
        let (path, _) = levels(&base)[number].clone();
        base.tree.break_moved_behind_symlink(&path);
        let audit = View { strict: number % 2 == 0, ..View::default() }.look(base.tree.root());
        let shown = text(&audit, &base.names);
        let below = path.strip_prefix(base.tree.v2()).unwrap().to_string_lossy().into_owned();
        assert!(
            audit.unread.iter().any(|unread| unread.path.starts_with(&below)),
            "{below} is not noted: {shown}"
        );
        let others = audit.findings.iter().filter(|finding| finding.code != Code::PathUnread);
        assert_eq!(others.count(), 0, "{below}: {shown}");
        assert!(audit.broken_tags.is_empty() && audit.pieces.is_empty(), "{below}: {shown}");
    }
}

#[test]
fn follow_option_follows_only_links_to_folders() {
    for number in 0..levels(&Base::new()).len() {
        let mut base = Base::new();
        let (path, is_folder) = levels(&base)[number].clone();
        base.tree.break_moved_behind_symlink(&path);
        let audit = View { symlinks: Symlinks::Follow, ..View::default() }.look(base.tree.root());
        let shown = text(&audit, &base.names);
        assert_eq!(shown == "nothing", is_folder, "{}: {shown}", path.display());
        assert!(audit.broken_tags.is_empty() && audit.pieces.is_empty(), "{}: {shown}", path.display());
    }
}

#[test]
fn follow_option_changes_nothing_without_links() {
    let base = Base::new();
    assert_eq!(
        base.report_with(&View { symlinks: Symlinks::Follow, strict: true, ..View::default() }),
        "nothing"
    );
}

#[test]
fn root_may_be_a_symbolic_link() {
    let base = Base::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("root");
    symlink(base.tree.root(), &link).unwrap();
    assert_eq!(text(&View::default().look(&link), &base.names), "nothing");
    let v2 = elsewhere.path().join("v2");
    symlink(base.tree.v2(), &v2).unwrap();
    assert_eq!(text(&View::default().look(&v2), &base.names), "nothing");
}

/// A tree with a link at `from`, below `docker/registry/v2`.
fn linked(links: &[(&str, &str)]) -> Base {
    let base = Base::new();
    for (from, to) in links {
        let from = base.tree.v2().join(from);
        fs::create_dir_all(from.parent().unwrap()).unwrap();
        symlink(to, from).unwrap();
    }
    base
}

#[test]
fn loops_of_links_end() {
    let loops: [&[(&str, &str)]; 5] = [
        &[("repositories/loop", "loop")],
        &[("repositories/team/up", "..")],
        &[("repositories/x/to-y", "../y"), ("repositories/y/to-x", "../x")],
        &[("blobs/sha256/ff", "..")],
        &[("repositories/root", "/")],
    ];
    for links in loops {
        let base = linked(links);
        for symlinks in [Symlinks::Refuse, Symlinks::Follow] {
            let is_followed = symlinks == Symlinks::Follow;
            if is_followed && links[0].1 == "/" {
                continue; // It would walk over the whole machine.
            }
            for strict in [false, true] {
                let audit = View { symlinks, strict, ..View::default() }.look(base.tree.root());
                assert!(audit.broken_tags.is_empty(), "{links:?}: {}", text(&audit, &base.names));
                assert!(!audit.unread.is_empty() || is_followed, "{links:?}: {}", text(&audit, &base.names));
            }
        }
    }
}

/// Twenty folders, each with two links to the next: a million ways to the last.
#[test]
fn knot_of_links_ends() {
    let base = Base::new();
    let knot = base.tree.root().join("knot");
    for number in 0..20 {
        let folder = knot.join(number.to_string());
        fs::create_dir_all(&folder).unwrap();
        for name in ["a", "b"] {
            symlink(knot.join((number + 1).to_string()), folder.join(name)).unwrap();
        }
    }
    symlink(knot.join("0"), base.tree.repositories().join("knot")).unwrap();
    let audit = View { symlinks: Symlinks::Follow, ..View::default() }.look(base.tree.root());
    assert!(audit.broken_tags.is_empty() && !audit.unread.is_empty());
}
