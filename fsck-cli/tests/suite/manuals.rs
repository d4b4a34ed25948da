//! The options, values, exit statuses and metrics of this program that `deploy/` and the documents name exist.

use std::collections::BTreeSet;

use registry_fixtures::manuals::{exit_statuses, files, lines, metrics, metrics_in, text};
use registry_fixtures::registry::{Profile, Server, World};

use crate::support::{damaged_tree, fsck, run};

#[test]
fn documented_command_lines_are_accepted() {
    let lines = lines("registry-fsck");
    for line in &lines {
        // Options and values before --help are parsed first, and refused when they are unknown.
        let ran = run(fsck().env_clear().args(&line.arguments).arg("--help"));
        assert_eq!(ran.status, 0, "{}: {:?}: {}", line.file, line.arguments, ran.err);
    }
    let has = |file: &str, command: &str, option: &str| {
        let mut found = lines.iter().filter(|line| line.file == file && line.arguments[0] == command);
        found.any(|line| line.arguments.iter().any(|word| word.starts_with(option)))
    };
    assert!(has("deploy/kubernetes/probe.yaml", "probe", "--pushgateway=v1"), "{lines:#?}");
    for file in ["woodpecker", "github-actions", "forgejo-actions"] {
        assert!(has(&format!("deploy/ci/{file}.yaml"), "verify", "--require-platform"), "{file}: {lines:#?}");
    }
    assert!(has("deploy/ci/github-actions.yaml", "verify", "--same-as"), "{lines:#?}");
    assert!(has("README.md", "scan", "--baseline") && has("docs/deploy.md", "probe", "https"), "{lines:#?}");
}

#[test]
fn unknown_options_and_values_exit_16() {
    for arguments in
        [&["probe", "https://a.example", "--stat=x"][..], &["verify", "a.example/b", "--wait=2x"]]
    {
        assert_eq!(run(fsck().args(arguments).arg("--help")).status, 16, "{arguments:?}");
    }
}

#[test]
fn help_lists_documented_exit_statuses() {
    let documented = exit_statuses("registry-fsck");
    for command in ["scan", "gc-preview", "repair", "undo", "probe", "verify"] {
        let help = run(fsck().args([command, "--help"])).out;
        let (_, list) = help.split_once("Exit status, OR-ed:").unwrap_or_else(|| panic!("{command}: {help}"));
        let listed: Vec<u8> =
            list.split(';').filter_map(|part| part.split_whitespace().next()?.parse().ok()).collect();
        assert!(listed.iter().all(|status| documented.contains_key(status)), "{command}: {listed:?}");
        assert!(listed.len() >= 4 && listed[0] == 0 && listed.contains(&16), "{command}: {listed:?}");
    }
}

#[test]
fn only_exit_statuses_page_has_their_table() {
    let mut pages = files("docs", ".md");
    pages.extend(["README.md".to_owned(), "CONTRIBUTING.md".into()]);
    let has_table = |page: &&String| text(page).lines().any(|line| line.starts_with("| exit status |"));
    assert_eq!(pages.iter().filter(has_table).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(text("README.md").contains("(docs/exit-statuses.md)"));
}

#[test]
fn alert_rules_use_written_metrics() {
    let mut world = World::new(Profile::V2_8);
    world.push_index("team/app", &["v1"], &["amd64", "arm64"]);
    let server = Server::start(world);
    let tree = damaged_tree();
    let folder = tempfile::tempdir().unwrap();
    let written_metrics = |command: &str, target: &str| -> BTreeSet<String> {
        let path = folder.path().join(command);
        run(fsck().args([command, target, "--metrics-file"]).arg(&path));
        metrics_in(&std::fs::read_to_string(&path).unwrap())
    };
    let probe = written_metrics("probe", &server.url);
    let scan = written_metrics("scan", tree.root().to_str().unwrap());
    let used: BTreeSet<String> =
        metrics().into_iter().filter(|name| !name.starts_with("registry_retention_")).collect();
    assert!(used.contains("registry_manifest_integrity_failures"), "{used:?}");
    assert_eq!(used.difference(&probe).collect::<Vec<_>>(), Vec::<&String>::new());
    // The rules tell a scan from a probe by this metric.
    assert!(!scan.contains("registry_probe_requests_total"), "{scan:?}");
    assert!(scan.contains("registry_manifest_integrity_last_run_timestamp"), "{scan:?}");
}

#[test]
fn unreachable_registry_still_writes_alert_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.prom");
    // Nothing listens on port 1.
    let ran = run(fsck().args(["probe", "http://127.0.0.1:1", "--retries=0", "--metrics-file"]).arg(&path));
    assert_eq!(ran.status, 8, "{ran:?}");
    let text = std::fs::read_to_string(&path).unwrap();
    let value = |name: &str| {
        let start = format!("{name}{{instance=\"http://127.0.0.1:1\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("no {name}: {text}"))
    };
    assert_eq!(value("registry_manifest_integrity_failures"), "0");
    assert_eq!(value("registry_manifest_integrity_catalog_accessible"), "0");
    assert!(value("registry_manifest_integrity_last_run_timestamp").parse::<i64>().unwrap() > 1_700_000_000);
    assert!(value("registry_probe_requests_total").parse::<u64>().is_ok());
}
