//! The options, exit statuses and metrics of this program that `deploy/` and the documents name exist, and the CronJob works.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use registry_fixtures::forgejo::{OWNER, Profile, READ, WRITE};
use registry_fixtures::http::Server;
use registry_fixtures::manuals::{documents, exit_statuses, lines, metrics, metrics_in, text};
use registry_fixtures::pushgateway::{Pushgateway, received_pushes};

use crate::support::{Job, incident, is_deletion, run_interrupted, send_signal};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_registry-retention"))
}

#[test]
fn documented_command_lines_are_accepted() {
    let lines = lines("registry-retention");
    for line in &lines {
        // Options and values before --help are parsed first, and refused when they are unknown.
        let output = program().env_clear().args(&line.arguments).arg("--help").output().unwrap();
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {:?}: {why}", line.file, line.arguments);
    }
    let has = |file: &str, word: &str| {
        lines.iter().any(|line| line.file == file && line.arguments.iter().any(|argument| argument == word))
    };
    assert!(has("deploy/kubernetes/retention.yaml", "--in-use=/in-use/references"), "{lines:#?}");
    assert!(has("docs/retention.md", "--push-times"), "{lines:#?}");
    let wrong = program().args(["run", "--keep-lats", "10", "--help"]).output().unwrap();
    assert!(!wrong.status.success(), "an unknown option was accepted");
}

#[test]
fn help_lists_documented_exit_statuses() {
    let help = program().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, output) = help.split_once("Exit status: ").unwrap_or_else(|| panic!("{help}"));
    let listed = output.split(';').filter_map(|part| part.split_whitespace().next()?.parse().ok());
    let documented = exit_statuses("registry-retention").into_keys();
    assert_eq!(listed.collect::<Vec<u8>>(), documented.collect::<Vec<u8>>());
}

/// The container of the CronJob, run with other folders and another Pushgateway.
struct CronJob {
    job: Job,
    arguments: Vec<String>,
    gateway: Server<Pushgateway>,
}

impl CronJob {
    fn new(name: &str) -> Self {
        let (job, gateway) = (Job::new(name, incident(Profile::V15)), Server::start(Pushgateway));
        let all = documents(&text("deploy/kubernetes/retention.yaml"));
        let cron = all.iter().find(|document| document["kind"] == "CronJob").expect("the CronJob");
        let container = &cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["command"], serde_json::json!(["registry-retention"]));
        assert_eq!(container["workingDir"], "/data");
        let folder = job.folder.to_str().expect("a plain path");
        let localize = |argument: &serde_json::Value| {
            let argument = argument.as_str().expect("text").replace("/data", folder);
            let argument = argument.replace("/in-use/", &format!("{folder}/in-use/"));
            argument.replace("$(PUSHGATEWAY_URL)", &gateway.url)
        };
        let arguments = container["args"].as_array().expect("arguments").iter().map(localize).collect();
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

    /// The text of the last push, and the number of pushes.
    fn last_push(&self) -> (String, usize) {
        let pushes = received_pushes(&self.gateway);
        (pushes.last().map(|(_, text)| text.clone()).unwrap_or_default(), pushes.len())
    }

    fn metrics(&self) -> String {
        std::fs::read_to_string(self.job.folder.join("registry_retention.prom")).expect("metrics")
    }

    fn journals(&self) -> Vec<PathBuf> {
        let paths = std::fs::read_dir(&self.job.folder).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "journal")).collect()
    }
}

#[test]
fn cron_job_runs_dry_then_live() {
    let cron = CronJob::new("cron");
    assert_eq!(cron.run("true", WRITE), Some(0));
    assert_eq!((cron.job.changes().len(), cron.journals().len()), (0, 0));
    let pushed = received_pushes(&cron.gateway);
    assert!(pushed[0].0.starts_with("POST /metrics/job/registry-retention/"), "{pushed:?}");
    assert!(pushed[0].0.ends_with(&format!("/owner/{OWNER}")), "{pushed:?}");
    assert_eq!(cron.last_push(), (cron.metrics(), 1));

    assert_eq!(cron.run("false", WRITE), Some(0));
    let tags = cron.job.tags("kms-website");
    assert!(tags.contains(&"b1".to_owned()) && !tags.contains(&"b2".to_owned()), "in use stays: {tags:?}");
    assert_eq!(cron.journals().len(), 1);
    cron.job.assert_whole();
}

#[test]
fn cron_job_fails_when_push_is_refused() {
    let cron = CronJob::new("cron-fails");
    assert_eq!(cron.run("false", READ), Some(6));
    assert_eq!(cron.last_push(), (cron.metrics(), 1), "the metrics of a failure are pushed too");
    cron.gateway.set_hook(|_, _, _| Some(registry_fixtures::http::Fault::Status(400)));
    assert_eq!(cron.run("true", WRITE), Some(1));
    assert_eq!(cron.run("false", READ), Some(6));
}

#[test]
fn alert_rules_use_written_metrics() {
    let cron = CronJob::new("cron-metrics");
    assert_eq!(cron.run("true", WRITE), Some(0));
    let written = metrics_in(&cron.metrics());
    let used: BTreeSet<String> =
        metrics().into_iter().filter(|name| name.starts_with("registry_retention_")).collect();
    assert!(used.contains("registry_retention_zero_effect"), "{used:?}");
    assert_eq!(used.difference(&written).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Kubernetes sends SIGTERM to the first process of a container, which is the program.
#[test]
fn cron_job_stops_cleanly_on_sigterm() {
    let cron = CronJob::new("cron-sigterm");
    let command = cron.command("false", WRITE);
    let interrupt = |process| send_signal(process, "-TERM");
    let ran =
        run_interrupted(&cron.job.server, command, (1, is_deletion), Duration::from_millis(500), interrupt);
    assert_eq!(ran.status, 130, "{ran:?}");
    assert!(ran.out.contains("deleted=1 spared=0 failed=0 not_tried=1"), "{ran:?}");
    assert!(cron.metrics().contains("registry_retention_versions_deleted 1\n"), "{}", cron.metrics());
    assert_eq!(cron.last_push(), (cron.metrics(), 1));
}

/// The path of the push times in the undo command of docs/deploy.md is the one that the CronJob reads.
#[test]
fn cron_job_keeps_images_that_undo_restored() {
    let cron = CronJob::new("cron-undo");
    assert_eq!(cron.run("false", WRITE), Some(0));
    let journal = cron.journals().remove(0);
    let manual = text("docs/deploy.md");
    let (_, place) = manual.split_once(".journal --push-times /data/").expect("the command");
    let place = place.lines().next().unwrap();
    let undone = cron.job.run(&["undo", journal.to_str().unwrap(), "--push-times", place]);
    assert_eq!((undone.status, cron.job.tags("kms-website").len()), (0, 15), "{undone:?}");
    assert_eq!(cron.run("false", WRITE), Some(0));
    assert_eq!(cron.job.tags("kms-website").len(), 15);
}
