//! `probe --forgejo --owner`: the packages of an owner take the place of the catalog.

use registry_fixtures::Digest;
use registry_fixtures::forgejo::{OWNER, Profile, READ, Server, World};

use crate::support::{ProgramOutput, command, run};

fn start_forgejo(profile: Profile) -> Server {
    let mut world = World::example(profile, jiff::Timestamp::now().as_second() - 40 * 86400);
    for build in 1..=4 {
        world.now += 86400;
        world.push_index(
            "team/tool",
            &[&format!("b{build}")],
            &[&format!("amd64 {build}"), &format!("arm64 {build}")],
        );
    }
    // The tag that is pushed last is the first by name.
    world.now += 86400;
    world.push_image("team/tool", Some("a-hotfix"), "hotfix");
    world.push_image("api", Some("v1"), "api");
    world.now = jiff::Timestamp::now().as_second();
    Server::start(world)
}

fn probe(server: &Server, options: &[&str]) -> ProgramOutput {
    probe_owner(server, OWNER, options)
}

fn probe_owner(server: &Server, owner: &str, options: &[&str]) -> ProgramOutput {
    let home = tempfile::tempdir().unwrap();
    let arguments =
        [&["probe", &server.url, "--forgejo", "--owner", owner, "--output", "json"], options].concat();
    run(command(home.path()).env("FORGEJO_USER", OWNER).env("FORGEJO_TOKEN", READ).args(arguments))
}

#[test]
fn probe_reads_all_packages_of_owner() {
    for profile in [Profile::V11, Profile::V15] {
        let server = start_forgejo(profile);
        let ran = probe(&server, &[]);
        assert_eq!(ran.status, 0, "{ran:?}");
        let report = ran.json();
        let source = &report["sources"][0];
        assert_eq!(
            (&source["repositories"], &source["tags"], &source["indexes"]),
            (&2.into(), &6.into(), &4.into())
        );
        assert!(server.lines().iter().all(|line| !line.contains("_catalog")));
        assert!(!ran.err.contains(READ) && !ran.out.contains(READ));
    }
}

#[test]
fn probe_finds_lost_child() {
    for profile in [Profile::V11, Profile::V15] {
        let server = start_forgejo(profile);
        let child = server.world().find_image("team/tool", "arm64 3");
        server.world().remove_object(&child);
        let ran = probe(&server, &["--retries", "0"]);
        // The row exists without its object, so Forgejo answers with an error of its own.
        let report = ran.json();
        let broken = &report["broken_tags"][0];
        assert_eq!((ran.status & 4, &broken["tag"]), (4, &"b3".into()), "{}", ran.out);
        assert_eq!(report["summary"]["broken_tags"], 1);
    }
}

#[test]
fn newest_selects_tags_pushed_last() {
    let server = start_forgejo(Profile::V15);
    let ran = probe(&server, &["--newest", "1", "--repository", "*/team/tool"]);
    assert_eq!((ran.status, &ran.json()["coverage"]["tags_checked"]), (0, &1.into()));
    let heads: Vec<String> = server
        .lines()
        .into_iter()
        .filter(|line| line.starts_with("HEAD") && !line.contains("sha256"))
        .collect();
    assert_eq!(heads, [format!("HEAD /v2/{OWNER}/team/tool/manifests/a-hotfix")]);
}

#[test]
fn unknown_owner_exits_8() {
    let server = start_forgejo(Profile::V15);
    let ran = probe_owner(&server, "nobody", &["--retries", "0"]);
    assert_eq!((ran.status, &ran.json()["sources"][0]["complete"]), (8, &false.into()), "{}", ran.out);
}

// HEAD answers with the size in the database, so a truncated file was found only with --depth content.
#[test]
fn bug_probe_finds_truncated_layer_without_reading_content() {
    for bytes in [0, 5] {
        let server = start_forgejo(Profile::V15);
        let layer = Digest::of(b"layer of api").as_str().to_owned();
        server.world().truncate_object(&layer, bytes);
        let ran = probe(&server, &[]);
        assert_eq!((ran.status, ran.codes()), (4, vec!["blob-size-mismatch".to_owned()]), "{}", ran.out);
        assert!(ran.out.contains(&format!("has {bytes} bytes, and its manifest says 12")), "{}", ran.out);
    }
}

#[test]
fn every_check_of_blob_requests_its_last_byte() {
    for profile in [Profile::V11, Profile::V15] {
        let (server, folder) = (start_forgejo(profile), tempfile::tempdir().unwrap());
        let state = folder.path().join("state.json");
        let state = state.to_str().unwrap();
        let take_ranges = |server: &Server| {
            let requests = server.log().into_iter().filter(|ask| ask.path.contains("/blobs/"));
            let ranges: Vec<Option<String>> =
                requests.map(|ask| ask.header("range").map(str::to_owned)).collect();
            server.clear_log();
            ranges
        };
        assert_eq!(probe(&server, &["--state", state]).status, 0);
        let ranges = take_ranges(&server);
        assert!(ranges.len() > 10 && ranges.iter().all(Option::is_some), "{ranges:?}");
        assert_eq!(probe(&server, &["--state", state]).status, 0);
        assert!(take_ranges(&server).is_empty(), "within --recheck-after");
        assert_eq!(probe(&server, &["--state", state, "--recheck-after", "0s"]).status, 0);
        assert_eq!(take_ranges(&server).len(), ranges.len());
    }
}

// Forgejo 11 ignores ranges: it answers with the size in the database, and the body is not read.
#[test]
fn truncated_layer_of_forgejo_11_needs_depth_content() {
    let server = start_forgejo(Profile::V11);
    let layer = Digest::of(b"layer of api").as_str().to_owned();
    server.world().truncate_object(&layer, 5);
    assert_eq!(probe(&server, &[]).status, 0);
    assert_ne!(probe(&server, &["--depth", "content", "--retries", "0"]).status, 0);
}

/// The transcripts `damaged-layer-row` and `damaged-manifest-row` were recorded on both releases.
#[test]
fn damaged_row_skips_only_its_package() {
    for profile in [Profile::V11, Profile::V15] {
        for file in [1, 2] {
            let server = start_forgejo(profile);
            {
                let mut world = server.world();
                let version = world.versions.iter().find(|version| version.name == "v1").unwrap();
                let digest = version.files[file].digest.clone();
                world.break_blob_row(&digest);
            }
            let ran = probe(&server, &["--retries", "0"]);
            let report = ran.json();
            assert_eq!((ran.status, &report["coverage"]["tags_checked"]), (8, &5.into()), "{}", ran.out);
            assert_eq!(report["unread"][0]["path"], "/v2/viktor/api/tags/list");
            let error = report["unread"][0]["error"].as_str().unwrap().to_owned();
            insta::allow_duplicates! {
                insta::assert_snapshot!(error, @"the server cannot list a version of it (v1): it answers 500, as where its database has lost the row of a blob; delete it to heal the list: DELETE /api/v1/packages/viktor/container/api/v1");
            }
            // A repository that is not selected does no harm.
            assert_eq!(probe(&server, &["--retries", "0", "--repository", "*/team/tool"]).status, 0);
        }
    }
}
