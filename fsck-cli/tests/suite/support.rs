//! What several tests need: the program, its output, its JSON report.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use registry_core::audit::Report;

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
