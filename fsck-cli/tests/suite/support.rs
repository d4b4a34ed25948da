//! What several tests share: the program, its output and report, files and trees to run it on.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use registry_core::audit::Report;
pub use registry_fixtures::program::ProgramOutput;
use registry_fixtures::{DescriptorDamage, ImageSpec, Part, TreeBuilder};
use serde_json::Value;
use tempfile::TempDir;

/// A run over a small tree that takes longer counts as hanging.
const RUN_TIMEOUT: Duration = Duration::from_secs(60);

/// Older than every age limit of the audit.
pub const OLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// The program, ready for arguments.
pub fn fsck() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry-fsck"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Runs a command to its end. The test fails when the command hangs, panics or is ended by a signal.
pub fn run(command: &mut Command) -> ProgramOutput {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = read_in_thread(child.stdout.take().unwrap());
    let err = read_in_thread(child.stderr.take().unwrap());
    let status = wait_or_kill(&mut child, RUN_TIMEOUT);
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    let status = status.unwrap_or_else(|| panic!("still running after {RUN_TIMEOUT:?}: {command:?}\n{err}"));
    let status = status.code().unwrap_or_else(|| panic!("{status}: {command:?}\n{err}"));
    assert!(!err.contains("panicked"), "{err}");
    ProgramOutput { status, out, err }
}

fn read_in_thread(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}

/// The exit status of a process; `None` when it took too long and was killed.
pub fn wait_or_kill(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < timeout {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

/// Sends a signal, named as by `kill`: `-INT`.
pub fn send_signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Runs `scan` with some options over one root.
pub fn scan(root: &Path, options: &[&str]) -> ProgramOutput {
    run(fsck().arg("scan").args(options).arg(root))
}

/// Runs `scan --output json` with more options over one root.
pub fn scan_json(root: &Path, options: &[&str]) -> ProgramOutput {
    scan(root, &[options, &["--output", "json"]].concat())
}

pub trait AuditReport {
    /// The JSON report on standard output, read by the library.
    fn audit_report(&self) -> Report;
}

impl AuditReport for ProgramOutput {
    fn audit_report(&self) -> Report {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no report ({error}): {}", self.err))
    }
}

/// The broken tags of a report, as `repository:tag`.
pub fn broken_tags(report: &Value) -> BTreeSet<String> {
    report["broken_tags"].as_array().unwrap().iter().map(tag_name).collect()
}

/// A tag of a report, as `repository:tag`.
pub fn tag_name(tag: &Value) -> String {
    format!("{}:{}", tag["repository"].as_str().unwrap(), tag["tag"].as_str().unwrap())
}

/// As long as the guard lives, snapshots show a root as `ROOT`, times as `…`, and the first 12 digits of a hash.
pub fn mask_snapshots(root: &Path) -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    let escape = |text: &str| -> String {
        text.chars()
            .flat_map(|c| (!c.is_alphanumeric() && c.is_ascii()).then_some('\\').into_iter().chain([c]))
            .collect()
    };
    settings.add_filter(&escape(&root.to_string_lossy()), "ROOT");
    settings.add_filter(r"seconds=[0-9.]+", "seconds=…");
    settings.add_filter(r#""(started_at|duration_seconds)": [^,\n]+"#, "\"$1\": …");
    settings.add_filter(r"(run_duration_seconds\{[^}]*\}|last_run_timestamp\{[^}]*\}) [0-9.]+", "$1 …");
    settings.add_filter(r"\b([0-9a-f]{12})[0-9a-f]{52}(?:[0-9a-f]{64})?\b", "$1…");
    settings.bind_to_scope()
}

/// Copies the content of a folder into another, with its times.
pub fn copy_content(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(copied.unwrap().success(), "{}", from.display());
}

/// A copy of a folder, with its times.
pub fn copy_of(root: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_content(root, folder.path());
    folder
}

pub fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Sets the length of a file. What is added is sparse.
pub fn set_length(path: &Path, bytes: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(bytes).unwrap();
}

/// Damage of almost every kind, in four repositories; nothing is young.
pub fn damaged_tree() -> TreeBuilder {
    let mut tree = TreeBuilder::new();
    let multi = tree.multi_platform("team/app", Some("v1"), &["linux/amd64", "linux/arm64"]);
    tree.tag("team/app", "stable", &multi.digest);
    let v2 = tree.image("team/app", Some("v2"), "v2");
    let v3 = tree.image("team/app", Some("v3"), "v3");
    tree.tag("team/app", "v4", &v3.digest)
        .tag("team/app", "v5", &v3.digest)
        .tag("team/app", "v6", &v3.digest);
    let unlinked = tree.image("team/app", Some("v7"), "v7");
    tree.break_revision_link_missing("team/app", &multi.images[1].digest);
    tree.break_layer_link_missing("team/app", &v2.layers[0]).break_blob_missing(&v2.config);
    tree.break_tag_link_empty("team/app", "v4").break_tag_target("team/app", "v5");
    tree.break_tag_is_file("team/app", "v6").break_revision_link_missing("team/app", &unlinked.digest);
    tree.break_history_dangling("team/app", "v2");

    let short = tree.image("web", Some("1"), "web1");
    let false_sizes = ImageSpec {
        damage: vec![
            (Part::Layer(0), DescriptorDamage::SizeTooBig),
            (Part::Layer(1), DescriptorDamage::DigestText),
        ],
        ..ImageSpec::docker("web2")
    };
    tree.image_with("web", Some("2"), &false_sizes);
    let altered = tree.image("web", Some("3"), "web3");
    let broken_json = tree.image("web", Some("4"), "web4");
    tree.break_blob_truncated(&short.layers[1]).break_blob_zero(&short.config);
    tree.break_manifest_altered(&altered.digest).break_manifest_not_json(&broken_json.digest);

    let bare = tree.image("legacy", Some("1"), "legacy");
    tree.break_layers_folder("legacy");
    tree.referrer("web", &bare.digest);

    tree.image("sound", Some("1"), "sound");
    tree.image("sound", None, "untagged");
    tree.blob(b"nobody needs this");
    tree.layer("sound", b"linked and needed by no manifest");
    tree.upload("sound", b"half a layer", Some("2024-01-02T03:04:05Z"));
    tree.break_stray_tag_name("sound", ".hidden").break_illegal_repository_name("Upper");
    tree.break_temp_file(&tree.tag_link("sound", "1"));
    let moved = tree.tag_link("sound", "moved");
    tree.tag("sound", "moved", &multi.digest).break_moved_behind_symlink(&moved);
    tree.age_all(OLD);
    tree
}
