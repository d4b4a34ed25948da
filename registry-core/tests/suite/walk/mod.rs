//! The walk: what it sees, what it does not follow, and that it ends. The fd-relative folder is compared with `walkdir` and with the
//! folder by path.
#![cfg(target_os = "linux")]

mod links;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use registry_core::audit::{Audit, Code};
use registry_core::storage::{EntryKind, Folder, OpenOptions, SchedulerState, Symlinks, Tree, locate};
use registry_core::storage::{FdFolder, PathFolder};
use registry_fixtures::TreeBuilder;
use registry_fixtures::random::random_tree;

use crate::support::{APP, Base, DAY, Names, View, text};

/// The entries that a walk saw: the kind and, for a file, the size, by path.
type Entries = BTreeMap<PathBuf, (EntryKind, u64)>;

/// Records everything below a folder; each folder is opened through its parent.
fn walk<F: Folder>(folder: &mut F, at: &Path, seen: &mut Entries) {
    let mut entries = Vec::new();
    folder.list(&mut |name, kind| entries.push((name.to_owned(), kind))).unwrap();
    for (name, kind) in entries {
        let path = at.join(&name);
        let stat = folder.stat(Path::new(&name)).unwrap();
        assert_eq!(stat.kind, kind, "{}", path.display());
        if kind == EntryKind::Folder {
            walk(&mut folder.open(Path::new(&name)).unwrap(), &path, seen);
        }
        if kind == EntryKind::File {
            let mut bytes = Vec::new();
            folder.read(Path::new(&name), 1 << 20, &mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, stat.size);
        }
        seen.insert(path, (kind, if kind == EntryKind::File { stat.size } else { 0 }));
    }
}

/// The entries that `walkdir` sees.
fn walkdir_entries(root: &Path) -> Entries {
    let mut seen = Entries::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap().to_path_buf();
        let kind = match entry.file_type() {
            kind if kind.is_symlink() => EntryKind::Symlink,
            kind if kind.is_dir() => EntryKind::Folder,
            kind if kind.is_file() => EntryKind::File,
            _ => EntryKind::Other,
        };
        seen.insert(path, (kind, if kind == EntryKind::File { entry.metadata().unwrap().len() } else { 0 }));
    }
    seen
}

