//! Journals that cannot be written: nothing is deleted that the journal does not have.

use registry_core::retention::DeletionEntry;
use registry_fixtures::forgejo::Fault;

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident};

#[test]
fn unwritable_journal_deletes_nothing() {
    let job = Job::new("journal", incident(BOTH[1]));
    let output = |path: &str| {
        job.run_without_effect(&["--apply", "--quiet", "--keep-last", "1", "--journal", path], &[])
    };
    assert_output_snapshot!(output("no/such/folder/journal"), @"
    registry-retention plan: packages=3 images_kept=5 images_deleted=18 versions_deleted=18 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=19606
    error: cannot write the journal no/such/folder/journal, so nothing is deleted: No such file or directory (os error 2)
    exit 1
    ");
    assert_output_snapshot!(output("."), @"
    registry-retention plan: packages=3 images_kept=5 images_deleted=18 versions_deleted=18 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=19606
    error: cannot write the journal ., so nothing is deleted: File exists (os error 17)
    exit 1
    ");
    // Anything that exists is left alone, also a device.
    assert_output_snapshot!(output("/dev/full"), @"
    registry-retention plan: packages=3 images_kept=5 images_deleted=18 versions_deleted=18 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=19606
    error: cannot write the journal /dev/full, so nothing is deleted: File exists (os error 17)
    exit 1
    ");
    // An old journal is not overwritten, because an undo needs it.
    std::fs::write(job.folder.join("old"), "precious").unwrap();
    assert_output_snapshot!(output("old"), @"
    registry-retention plan: packages=3 images_kept=5 images_deleted=18 versions_deleted=18 left=28 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=19606
    error: cannot write the journal old, so nothing is deleted: File exists (os error 17)
    exit 1
    ");
    assert_eq!(std::fs::read_to_string(job.folder.join("old")).unwrap(), "precious");
}

#[test]
fn journal_moves_to_temporary_folder_when_folder_is_unwritable() {
    let job = Job::new("temporary", incident(BOTH[1]));
    // Not even root can make files here.
    let ran =
        job.run_limited("cd /proc/self", &["--apply", "--quiet", "--package", "api", "--keep-last", "1"]);
    assert_eq!((ran.status, job.tags("api").len()), (0, 1), "{ran:?}");
    let folder = job.folder.display().to_string();
    assert_output_snapshot!(ran.as_text().replace(&folder, "FOLDER"), @"
    registry-retention plan: packages=1 images_kept=1 images_deleted=2 versions_deleted=2 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=930
    registry-retention apply: deleted=2 spared=0 failed=0 not_tried=0 already_gone=0
    warning: cannot write the journal registry-retention-TIME.journal (No such file or directory (os error 2)); it goes to FOLDER/registry-retention-TIME.journal
    exit 0
    ");
    let neither = Job::new("neither", incident(BOTH[1]));
    let ran = neither.run_limited(
        "cd /proc/self; TMPDIR=/proc/self; export TMPDIR",
        &["--apply", "--quiet", "--package", "api", "--keep-last", "1"],
    );
    assert_eq!(neither.changes(), [""; 0]);
    assert_output_snapshot!(ran.as_text(), @"
    registry-retention plan: packages=1 images_kept=1 images_deleted=2 versions_deleted=2 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=930
    warning: cannot write the journal registry-retention-TIME.journal (No such file or directory (os error 2)); it goes to /proc/self/registry-retention-TIME.journal
    error: cannot write the journal /proc/self/registry-retention-TIME.journal either, so nothing is deleted: No such file or directory (os error 2)
    exit 1
    ");
}

/// The number of deletions in a journal, without a torn last line.
fn count_deletions(text: &str) -> usize {
    let entries = text.lines().filter_map(|line| serde_json::from_str::<DeletionEntry>(line).ok());
    entries.filter(|entry| matches!(entry, DeletionEntry::Deleting { .. })).count()
}

// With -q, only counts showed that a run had stopped and what a plan refused.
#[test]
fn bug_quiet_run_says_why_it_stopped() {
    let job = Job::new("quiet", incident(BOTH[1]));
    let limits = "trap '' XFSZ; ulimit -f 3";
    let arguments = ["--apply", "--package", "kms*", "--keep-last", "2", "--journal", "journal", "--quiet"];
    for output in ["text", "json"] {
        let _ = std::fs::remove_file(job.folder.join("journal"));
        let ran = job.run_limited(limits, &[&arguments[..], &["--output", output]].concat());
        assert_eq!((ran.status, job.changes()), (1, Vec::new()), "{ran:?}");
        assert_eq!(ran.err, "error: stopped: the journal cannot be written: File too large (os error 27)\n");
    }
    assert_output_snapshot!(job.run_without_effect(&["--quiet", "--keep-last", "2", "--max-delete-percent", "10"], &[]), @"
    registry-retention plan: packages=3 images_kept=23 images_deleted=0 versions_deleted=0 left=42 broken=0 skipped_packages=0 refused_packages=3 reclaimable_bytes=0
    error: package viktor/api is refused: 1 of 3 images would go, more than 10 percent; --max-delete-percent says how many may go
    error: package viktor/kms-website is refused: 11 of 14 images would go, more than 10 percent; --max-delete-percent says how many may go
    error: package viktor/team/tool is refused: 2 of 6 images would go, more than 10 percent; --max-delete-percent says how many may go
    exit 7
    ");
    let lost = job.server.world().find_image("kms-website", "amd64 9");
    job.server.fail_requests(
        "GET",
        &format!("/v2/viktor/kms-website/manifests/{lost}"),
        9,
        Fault::Status(403),
    );
    assert_output_snapshot!(job.run_without_effect(&["--quiet", "--keep-last", "9"], &[]), @"
    registry-retention plan: packages=3 images_kept=23 images_deleted=0 versions_deleted=0 left=43 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/kms-website is skipped: manifest sha256:ec2334bb63836d3e2ff96c34ed282b6be955b6b5e94a019ce01a9ca92ce1e368 could not be read: GET /v2/viktor/kms-website/manifests/sha256:ec2334bb63836d3e2ff96c34ed282b6be955b6b5e94a019ce01a9ca92ce1e368: refused with status 403: these credentials do not suffice, or none were given
    exit 4
    ");
}

#[test]
fn full_disk_stops_run_before_next_deletion() {
    let (mut is_in_the_middle, mut blocks) = (false, 0);
    loop {
        blocks += 3;
        let job = Job::new("full", incident(BOTH[1]));
        // The limit of the size of files is in blocks of 512 bytes (POSIX). Writes beyond it fail as on a full disk.
        let limits = format!("trap '' XFSZ; ulimit -f {blocks}");
        let files = ["--journal", "journal", "--metrics-file", "metrics"];
        let arguments = [&["--apply", "--package", "kms*", "--keep-last", "2"][..], &files].concat();
        let ran = job.run_limited(&limits, &arguments);
        let deletions = job.changes().len();
        let text = std::fs::read_to_string(job.folder.join("journal")).unwrap();
        assert!(
            deletions <= count_deletions(&text),
            "{blocks} blocks: {deletions} deletions of {}",
            count_deletions(&text)
        );
        job.assert_whole();
        if ran.status == 0 {
            break;
        }
        assert_eq!(ran.status, 1, "{blocks}: {ran:?}");
        let why = ran.out.lines().find(|line| line.starts_with("stopped")).unwrap_or_default();
        assert_eq!(why, "stopped: the journal cannot be written: File too large (os error 27)", "{ran:?}");
        if deletions > 0 && deletions < 11 && !is_in_the_middle {
            is_in_the_middle = true;
            // The journal suffices to restore what was deleted.
            let undone = job.run(&["undo", "journal", "--push-times", "times.json"]);
            assert_eq!((undone.status, job.tags("kms-website").len()), (0, 15), "{undone:?}");
            job.assert_whole();
        }
    }
    assert!(is_in_the_middle, "no run stopped in the middle");
}
