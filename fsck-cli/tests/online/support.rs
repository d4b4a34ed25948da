//! Registries in memory, and the program run against them with an empty environment.

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use registry_fixtures::Digest;
pub use registry_fixtures::program::ProgramOutput;
use registry_fixtures::registry::{Profile, Server, World, image_of};

/// The program with nothing in its environment but a home folder.
pub fn command(home: &Path) -> Command {
    let mut command = Command::cargo_bin("registry-fsck").expect("the binary");
    command.env_clear().env("HOME", home).timeout(Duration::from_secs(60));
    command
}

/// Runs a command. The test fails when the command panics, hangs or is ended by a signal.
pub fn run(command: &mut Command) -> ProgramOutput {
    let ran = ProgramOutput::from(command.output().expect("an exit"));
    assert!(ran.status >= 0 && !ran.err.contains("panicked"), "{}", ran.err);
    ran
}

/// Runs the program with some arguments.
pub fn fsck(arguments: &[&str]) -> ProgramOutput {
    let home = tempfile::tempdir().expect("a home");
    run(command(home.path()).args(arguments))
}

/// A registry of release 2.8.2.
pub fn registry(push: impl FnOnce(&mut World)) -> Server {
    let mut world = World::new(Profile::V2_8);
    push(&mut world);
    Server::start(world)
}

/// Pushes two repositories: one with an index under two tags and an image, one with an image.
pub fn images(world: &mut World) {
    world.push_index("team/app", &["v1", "stable"], &["one", "two"]);
    world.push_image("team/app", Some("v2"), "three");
    world.push_image("web", Some("latest"), "four");
}

/// Pushes the same repositories, and unlinks a child of the index.
pub fn images_with_lost_child(world: &mut World) {
    images(world);
    world.unlink_manifest("team/app", &manifest_digest("two"));
}

/// The digest of the manifest of an image.
pub fn manifest_digest(seed: &str) -> String {
    Digest::of(&image_of(seed, None).0).as_str().to_owned()
}

/// The digest of the layer of an image.
pub fn layer_digest(seed: &str) -> String {
    Digest::of(format!("layer of {seed}").as_bytes()).as_str().to_owned()
}

/// The `host:port` of a server.
pub fn host(server: &Server) -> &str {
    server.url.trim_start_matches("http://")
}

/// The reference of an image on a server: `host:port/path`.
pub fn reference(server: &Server, path: &str) -> String {
    format!("{}/{path}", host(server))
}

/// As long as the guard lives, snapshots show no ports and times, and only the first 12 digits of digests.
pub fn mask_snapshots() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"127\.0\.0\.1:\d+", "HOST");
    settings.add_filter(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", "$1…");
    settings.add_filter(r#""(started_at|complete_by|oldest_check)": "[^"]+""#, "\"$1\": \"…\"");
    settings.add_filter(r#""duration_seconds": [0-9.e-]+"#, "\"duration_seconds\": 0.0");
    settings.add_filter(r#"instance@base64/[\w=-]+"#, "instance@base64/…");
    settings.add_filter(r"(run_duration_seconds\{[^}]*\}|last_run_timestamp\{[^}]*\}) [0-9.]+", "$1 …");
    settings.add_filter(r" seconds=[0-9.]+", " seconds=…");
    let temporary = std::env::temp_dir();
    settings.add_filter(&format!(r"{}/[\w./-]+/", temporary.display()), "FOLDER/");
    settings.bind_to_scope()
}
