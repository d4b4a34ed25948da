//! Opening a path with `openat2`, and component by component as on kernels without it, must give the same answers.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// The same folder twice: with `openat2` (where this kernel has it) and without.
fn open_both_ways(path: &Path, symlinks: Symlinks) -> [FdFolder; 2] {
    let follow = symlinks == Symlinks::Follow;
    let with = FdFolder::open_root(path, symlinks).unwrap();
    let mut without = FdFolder::open_root(path, symlinks).unwrap();
    without.walk = Arc::new(FdWalk { has_openat2: false, follow, followed_links: AtomicU32::new(0) });
    [with, without]
}

/// A tree with a file, folder, symbolic link and FIFO of each sort that a path may meet.
fn build_tree() -> tempfile::TempDir {
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

/// Missing entries, folders, files and links to either, at the end and in the middle of a path, and paths that leave the tree.
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

/// An answer as text, without what depends on the time of the test.
fn render<T>(answer: Result<T>, render_ok: impl FnOnce(T) -> String) -> String {
    match answer {
        Ok(answer) => render_ok(answer),
        Err(FolderError::Io(error)) => format!("{:?}", error.kind()),
        Err(error) => format!("{error:?}"),
    }
}

/// The answers of every method to one path.
fn answers(folder: &FdFolder, path: &Path) -> [String; 6] {
    let show =
        |stat: Stat| format!("{:?} {}", stat.kind, if stat.kind == EntryKind::File { stat.size } else { 0 });
    let (mut bytes, mut streamed, mut buffer) = (Vec::new(), Vec::new(), [0; 4]);
    let listing = |mut folder: FdFolder| {
        let mut names = Vec::new();
        folder.list(&mut |name, kind| names.push(format!("{name:?} {kind:?}"))).unwrap();
        names.sort();
        names.join(", ")
    };
    let read = render(folder.read(path, 3, &mut bytes), show);
    let stream =
        render(folder.stream(path, &mut [0; 3], &mut |piece| streamed.extend_from_slice(piece)), show);
    [
        render(folder.open(path), listing),
        render(folder.stat(path), show),
        format!("{read} {bytes:?}"),
        format!("{stream} {streamed:?}"),
        render(folder.peek(path, &mut buffer), |count| format!("{count}")),
        format!("{buffer:?}"),
    ]
}

#[test]
fn openat2_and_single_components_give_the_same_answers() {
    let tree = build_tree();
    for symlinks in [Symlinks::Refuse, Symlinks::Follow] {
        let [with, without] = open_both_ways(tree.path(), symlinks);
        for path in PATHS {
            let (with, without) = (answers(&with, path.as_ref()), answers(&without, path.as_ref()));
            assert_eq!(with, without, "{path:?}, links: {symlinks:?}");
        }
    }
}

#[test]
fn each_obstacle_has_its_own_answer() {
    let tree = build_tree();
    for folder in open_both_ways(tree.path(), Symlinks::Refuse) {
        let open = |path: &str| render(folder.open(path.as_ref()), |_| "open".into());
        let read = |path: &str| {
            render(folder.read(path.as_ref(), 9, &mut Vec::new()), |stat| format!("{:?}", stat.kind))
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
fn listing_without_kinds_calls_stat() {
    let stat = |kind| Stat { kind, size: 0, modified: 0, subfolders: None };
    let never = || -> Result<Stat> { panic!("the listing named the kind") };
    assert_eq!(listed_kind(FileType::Directory, never).unwrap(), Some(EntryKind::Folder));
    assert_eq!(listed_kind(FileType::Socket, never).unwrap(), Some(EntryKind::Other));
    for kind in [EntryKind::File, EntryKind::Folder, EntryKind::Symlink, EntryKind::Other] {
        assert_eq!(listed_kind(FileType::Unknown, || Ok(stat(kind))).unwrap(), Some(kind));
    }
}

#[test]
fn removed_entry_is_left_out_and_failing_stat_is_an_error() {
    assert_eq!(listed_kind(FileType::Unknown, || Err(FolderError::NotFound)).unwrap(), None);
    let failed = listed_kind(FileType::Unknown, || Err(FolderError::Io(io::Error::from_raw_os_error(5))));
    assert!(matches!(failed, Err(FolderError::Io(_))));
}
