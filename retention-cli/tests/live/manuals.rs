//! What `deploy/` and the documents tell people about this program is so: options, metrics, and what the CronJob runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use registry_fixtures::forgejo::{OWNER, Profile, READ, WRITE};
use registry_fixtures::http::Server;
use registry_fixtures::manuals::{documents, exit_statuses, lines, metrics, metrics_in, text};
use registry_fixtures::pushgateway::{Pushgateway, pushed};

use crate::support::{Job, incident};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_registry-retention"))
}

#[test]
fn documented_command_lines_are_accepted() {
    let lines = lines("registry-retention");
    for line in &lines {
        // Options and values before it are read first, and refused when they are none.
        let told = program().env_clear().args(&line.arguments).arg("--help").output().unwrap();
        let why = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{}: {:?}: {why}", line.file, line.arguments);
    }
    let has = |file: &str, word: &str| {
        lines.iter().any(|line| line.file == file && line.arguments.iter().any(|one| one == word))
    };
    assert!(has("deploy/kubernetes/retention.yaml", "--in-use=/in-use/references"), "{lines:#?}");
    assert!(has("docs/retention.md", "--push-times"), "{lines:#?}");
    let wrong = program().args(["run", "--keep-lats", "10", "--help"]).output().unwrap();
    assert!(!wrong.status.success(), "an option that is none was understood");
}

#[test]
fn help_lists_documented_exit_statuses() {
    let help = program().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, told) = help.split_once("Exit status: ").unwrap_or_else(|| panic!("{help}"));
    let told = told.split(';').filter_map(|part| part.split_whitespace().next()?.parse().ok());
    let known = exit_statuses("registry-retention").into_keys();
    assert_eq!(told.collect::<Vec<u8>>(), known.collect::<Vec<u8>>());
}

/// The container of the CronJob, run as it stands but for its folders and its Pushgateway.
struct CronJob {
    job: Job,
    arguments: Vec<String>,
    gateway: Server<Pushgateway>,
}

impl CronJob {
    fn new(name: &str) -> Self {
        let (job, gateway) = (Job::new(name, incident(Profile::V15)), Server::start(Pushgateway));
        let all = documents(&text("deploy/kubernetes/retention.yaml"));
        let cron = all.iter().find(|one| one["kind"] == "CronJob").expect("the CronJob");
        let container = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["command"], serde_json::json!(["registry-retention"]));
        assert_eq!(container["workingDir"], "/data");
        let here = job.folder.to_str().expect("a plain path");
        let here = |argument: &serde_json::Value| {
            let argument = argument.as_str().expect("text").replace("/data", here);
            let argument = argument.replace("/in-use/", &format!("{here}/in-use/"));
            argument.replace("$(PUSHGATEWAY_URL)", &gateway.url)
        };
        let arguments = container["args"].as_array().expect("arguments").iter().map(here).collect();
        std::fs::create_dir(job.folder.join("in-use")).unwrap();
        std::fs::write(job.folder.join("in-use/references"), "git.example/viktor/kms-website:b1\n").unwrap();
        Self { job, arguments, gateway }
    }

    fn run(&self, dry_run: &str, token: &str) -> Option<i32> {
        self.command(dry_run, token).output().expect("an exit").status.code()
    }

    fn command(&self, dry_run: &str, token: &str) -> Command {
        let mut command = program();
        command.args(&self.arguments).env_clear().current_dir(&self.job.folder);
        command.env("FORGEJO_HOST", &self.job.server.url).env("FORGEJO_OWNER", OWNER);
        command.env("FORGEJO_USER", OWNER).env("FORGEJO_TOKEN", token);
        command.env("KEEP_LAST_N", "10").env("DRY_RUN", dry_run);
        command
    }

    /// What was pushed last, and how often something was.
    fn pushed(&self) -> (String, usize) {
        let all = pushed(&self.gateway);
        (all.last().map(|(_, text)| text.clone()).unwrap_or_default(), all.len())
    }

    fn metrics(&self) -> String {
        std::fs::read_to_string(self.job.folder.join("registry_retention.prom")).expect("metrics")
    }

    fn journals(&self) -> usize {
        let names = std::fs::read_dir(&self.job.folder).unwrap().map(|entry| entry.unwrap().path());
        names.filter(|path| path.extension() == Some(Path::new("journal").as_os_str())).count()
    }
}

