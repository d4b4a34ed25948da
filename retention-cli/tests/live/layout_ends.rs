//! Runs and undos on a tree that do not complete: interrupted, undone in part, refused at the first step.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::assert_output_snapshot;
use crate::layout::{Job, differences, mask_digests};
use crate::support::{ProgramOutput, send_signal};

#[test]
fn incomplete_undo_fails() {
    let mut job = Job::new("undo");
    let index = std::fs::read_to_string(job.tree.tag_link("team", "b1")).unwrap();
    let hex = index.strip_prefix("sha256:").unwrap();
    assert_eq!(job.run_on_tree(&["--apply", "-q", "--keep-last", "2", "--journal", "a.journal"]).status, 0);
    // One tag is pushed again, and a collector deletes the bytes of an index that was moved.
    let image = job.tree.image("team/tool", None, "pushed since");
    job.tree.tag("team/tool", "v1", &image.digest);
    std::fs::remove_dir_all(job.tree.v2().join("blobs/sha256").join(&hex[..2]).join(hex)).unwrap();
    let undone = job.run(&["undo", "a.journal"]);
    let unrestored: Vec<_> = undone.out.lines().filter(|line| !line.ends_with("is as it was")).collect();
    assert_output_snapshot!(mask_digests(&unrestored.join("\n")), @"
    repositories/team/tool/_manifests/tags/v1 is left alone: something is there again; what was moved aside stays at .registry-fsck/TIME/repositories/team/tool/_manifests/tags/v1
    repositories/team/_manifests/revisions/sha256/HEX cannot be put back: its bytes were collected since: sha256:HEX
    repositories/team/_manifests/tags/b1 cannot be put back: its bytes were collected since: sha256:HEX
    .registry-fsck/TIME/quarantine.json cannot be put back: what cannot be put back is still in the quarantine
    registry-retention undo: changes=51 back=47 there=0 left=1 lost=3
    ");
    assert_eq!(undone.status, 1);
    assert_output_snapshot!(mask_digests(&undone.err), @"
    error: repositories/team/tool/_manifests/tags/v1 is left alone: something is there again; what was moved aside stays at .registry-fsck/TIME/repositories/team/tool/_manifests/tags/v1
    error: repositories/team/_manifests/revisions/sha256/HEX cannot be put back: its bytes were collected since: sha256:HEX
    error: repositories/team/_manifests/tags/b1 cannot be put back: its bytes were collected since: sha256:HEX
    error: .registry-fsck/TIME/quarantine.json cannot be put back: what cannot be put back is still in the quarantine
    ");
    let tags = job.tags("team");
    assert!(!tags.contains(&"b1".into()) && tags.contains(&"b3".into()), "{tags:?}");
}

#[test]
fn interrupted_run_finishes_current_steps_and_reports() {
    for signal in ["-INT", "-TERM"] {
        let mut job = Job::new("interrupt");
        for number in 0..80 {
            let name = format!("many/of{number}");
            for build in 1..=3 {
                let tag = format!("v{build}");
                job.tree.image(&name, Some(&tag), &format!("{name} {build}"));
                job.set_age(&name, &tag, 30 - build);
            }
        }
        let before = job.tree_state();
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-retention"));
        command.args(["--apply", "--keep-last", "1", "--journal", "a.journal", "--layout", job.root()]);
        command.env_clear().current_dir(&job.folder).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        // The journal is longer than its first line as soon as something is moved.
        let journal = job.folder.join("a.journal");
        let started = Instant::now();
        while journal.metadata().map_or(0, |metadata| metadata.len()) < 1000 {
            assert!(started.elapsed() < Duration::from_secs(60), "nothing is moved");
            std::thread::sleep(Duration::from_millis(1));
        }
        send_signal(child.id(), signal);
        let ran = ProgramOutput::from(child.wait_with_output().unwrap()).replace_text(job.root(), "ROOT");
        assert_eq!(ran.status, 130, "{signal}: {ran:?}");
        let stopping = "registry-retention: stopping after the steps under way; once more ends it now";
        assert_eq!(ran.err, format!("\n{stopping}\nerror: stopped: it was interrupted\n"));
        let end = ran.out.lines().rev().take(4).map(|line| line.split_inclusive("deleted=").next().unwrap());
        assert_output_snapshot!(
            end.collect::<Vec<_>>().join("\n").replace(|sign: char| sign.is_ascii_digit(), "N"),
            @"
        registry-retention apply: deleted=
        the journal is a.journal; registry-retention undo puts back what can be
        what went lies in ROOT/.registry-fsck/NNNNNNNNTNNNNNNZ; garbage-collect without --delete-untagged frees its space, and ends what can be undone
        stopped: it was interrupted
        "
        );
        assert!(ran.out.contains("not tried many/of"), "{ran:?}");
        let undone = job.run(&["undo", "a.journal"]);
        assert_eq!((undone.status, differences(&before, &job.tree_state())), (0, vec![]), "{undone:?}");
    }
}

#[test]
fn run_without_moves_names_no_quarantine_and_no_undo() {
    let mut job = Job::new("nothing");
    job.run_on_tree(&[
        "plan",
        "--plan-file",
        "plan.json",
        "--keep-last",
        "4",
        "-q",
        "--package",
        "team/tool",
    ]);
    // Since the plan, a new tag needs the content of the only image that is to be moved.
    let image = job.tree.image("team/tool", None, "tool 1");
    job.tree.tag("team/tool", "new", &image.digest);
    let ran = job.run_on_tree(&["apply", "plan.json", "--journal", "a.journal"]);
    assert_output_snapshot!(mask_digests(&ran.as_text()), @"
      not tried team/tool:v1.0: new is new and needs sha256:HEX
      not tried team/tool:v1: new is new and needs sha256:HEX
    registry-retention apply: deleted=0 spared=0 failed=0 not_tried=2 already_gone=0
    exit 5
    ");
    assert!(!job.tree.root().join(".registry-fsck").exists());
}

#[test]
#[ignore = "needs root, to give files away and to run as somebody else"]
fn unusable_quarantine_is_refused_before_changes() {
    use std::os::unix::fs::PermissionsExt as _;

    let job = Job::new("room");
    // The user owns docker/ but not its parent folder.
    std::fs::set_permissions(job.tree.root(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let owned =
        Command::new("chown").args(["-R", "65534:65534"]).arg(job.tree.root().join("docker")).status();
    assert!(owned.unwrap().success());
    let before = job.tree_state();
    // Standard error and the exit status, without the plan.
    let output =
        |arguments: &[&str]| ProgramOutput { out: String::new(), ..job.run_as_nobody(arguments) }.as_text();
    let (armed, dry, planned) = (output(&["--apply"]), output(&[]), output(&["plan"]));
    assert_output_snapshot!(armed, @"
    error: this user may not delete here: what goes cannot be moved to ROOT, which is not writable, or on a read-only file system: name another folder on the same file system with --quarantine
    exit 6
    ");
    assert_eq!(dry, armed);
    assert_output_snapshot!(planned, @"
    warning: this user may not delete here: what goes cannot be moved to ROOT, which is not writable, or on a read-only file system: name another folder on the same file system with --quarantine
    exit 0
    ");
    // A quarantine on another file system than the tree's.
    let device = |path: &str| std::os::unix::fs::MetadataExt::dev(&Path::new(path).metadata().unwrap());
    let own = device(job.tree.root().to_str().unwrap());
    let other = ["/dev/shm", "/var/tmp"].into_iter().find(|path| device(path) != own);
    let other = other.expect("/dev/shm or /var/tmp is on another file system than the folder of the test");
    let quarantine = format!("{other}/quarantine-of-nobody");
    assert_output_snapshot!(output(&["--apply", "--quarantine", &quarantine]).replace(other, "OTHER"), @"
    error: this user may not delete here: what goes cannot be moved to OTHER, which is on another file system than the registry: name a folder on the same one with --quarantine
    exit 6
    ");
    assert_eq!(differences(&before, &job.tree_state()), [""; 0]);
}
