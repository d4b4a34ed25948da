//! Both ways of opening a path below a folder, held against each other: in one call, and component by component, as on
//! kernels without `openat2`.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// The same folder twice: with `openat2` (where this kernel has it) and without.
fn both(path: &Path, symlinks: Symlinks) -> [FdFolder; 2] {
    let follow = symlinks == Symlinks::Follow;
    let with = FdFolder::open_root(path, symlinks).unwrap();
    let mut without = FdFolder::open_root(path, symlinks).unwrap();
    without.walk = Arc::new(FdWalk { has_openat2: false, follow, followed: AtomicU32::new(0) });
    [with, without]
}

/// A tree with one of everything that can stand in the way.
fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::create_dir_all(at("a/b/c/d/e/f/g/h")).unwrap();
    fs::write(at("a/file"), "text").unwrap();
    fs::write(at("a/b/c/d/e/f/g/h/deep"), "far down").unwrap();
    fs::write(at("empty"), "").unwrap();
    symlink("b", at("a/to-folder")).unwrap();
    symlink("file", at("a/to-file")).unwrap();
    symlink("nowhere", at("a/dangling")).unwrap();
    symlink("loop", at("a/loop")).unwrap();
    symlink("/", at("a/to-root")).unwrap();
    symlink("..", at("a/up")).unwrap();
    let fifo = rustix::fs::mknodat(
        rustix::fs::CWD,
        at("a/fifo"),
        FileType::Fifo,
        Mode::from_raw_mode(0o600),
        rustix::fs::Dev::default(),
    );
    fifo.unwrap();
    tree
}

/// A missing thing, a folder, a file, a link to either, at the end and in the middle, and ways out.
const PATHS: [&str; 34] = [
    ".",
    "a",
    "a/",
    "./a",
    "a/.",
    "a/./file",
    "a/file",
    "a/file/",
    "a/file/x",
    "a/b/c/d/e/f/g/h",
    "a/b/c/d/e/f/g/h/deep",
    "a/b/c/d/e/f/g/h/none",
    "none",
    "none/none",
    "a/none/none",
    "empty",
    "a/to-folder",
    "a/to-folder/",
    "a/to-folder/c",
    "a/to-folder/none",
    "a/to-file",
    "a/to-file/x",
    "a/dangling",
    "a/dangling/x",
    "a/loop",
    "a/loop/x",
    "a/to-root/etc",
    "a/up/empty",
    "a/fifo",
    "a/fifo/x",
    "..",
    "a/../empty",
    "/etc/passwd",
    "",
];

/// An answer as text; of a `Stat` what does not depend on the moment.
fn told<T>(answer: Result<T>, tell: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(answer) => tell(answer),
        Err(FolderError::Io(error)) => format!("{:?}", error.kind()),
        Err(error) => format!("{error:?}"),
    }
}

/// All that can be asked of a path.
fn answers(folder: &FdFolder, path: &Path) -> [String; 6] {
    let tell =
        |stat: Stat| format!("{:?} {}", stat.kind, if stat.kind == EntryKind::File { stat.size } else { 0 });
    let (mut bytes, mut streamed, mut room) = (Vec::new(), Vec::new(), [0; 4]);
    let listing = |mut folder: FdFolder| {
        let mut names = Vec::new();
        folder.list(&mut |name, kind| names.push(format!("{name:?} {kind:?}"))).unwrap();
        names.sort();
        names.join(", ")
    };
    let read = told(folder.read(path, 3, &mut bytes), tell);
    let stream = told(folder.stream(path, &mut [0; 3], &mut |piece| streamed.extend_from_slice(piece)), tell);
    [
        told(folder.open(path), listing),
        told(folder.stat(path), tell),
        format!("{read} {bytes:?}"),
        format!("{stream} {streamed:?}"),
        told(folder.peek(path, &mut room), |count| format!("{count}")),
        format!("{room:?}"),
    ]
}

#[test]
fn both_ways_give_the_same_answers() {
    let tree = tree();
    for symlinks in [Symlinks::Refuse, Symlinks::Follow] {
        let [with, without] = both(tree.path(), symlinks);
        for path in PATHS {
            let (with, without) = (answers(&with, path.as_ref()), answers(&without, path.as_ref()));
            assert_eq!(with, without, "{path:?}, links: {symlinks:?}");
        }
    }
}

#[test]
fn each_obstacle_has_its_own_answer() {
    let tree = tree();
    for folder in both(tree.path(), Symlinks::Refuse) {
        let open = |path: &str| told(folder.open(path.as_ref()), |_| "open".into());
        let read = |path: &str| {
            told(folder.read(path.as_ref(), 9, &mut Vec::new()), |stat| format!("{:?}", stat.kind))
        };
        assert_eq!((open("a/b/c/d/e/f/g/h"), read("a/b/c/d/e/f/g/h/deep")), ("open".into(), "File".into()));
        assert_eq!((open("a/to-folder"), read("a/to-file")), ("Symlink".into(), "Symlink".into()));
        assert_eq!((open("a/to-folder/c"), read("a/up/empty")), ("Symlink".into(), "Symlink".into()));
        assert_eq!((open("a/none"), read("a/none/none")), ("NotFound".into(), "NotFound".into()));
        assert_eq!((open("a/file"), read("a/file/x")), ("NotAFolder".into(), "NotAFolder".into()));
        assert_eq!((open("a/fifo"), read("a/fifo")), ("NotAFolder".into(), "Other".into()));
        for outside in ["..", "a/../empty", "/etc", ""] {
            assert_eq!(
                (open(outside), read(outside)),
                ("InvalidInput".into(), "InvalidInput".into()),
                "{outside:?}"
            );
        }
    }
}

#[test]
fn a_listing_without_kinds_asks_for_them() {
    let stat = |kind| Stat { kind, size: 0, modified: 0, subfolders: None };
    let never = || -> Result<Stat> { panic!("the listing told it") };
    assert_eq!(listed(FileType::Directory, never).unwrap(), Some(EntryKind::Folder));
    assert_eq!(listed(FileType::Socket, never).unwrap(), Some(EntryKind::Other));
    for kind in [EntryKind::File, EntryKind::Folder, EntryKind::Symlink, EntryKind::Other] {
        assert_eq!(listed(FileType::Unknown, || Ok(stat(kind))).unwrap(), Some(kind));
    }
}

#[test]
fn an_entry_that_is_gone_since_is_not_listed_and_one_that_fails_is_no_entry_left_out() {
    assert_eq!(listed(FileType::Unknown, || Err(FolderError::NotFound)).unwrap(), None);
    let failed = listed(FileType::Unknown, || Err(FolderError::Io(io::Error::from_raw_os_error(5))));
    assert!(matches!(failed, Err(FolderError::Io(_))));
}
