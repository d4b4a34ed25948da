//! `--cache-dir`: its files are verified before use, and a run works without it.

use std::path::{Path, PathBuf};

use registry_fixtures::forgejo::Profile;

use crate::assert_output_snapshot;
use crate::support::{Job, incident};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn changed_cache_files_are_fetched_again() {
    let job = Job::new("corrupt", incident(Profile::V15));
    let arguments = ["--output", "json", "--at", "2026-12-01T00:00:00Z", "--cache-dir", "cache"];
    let first = job.run(&arguments);
    assert_eq!(first.status, 0, "{first:?}");
    let reads = || {
        let lines = job.server.lines();
        lines.iter().filter(|line| line.starts_with("GET") && line.contains("/manifests/")).count()
    };
    let all_reads = reads();
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 6] = [
        ("cut", |bytes| bytes.truncate(bytes.len() - 1)),
        ("emptied", Vec::clear),
        ("another byte", |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("another media type", |bytes| bytes[20] ^= 1),
        ("more", |bytes| bytes.push(b' ')),
        ("no text", |bytes| bytes[0] = 0xff),
    ];
    for (what, damage) in damages {
        let cached = files(&job.folder.join("cache"));
        let good: Vec<_> = cached.iter().map(|path| std::fs::read(path).unwrap()).collect();
        for path in &cached {
            let mut bytes = std::fs::read(path).unwrap();
            damage(&mut bytes);
            std::fs::write(path, bytes).unwrap();
        }
        job.server.clear_log();
        let again = job.run(&arguments);
        assert_eq!(again.out, first.out, "{what}");
        // When two tags name one manifest, the second may find what the first has just fetched.
        assert!((all_reads - 1..=all_reads).contains(&reads()), "{what}: {} of {all_reads}", reads());
        // The files are written again as they were.
        let rewritten: Vec<_> = cached.iter().map(|path| std::fs::read(path).unwrap()).collect();
        assert_eq!(rewritten, good, "{what}");
    }
}

#[test]
fn fifo_in_cache_does_not_block_run() {
    let job = Job::new("fifo", incident(Profile::V15));
    let first = job.run(&["--quiet", "--cache-dir", "cache"]);
    let cached = files(&job.folder.join("cache"));
    std::fs::remove_file(&cached[0]).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&cached[0]).status().expect("mkfifo");
    assert!(made.success());
    std::fs::remove_file(&cached[1]).unwrap();
    std::fs::create_dir(&cached[1]).unwrap();
    let again = job.run(&["--quiet", "--cache-dir", "cache"]);
    assert_eq!((again.status, again.out), (0, first.out));
}

#[test]
fn unusable_cache_warns_and_run_continues() {
    let job = Job::new("unwritable", incident(Profile::V15));
    let arguments = ["--apply", "--quiet", "--package", "api", "--cache-dir"];
    std::fs::write(job.folder.join("file"), "").unwrap();
    let opened = job.run(&[&arguments[..], &["file", "--journal", "1", "--keep-last", "2"]].concat());
    assert_output_snapshot!(opened.as_text(), @"
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
    registry-retention apply: deleted=1 spared=0 failed=0 not_tried=0 already_gone=0
    warning: no cache: file cannot be used: File exists (os error 17)
    exit 0
    ");
    // Not even root can make files here, although the folder can be opened.
    let written = job.run(&[&arguments[..], &["/proc/self", "--journal", "2", "--keep-last", "1"]].concat());
    assert_eq!(written.status, 0, "{written:?}");
    let (before, _) = written.err.split_once("/sha256").expect("the name of a file");
    insta::assert_snapshot!(before, @"warning: the cache was not written: /proc/self");
}
