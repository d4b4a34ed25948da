//! The reports of `probe` and `verify` on registries in memory, and the state of a probe, match their schemas.

use std::process::Command;

use registry_fixtures::Digest;
use registry_fixtures::forgejo;
use registry_fixtures::http::Fault;
use registry_fixtures::registry::{Profile, Server, World, image_of};

use super::{SchemaCheck, read_json};
use crate::support::{ProgramOutput, fsck, run};

/// The program without the credentials of the user who runs the tests.
fn fsck_without_credentials() -> Command {
    let mut command = fsck();
    command.env_clear().env("HOME", "/nonexistent");
    command
}

fn run_json(arguments: &[&str]) -> ProgramOutput {
    run(fsck_without_credentials().args(arguments).args(["--output", "json", "--retries", "0"]))
}

/// Two repositories: an index under two tags and an image, and an image.
fn images() -> World {
    let mut world = World::new(Profile::V2_8);
    world.push_index("team/app", &["v1", "stable"], &["one", "two"]);
    world.push_image("team/app", Some("v2"), "three");
    world.push_image("web", Some("latest"), "four");
    world
}

/// Options of the probes.
const PROBE_OPTIONS: [&[&str]; 6] = [
    &[],
    &["--depth", "manifests", "--repository", "team/*"],
    &["--depth", "content", "--require-platform", "linux/riscv64"],
    &["--newest", "1"],
    &["--newest", "1", "--sample", "50%", "--recheck-after", "1h"],
    &["--budget-requests", "9", "--budget-time", "5m"],
];

/// Registries in different states.
fn servers() -> Vec<(&'static str, Server)> {
    let mut damaged = images();
    let lost = damaged.push_image("web", Some("lost"), "five");
    let wrong = damaged.push_image("web", Some("wrong"), "six");
    damaged.remove_bytes(&lost);
    damaged.unlink_manifest("team/app", Digest::of(&image_of("two", None).0).as_str());
    damaged.replace_bytes(&wrong, b"{}");
    let failing = Server::start(images());
    failing.set_hook(|_, ask, _| ask.path.contains("/manifests/v2").then_some(Fault::Status(500)));
    let strange = Server::start(images());
    strange.set_hook(|_, ask, _| ask.path.contains("/blobs/").then_some(Fault::Status(403)));
    let silent = Server::start(images());
    silent.set_hook(|_, _, _| Some(Fault::Refused));
    vec![
        ("whole", Server::start(images())),
        ("damaged", Server::start(damaged)),
        ("failing", failing),
        ("strange", strange),
        ("silent", silent),
        ("empty", Server::start(World::new(Profile::V2_8))),
    ]
}

#[test]
fn probe_reports_and_states_match_schemas() {
    let (mut reports, mut states) = (SchemaCheck::new("report"), SchemaCheck::new("state"));
    for (name, server) in servers() {
        for options in PROBE_OPTIONS {
            let folder = tempfile::tempdir().unwrap();
            let state = folder.path().join("state.json");
            let arguments = [&["probe", &server.url, "--state", state.to_str().unwrap()], options].concat();
            // The second run reads the state of the first; the third computes the pace from two runs.
            for _ in 0..3 {
                let report = reports.check(run_json(&arguments).json());
                assert_eq!(report["command"], "probe", "{name}");
                if state.exists() {
                    states.check(read_json(&state));
                }
            }
        }
    }
    reports.assert_seen(&[
        "online",
        "depth",
        "newest",
        "sample_percent",
        "budget_requests",
        "budget_seconds",
        "requests",
        "recheck_after_seconds",
        "never_checked",
        "not_chosen",
        "oldest_check",
        "unknown_tags",
        "reason",
    ]);
    assert_eq!(states.unseen_fields(), [""; 0]);
}

#[test]
fn probe_report_with_pace_matches_schema() {
    let mut reports = SchemaCheck::new("report");
    let (server, folder) = (Server::start(images()), tempfile::tempdir().unwrap());
    let state = folder.path().join("state.json");
    let arguments = ["probe", &server.url, "--state", state.to_str().unwrap(), "--sample", "25"];
    for _ in 0..3 {
        reports.check(run_json(&arguments).json());
        // The pace is in whole seconds, so earlier runs are moved into the past.
        let mut earlier = read_json(&state);
        for run in earlier["runs"].as_array_mut().unwrap() {
            let at: jiff::Timestamp = run["at"].as_str().unwrap().parse().unwrap();
            run["at"] = (at - jiff::SignedDuration::from_secs(900)).to_string().into();
        }
        std::fs::write(&state, earlier.to_string()).unwrap();
    }
    reports.assert_seen(&["complete_by"]);
}

#[test]
fn forgejo_probe_report_matches_schema() {
    let (mut reports, mut states) = (SchemaCheck::new("report"), SchemaCheck::new("state"));
    let world = forgejo::World::example(forgejo::Profile::V15, jiff::Timestamp::now().as_second());
    let server = forgejo::Server::start(world);
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let mut command = fsck_without_credentials();
    command.env("FORGEJO_USER", forgejo::OWNER).env("FORGEJO_TOKEN", forgejo::READ);
    command.args(["probe", &server.url, "--forgejo", "--owner", forgejo::OWNER]);
    command.args(["--output", "json", "--state"]);
    reports.check(run(command.arg(&state)).json());
    states.check(read_json(&state));
}

#[test]
fn verify_reports_match_schema() {
    let mut reports = SchemaCheck::new("report");
    let mut commands = Vec::new();
    for (_, server) in servers() {
        let image = |path: &str| format!("{}/{path}", server.url.trim_start_matches("http://"));
        let zero = format!("sha256:{}", "0".repeat(64));
        let app = image("team/app:v1");
        let arguments: [&[&str]; 6] = [
            &[&app, &image("web"), &image("web:lost"), &image("web:wrong")],
            &[&app, "--content", "--require-platform", "linux/riscv64"],
            &[&app, "--expect-digest", &zero],
            &[&app, "--same-as", &image("team/app:v2")],
            &[&app, "--referrers"],
            &[&image(&format!("team/app@{zero}"))],
        ];
        for arguments in arguments {
            let report = reports.check(run_json(&[&["verify"], arguments].concat()).json());
            commands.push(report["command"].clone());
        }
    }
    assert!(commands.iter().all(|command| command == "verify"));
    reports.assert_seen(&["unread", "error", "broken_tags", "unknown_tags", "parent", "platform"]);
}
