//! Unusable and inapplicable options are refused before anything is changed, in a dry run too.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::support::{ProgramOutput, copy_content, copy_of, fsck, make_fifo, run};

use super::{differences, repair, repairable_tree, tree_state};

/// The exit status and the first line of standard error, with names in the place of paths.
fn first_error(ran: &ProgramOutput, names: &[(&Path, &str)]) -> String {
    let line = ran.err.lines().next().unwrap_or_default().to_owned();
    let line = names.iter().fold(line, |line, (path, name)| line.replace(&*path.to_string_lossy(), name));
    format!("{} {line}", ran.status)
}

#[test]
fn inapplicable_options_of_undo_and_purge_are_refused() {
    let tree = repairable_tree();
    let folder = tempfile::tempdir().unwrap();
    let (journal, quarantine) = (folder.path().join("journal"), tree.root().join("aside"));
    assert_eq!(
        repair(tree.root(), &journal, &["--apply", "--quarantine", quarantine.to_str().unwrap()]).status,
        5
    );
    let before = tree_state(tree.root());
    let mut answers = Vec::new();
    for option in [
        ["--repository", "team/*"],
        ["--metrics-file", "metrics"],
        ["--pushgateway", "http://127.0.0.1:9"],
        ["--jobs", "2"],
    ] {
        let undone = run(fsck().arg("undo").arg(&journal).args(option).current_dir(folder.path()));
        answers.push(first_error(&undone, &[]));
        let mut purge = fsck();
        purge.args(["repair", "--apply", "--purge"]).arg(&quarantine).args(option).current_dir(folder.path());
        answers.push(first_error(&run(&mut purge), &[]));
    }
    for option in [&["--min-age", "2h"][..], &["--no-lock"], &["--user", "me"], &["--role", "cache"]] {
        let mut purge = fsck();
        let ran = run(purge.args(["repair", "--apply", "--purge"]).arg(&quarantine).args(option));
        answers.push(first_error(&ran, &[]));
    }
    insta::assert_snapshot!(answers.join("\n"), @"
    16 ERROR --repository cannot go with undo: a journal is taken back as a whole, the last change first
    16 ERROR --repository cannot go with --purge: a quarantine is deleted as a whole
    16 ERROR undo writes no metrics: those of scan tell of the same registry
    16 ERROR --purge writes no metrics: those of scan tell of the same registry
    16 ERROR undo writes no metrics: those of scan tell of the same registry
    16 ERROR --purge writes no metrics: those of scan tell of the same registry
    16 ERROR --jobs cannot go with undo: it does one thing after the other
    16 ERROR --jobs cannot go with --purge: it does one thing after the other
    16 error: the argument '--purge <QUARANTINE>' cannot be used with '--min-age <DURATION>'
    16 error: the argument '--purge <QUARANTINE>' cannot be used with '--no-lock'
    16 error: the argument '--purge <QUARANTINE>' cannot be used with '--user <NAME>'
    16 error: the argument '--purge <QUARANTINE>' cannot be used with '--role <ROLE>'
    ");
    assert_eq!(differences(&before, &tree_state(tree.root())), [""; 0]);
}

#[test]
fn connection_options_without_registry_are_refused() {
    let tree = repairable_tree();
    let refusal =
        |options: &[&str]| first_error(&run(fsck().arg("repair").arg(tree.root()).args(options)), &[]);
    let other = tree.root().display().to_string();
    let answers = [
        refusal(&["--user", "me"]),
        refusal(&["--password-file", "secret"]),
        refusal(&["--authfile", "auth.json", "--from", &other]),
        refusal(&["--token-service", "https://gitlab.example"]),
        refusal(&["--ca-file", "ca.pem"]),
    ];
    insta::assert_snapshot!(answers.join("\n"), @"
    16 ERROR --user is for a registry that --from names by its URL: name it, or leave --user out
    16 ERROR --password-file is for a registry that --from names by its URL: name it, or leave --password-file out
    16 ERROR --authfile is for a registry that --from names by its URL: name it, or leave --authfile out
    16 ERROR --token-service is for a registry that --from names by its URL: name it, or leave --token-service out
    16 ERROR --ca-file is for a registry that --from names by its URL: name it, or leave --ca-file out
    ");
}

#[test]
fn dry_run_refuses_same_paths_as_repair() {
    let tree = repairable_tree();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let (root, at) = (tree.root(), folder.path());
    let refusal = |options: &[&str], more: &[&str]| {
        let words = options.iter().map(|word| {
            word.replace("ROOT", &root.to_string_lossy()).replace("FOLDER", &at.to_string_lossy())
        });
        let mut command = fsck();
        command.arg("repair").arg(root).args(words).args(more).current_dir(at);
        first_error(&run(&mut command), &[(root, "ROOT"), (at, "FOLDER")])
    };
    let before = (tree_state(root), tree_state(at));
    let mut answers = Vec::new();
    for options in [
        ["--quarantine", "ROOT/docker/aside"],
        ["--quarantine", "FOLDER/file"],
        ["--quarantine", "FOLDER/none/aside"],
        ["--quarantine", "/proc/aside"],
        ["--journal", "ROOT/docker/registry/v2/journal"],
        ["--journal", "FOLDER/none/journal"],
        ["--journal", "FOLDER/file"],
    ] {
        let dry = refusal(&options, &[]);
        assert_eq!(dry, refusal(&options, &["--apply"]));
        answers.push(dry);
    }
    insta::assert_snapshot!(answers.join("\n"), @"
    16 ERROR ROOT/docker/aside lies inside the registry: name a folder outside docker/
    16 ERROR FOLDER/file is there and is no quarantine: name a folder that is not there, or empty
    16 ERROR cannot use FOLDER/none/aside for what is moved aside: No such file or directory (os error 2)
    16 ERROR /proc is on another file system than the registry: things are moved, never copied
    16 ERROR the journal ROOT/docker/registry/v2/journal would lie inside the registry: name another place with --journal
    8 ERROR cannot write the journal FOLDER/none/journal, so nothing is changed: No such file or directory (os error 2)
    8 ERROR cannot write the journal FOLDER/file, so nothing is changed: File exists (os error 17)
    ");
    assert_eq!(differences(&before.0, &tree_state(root)), [""; 0]);
    assert_eq!(differences(&before.1, &tree_state(at)), [""; 0]);
}

#[test]
fn repairs_in_one_second_have_a_journal_each() {
    let (source, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    let trees: Vec<_> = (0..4).map(|_| copy_of(source.root())).collect();
    for tree in &trees {
        let ran = run(fsck().arg("repair").arg(tree.path()).arg("--apply").current_dir(folder.path()));
        assert_eq!(ran.status, 5, "{ran:?}");
    }
    let names =
        folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in &names {
        assert!(name.starts_with("registry-fsck-") && name.ends_with(".journal"), "{name}");
        assert_eq!(run(fsck().arg("undo").arg(name).current_dir(folder.path())).status, 0, "{name}");
    }
    let before = tree_state(source.root());
    for tree in &trees {
        assert_eq!(differences(&before, &tree_state(tree.path())), [""; 0]);
    }
}

#[test]
fn non_utf8_registry_path_leaves_no_journal() {
    let (source, folder) = (repairable_tree(), tempfile::tempdir().unwrap());
    let root = folder.path().join(OsStr::from_bytes(b"d\xff"));
    copy_content(source.root(), &root);
    let journal = folder.path().join("journal");
    for _ in 0..2 {
        let ran = repair(&root, &journal, &["--apply"]);
        let error = first_error(&ran, &[(folder.path(), "FOLDER")]);
        insta::allow_duplicates! { insta::assert_snapshot!(error, @"8 ERROR cannot write the journal FOLDER/journal, so nothing is changed: the path of the registry is no text (UTF-8)"); }
        assert!(!journal.exists());
    }
}

#[test]
fn fifo_as_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    make_fifo(&fifo);
    let undone = run(fsck().arg("undo").arg(&fifo));
    insta::assert_snapshot!(first_error(&undone, &[(folder.path(), "FOLDER")]), @"16 ERROR cannot read the journal FOLDER/fifo: there is something that is no regular file");
}