#[test]
fn cron_job_runs_dry_then_live() {
    let cron = CronJob::new("cron");
    assert_eq!(cron.run("true", WRITE), Some(0));
    assert_eq!((cron.job.changes().len(), cron.journals()), (0, 0));
    let pushed = pushed(&cron.gateway);
    assert!(pushed[0].0.starts_with("POST /metrics/job/registry-retention/"), "{pushed:?}");
    assert!(pushed[0].0.ends_with(&format!("/owner/{OWNER}")), "{pushed:?}");
    assert_eq!(cron.pushed(), (cron.metrics(), 1));

    assert_eq!(cron.run("false", WRITE), Some(0));
    let tags = cron.job.tags("kms-website");
    assert!(tags.contains(&"b1".to_owned()) && !tags.contains(&"b2".to_owned()), "in use stays: {tags:?}");
    assert_eq!(cron.journals(), 1);
    cron.job.assert_whole();
}

#[test]
fn cron_job_fails_when_push_is_refused() {
    let cron = CronJob::new("cron-fails");
    assert_eq!(cron.run("false", READ), Some(6));
    assert_eq!(cron.pushed(), (cron.metrics(), 1), "the metrics of a failure are pushed too");
    cron.gateway.set_hook(|_, _, _| Some(registry_fixtures::http::Fault::Status(400)));
    assert_eq!(cron.run("true", WRITE), Some(1));
    assert_eq!(cron.run("false", READ), Some(6));
}

#[test]
fn alert_rules_use_written_metrics() {
    let cron = CronJob::new("cron-metrics");
    assert_eq!(cron.run("true", WRITE), Some(0));
    let written = metrics_in(&cron.metrics());
    let wanted: BTreeSet<String> =
        metrics().into_iter().filter(|name| name.starts_with("registry_retention_")).collect();
    assert!(wanted.contains("registry_retention_zero_effect"), "{wanted:?}");
    assert_eq!(wanted.difference(&written).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Kubernetes sends SIGTERM to the first process of a container, which is the program.
#[test]
fn cron_job_stops_cleanly_on_sigterm() {
    use std::process::Stdio;
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    let cron = CronJob::new("cron-sigterm");
    let process = Arc::new(OnceLock::new());
    let (known, mut is_sent) = (Arc::clone(&process), false);
    cron.job.server.set_hook(move |_, ask, _| {
        if is_sent || ask.method != "DELETE" || ask.path.ends_with("-preflight") {
            return None;
        }
        is_sent = true;
        while known.get().is_none() {
            std::thread::yield_now();
        }
        let process: &u32 = known.get().unwrap();
        assert!(Command::new("kill").args(["-TERM", &process.to_string()]).status().unwrap().success());
        Some(registry_fixtures::forgejo::Fault::Slow(Duration::from_millis(500)))
    });
    let child = cron.command("false", WRITE).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    process.set(child.id()).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(130), "{out}{err}");
    assert!(out.contains("deleted=1 spared=0 failed=0 not_tried=1"), "{out}{err}");
    assert!(cron.metrics().contains("registry_retention_versions_deleted 1\n"), "{}", cron.metrics());
    assert_eq!(cron.pushed(), (cron.metrics(), 1));
}

/// The place of the push times that docs/deploy.md tells whoever undoes is the one that the CronJob reads.
#[test]
fn cron_job_keeps_images_that_undo_restored() {
    let cron = CronJob::new("cron-undo");
    assert_eq!(cron.run("false", WRITE), Some(0));
    let mut journal = std::fs::read_dir(&cron.job.folder).unwrap().map(|entry| entry.unwrap().path());
    let journal = journal.find(|path| path.extension().is_some_and(|end| end == "journal")).unwrap();
    let line = text("docs/deploy.md");
    let (_, place) = line.split_once(".journal --push-times /data/").expect("the command");
    let place = place.lines().next().unwrap();
    let undone = cron.job.run(&["undo", journal.to_str().unwrap(), "--push-times", place]);
    assert_eq!((undone.status, cron.job.tags("kms-website").len()), (0, 15), "{undone:?}");
    assert_eq!(cron.run("false", WRITE), Some(0));
    assert_eq!(cron.job.tags("kms-website").len(), 15);
}