#[derive(Debug, Clone)]
enum Planted {
    File(usize),
    Folder,
    Link(&'static str),
    Fifo,
}

fn planted() -> impl Strategy<Value = Planted> {
    prop_oneof![
        4 => (0_usize..5000).prop_map(Planted::File),
        3 => Just(Planted::Folder),
        2 => prop::sample::select(vec!["/", ".", "..", "a", "nowhere", "/etc/passwd"]).prop_map(Planted::Link),
        1 => Just(Planted::Fifo),
    ]
}

/// Creates an entry below `root` unless something is in the way, and never through a link.
fn plant(root: &Path, names: &[String], planted: &Planted) {
    let mut path = root.to_path_buf();
    let Some((last, folders)) = names.split_last() else { return };
    if names.iter().any(|name| name == "." || name == "..") {
        return;
    }
    for name in folders {
        path.push(name);
        let is_free = path.symlink_metadata().is_err();
        if is_free {
            fs::create_dir(&path).unwrap();
        } else if !path.symlink_metadata().unwrap().is_dir() {
            return;
        }
    }
    path.push(last);
    if path.symlink_metadata().is_ok() {
        return;
    }
    match planted {
        Planted::File(size) => fs::write(&path, vec![b'x'; *size]).unwrap(),
        Planted::Folder => fs::create_dir(&path).unwrap(),
        Planted::Link(target) => symlink(target, &path).unwrap(),
        Planted::Fifo => assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_folder_types_see_what_walkdir_sees(
        entries in prop::collection::vec((prop::collection::vec("[ab.é]{1,3}|[a-z]{60}", 1..5), planted()), 0..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        for (names, planted) in entries {
            plant(folder.path(), &names, &planted);
        }
        let wanted = walkdir_entries(folder.path());
        let (mut by_fd, mut by_path) = (Entries::new(), Entries::new());
        walk(&mut FdFolder::open_root(folder.path(), Symlinks::Refuse).unwrap(), Path::new(""), &mut by_fd);
        walk(&mut PathFolder::open_root(folder.path(), Symlinks::Refuse).unwrap(), Path::new(""), &mut by_path);
        prop_assert_eq!(&by_fd, &wanted);
        prop_assert_eq!(&by_path, &wanted);
    }
}

#[test]
fn folder_can_be_listed_twice() {
    let base = Base::new();
    let mut folder = FdFolder::open_root(&base.tree.v2(), Symlinks::Refuse).unwrap();
    for _ in 0..2 {
        let mut names = Vec::new();
        folder.list(&mut |name, _| names.push(name.to_owned())).unwrap();
        names.sort();
        assert_eq!(names, ["blobs", "repositories"]);
    }
}

#[test]
fn no_path_leads_out_of_a_folder() {
    let base = Base::new();
    fs::write(base.tree.root().join("secret"), "x").unwrap();
    fn check<F: Folder>(folder: &F) {
        for path in ["../../../secret", "/etc/passwd", "blobs/../../../../secret"] {
            let mut bytes = Vec::new();
            assert!(folder.read(Path::new(path), 10, &mut bytes).is_err() && bytes.is_empty(), "{path}");
            assert!(folder.stat(Path::new(path)).is_err() && folder.open(Path::new(path)).is_err(), "{path}");
        }
    }
    check(&FdFolder::open_root(&base.tree.v2(), Symlinks::Refuse).unwrap());
    check(&PathFolder::open_root(&base.tree.v2(), Symlinks::Refuse).unwrap());
}

/// The complete result of an audit as text.
fn full_report(audit: &Audit) -> String {
    let mut pieces: Vec<_> = audit.pieces.iter().map(|piece| format!("{piece:?}")).collect();
    pieces.sort();
    format!("{}\n{}\n{:?}", text(audit, &Names::default()), pieces.join("\n"), audit.source)
}

fn opened<F: Folder>(folder: F) -> Tree<F> {
    Tree::from_folder("tree", folder, SchedulerState::Absent, 4).unwrap()
}

#[test]
fn both_folder_types_give_the_same_audit() {
    for seed in 0..40 {
        let (tree, story) = random_tree(seed);
        let symlinks = if seed % 2 == 0 { Symlinks::Follow } else { Symlinks::Refuse };
        let view = View { content: seed % 4 == 0, strict: seed % 3 == 0, later: 10 * DAY, ..View::default() };
        let by_fd = opened(FdFolder::open_root(&tree.v2(), symlinks).unwrap());
        let by_path = opened(PathFolder::open_root(&tree.v2(), symlinks).unwrap());
        let (by_fd, by_path) = (full_report(&view.audit(&by_fd).1), full_report(&view.audit(&by_path).1));
        assert!(by_fd == by_path, "{by_fd}\n--\n{by_path}\n{story:#?}");
    }
}

#[test]
fn fifo_anywhere_does_not_block_the_scan() {
    let places: [fn(&mut Base) -> PathBuf; 9] = [
        |base| base.tree.tag_link(APP, "v1"),
        |base| base.tree.revision_link(APP, &base.arm.digest),
        |base| base.tree.layer_link_path(APP, &base.one.layers[0]),
        |base| base.tree.blob_path(&base.one.digest),
        |base| base.tree.blob_path(&base.one.layers[0]),
        |base| base.tree.blob_folder(&base.one.config),
        |base| base.tree.history_link(APP, "v1", &base.one.digest),
        |base| {
            let id = base.tree.upload(APP, b"so far", Some("2020-01-02T03:04:05Z"));
            base.tree.upload_folder(APP, &id).join("startedat")
        },
        |base| base.tree.v2().join("repositories/pipe"),
    ];
    for place in places {
        for symlinks in [Symlinks::Refuse, Symlinks::Follow] {
            let mut base = Base::new();
            let path = place(&mut base);
            base.tree.break_fifo(&path);
            let view = View { content: true, strict: true, symlinks, ..View::default() };
            let report = base.report_with(&view);
            assert_ne!(report, "nothing", "{}", path.display());
        }
    }
}

#[test]
fn deeply_nested_folders_end() {
    let base = Base::new();
    let mut path = base.tree.repositories();
    path.extend(["a"; 400]);
    fs::create_dir_all(path.join("_layers")).unwrap();
    let audit = View { strict: true, ..View::default() }.look(base.tree.root());
    let [finding] = &audit.findings[..] else { panic!("{}", text(&audit, &base.names)) };
    assert_eq!(finding.code, Code::PathUnexpected);
}

#[test]
fn tree_is_found_and_opened_by_its_v2() {
    let base = Base::new();
    let found = locate(&base.tree.v2(), Symlinks::Refuse).registries;
    assert!(Tree::open(&found[0], &OpenOptions::default()).is_ok());
    fs::remove_dir_all(base.tree.v2()).unwrap();
    assert!(Tree::open(&found[0], &OpenOptions::default()).is_err());
    let empty = TreeBuilder::new();
    let audit = View::default().look(empty.root());
    assert_eq!((audit.source.repositories, audit.source.complete), (0, true));
}
