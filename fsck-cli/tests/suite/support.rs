//! What several tests need: the program, its output, its JSON report.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use registry_core::audit::Report;
use registry_fixtures::{DescriptorDamage, ImageSpec, Part, TreeBuilder};

/// How long a run over a small tree may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program, ready for arguments.
pub fn fsck() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry-fsck"));
    command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    command
}

/// Runs `scan` with some options.
pub fn scan(root: &Path, options: &[&str]) -> Output {
    fsck().arg("scan").args(options).arg(root).output().unwrap()
}

/// Runs `scan --output json` and reads the report.
pub fn report(root: &Path, options: &[&str]) -> serde_json::Value {
    let output = scan(root, &[options, &["--output", "json"]].concat());
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no report ({error}): {}", String::from_utf8_lossy(&output.stderr)))
}

/// The broken tags of a report, as `repository:tag`.
pub fn broken(report: &serde_json::Value) -> BTreeSet<String> {
    let name = |tag: &serde_json::Value| {
        format!("{}:{}", tag["repository"].as_str().unwrap(), tag["tag"].as_str().unwrap())
    };
    report["broken_tags"].as_array().unwrap().iter().map(name).collect()
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The JSON report on standard output.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no report ({error}): {}", self.stderr))
    }

    /// The report, read back through the library.
    pub fn typed(&self) -> Report {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no report ({error}): {}", self.stderr))
    }
}

/// Runs a command to its end. One that hangs is killed, and one that a signal ended fails the test.
pub fn run(command: &mut Command) -> Ran {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stdout, stderr) = (drain(child.stdout.take().unwrap()), drain(child.stderr.take().unwrap()));
    let status = wait(&mut child, PATIENCE);
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    let status = status.unwrap_or_else(|| panic!("still running after {PATIENCE:?}: {command:?}\n{stderr}"));
    let status = status.code().unwrap_or_else(|| panic!("{status}: {command:?}\n{stderr}"));
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ran { status, stdout, stderr }
}

/// Runs `scan` with some options over one root, given last.
pub fn ran(root: &Path, options: &[&str]) -> Ran {
    run(fsck().arg("scan").args(options).arg(root))
}

/// The whole text report over one root.
pub fn text(root: &Path, options: &[&str]) -> String {
    ran(root, options).stdout
}

/// The end of a process; `None` when it had to be killed because it took too long.
pub fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn drain(mut from: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}

/// As long as this lives, snapshots show a root as `ROOT`, times as `…`, and the first 12 digits of a long hash.
pub fn masked(root: &Path) -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    let literal = |text: &str| -> String {
        text.chars()
            .flat_map(|c| (!c.is_alphanumeric() && c.is_ascii()).then_some('\\').into_iter().chain([c]))
            .collect()
    };
    settings.add_filter(&literal(&root.to_string_lossy()), "ROOT");
    settings.add_filter(r"seconds=[0-9.]+", "seconds=…");
    settings.add_filter(r#""(started_at|duration_seconds)": [^,\n]+"#, "\"$1\": …");
    settings.add_filter(r"(run_duration_seconds\{[^}]*\}|last_run_timestamp\{[^}]*\}) [0-9.]+", "$1 …");
    settings.add_filter(r"\b([0-9a-f]{12})[0-9a-f]{52}(?:[0-9a-f]{64})?\b", "$1…");
    settings.bind_to_scope()
}

/// Older than whatever is set aside for its age.
pub const OLD: Duration = Duration::from_secs(30 * 24 * 3600);

/// One of almost everything, in four repositories. Nothing in it is young.
pub fn ruin() -> TreeBuilder {
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
    let lie = ImageSpec {
        damage: vec![
            (Part::Layer(0), DescriptorDamage::SizeTooBig),
            (Part::Layer(1), DescriptorDamage::DigestText),
        ],
        ..ImageSpec::docker("web2")
    };
    tree.image_with("web", Some("2"), &lie);
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
