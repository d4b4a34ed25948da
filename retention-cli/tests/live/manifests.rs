//! Invalid manifests, names and messages of a server: the package stays unchanged, and the output says why.

use registry_core::oci::{Algorithm, Digest};
use registry_fixtures::forgejo::{Fault, ReceivedRequest, Reply, World};

use crate::assert_output_snapshot;
use crate::support::{BOTH, Job, incident, without_requests};

/// The output of a run when one manifest gets another answer.
fn output_with(
    name: &str,
    arguments: &[&str],
    mut reply: impl FnMut(&mut World, &ReceivedRequest) -> Fault + Send + 'static,
) -> String {
    let job = Job::new(name, incident(BOTH[1]));
    job.server.set_hook(move |world, ask, _| {
        let is_replaced = ask.method == "GET" && ask.path == "/v2/viktor/api/manifests/v1";
        is_replaced.then(|| reply(world, ask))
    });
    job.run_without_effect(&[&["--package", "api", "--keep-last", "1"], arguments].concat(), &[])
}

#[test]
fn unknown_media_type_is_kept_and_reported() {
    let unknown = |_: &mut World, _: &ReceivedRequest| {
        let kind = "application/vnd.example.thing.v1+json";
        let body = format!(r#"{{"schemaVersion":2,"mediaType":"{kind}","things":[]}}"#);
        let digest = Digest::hash(Algorithm::Sha256, body.as_bytes());
        Fault::Instead(Reply::of(200, kind, body).with_header("docker-content-digest", digest.to_string()))
    };
    assert_output_snapshot!(without_requests(&output_with("unknown-type", &["-v"], unknown)), @"
    URL, owner viktor; dry run: nothing is deleted
    api: 2 images kept, 1 image to go, 0 rows left as they are
      delete v2, N d old: rank 2, beyond newest 1 (final)
      keep   v1: its media type is not known, so what it needs is not known
      keep   v3: newest 1 of 1
    465 B are needed only by what goes; the server's own collector frees them later
    registry-retention plan: packages=1 images_kept=2 images_deleted=1 versions_deleted=1 left=0 broken=0 skipped_packages=0 refused_packages=0 reclaimable_bytes=465
    10 requests were made
    exit 0
    ");
}

#[test]
fn invalid_manifest_skips_its_package() {
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let text = |text: &'static str| {
        move |_: &mut World, _: &ReceivedRequest| Fault::Instead(Reply::of(200, kind, text))
    };
    assert_output_snapshot!(output_with("no-json", &["--apply"], text("not JSON")), @"
    URL, owner viktor; what goes is deleted
    api: 3 images kept, 0 images to go, 3 rows left as they are
      skipped: manifest sha256:62b8125a6f6d924ec53345b5fcd58ca3ed3f5e7d51e2e146e5f1346508acce69 could not be read: it is no JSON, so what it references is not known
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=3 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: manifest sha256:62b8125a6f6d924ec53345b5fcd58ca3ed3f5e7d51e2e146e5f1346508acce69 could not be read: it is no JSON, so what it references is not known
    exit 4
    ");
    assert_output_snapshot!(output_with("empty", &["--apply"], text("")), @"
    URL, owner viktor; what goes is deleted
    api: 3 images kept, 0 images to go, 3 rows left as they are
      skipped: manifest sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 could not be read: it is no JSON, so what it references is not known
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=3 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: manifest sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 could not be read: it is no JSON, so what it references is not known
    exit 4
    ");
}

#[test]
fn manifest_of_50_mb_is_not_read() {
    let large = |_: &mut World, _: &ReceivedRequest| {
        Fault::Instead(Reply::of(200, "application/vnd.oci.image.index.v1+json", vec![b' '; 50 << 20]))
    };
    assert_output_snapshot!(output_with("50-mb", &["--apply"], large), @"
    URL, owner viktor; what goes is deleted
    api: 3 images kept, 0 images to go, 3 rows left as they are
      skipped: tag v1: GET /v2/viktor/api/manifests/v1: the answer is larger than 16777216 bytes
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=3 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: tag v1: GET /v2/viktor/api/manifests/v1: the answer is larger than 16777216 bytes
    exit 4
    ");
}

#[test]
fn endless_manifests_do_not_fill_memory() {
    let job = Job::new("flood", incident(BOTH[1]));
    job.server.set_hook(|_, ask, _| {
        (ask.method == "GET" && ask.path.contains("/manifests/")).then_some(Fault::Flood)
    });
    // The limit is in KiB, and is that of writable memory without stacks and shared memory (setrlimit(2), RLIMIT_DATA).
    let ran = job.run_limited("ulimit -d 409600", &["--apply", "--quiet", "--jobs", "4"]);
    assert_eq!(job.changes(), [""; 0], "{ran:?}");
    assert_output_snapshot!(ran.as_text(), @"
    registry-retention plan: packages=3 images_kept=3 images_deleted=0 versions_deleted=0 left=52 broken=0 skipped_packages=3 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: tag v1: GET /v2/viktor/api/manifests/v1: the answer is larger than 16777216 bytes
    error: package viktor/kms-website is skipped: tag b1: GET /v2/viktor/kms-website/manifests/b1: the answer is larger than 16777216 bytes
    error: package viktor/team/tool is skipped: tag 1: GET /v2/viktor/team/tool/manifests/1: the answer is larger than 16777216 bytes
    exit 4
    ");
    // A limit that is too low does stop the program.
    let ran = job.run_limited("ulimit -d 1000", &["--help"]);
    assert_ne!(ran.status, 0, "{ran:?}");
}

#[test]
fn manifest_with_wrong_digest_skips_its_package() {
    let other = |world: &mut World, ask: &ReceivedRequest| {
        let reply = world.answer(ask);
        let digest = reply.header("docker-content-digest").unwrap().to_owned();
        let kind = reply.header("content-type").unwrap().to_owned();
        Fault::Instead(
            Reply::of(200, &kind, [&reply.body[..], b" "].concat())
                .with_header("docker-content-digest", digest),
        )
    };
    assert_output_snapshot!(output_with("other-bytes", &["--apply"], other), @"
    URL, owner viktor; what goes is deleted
    api: 3 images kept, 0 images to go, 3 rows left as they are
      skipped: tag v1: GET /v2/viktor/api/manifests/v1: sha256:28a8c286d83483b53ca106fb9f0d5aed8a01434fdaca3eebe248e396c28d7636 was expected, and what came hashes to sha256:2f86b8a43a37e356d9b12317d0a5b6927555d783f4f193bfd2db8182d42a3874
    registry-retention plan: packages=1 images_kept=3 images_deleted=0 versions_deleted=0 left=3 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/api is skipped: tag v1: GET /v2/viktor/api/manifests/v1: sha256:28a8c286d83483b53ca106fb9f0d5aed8a01434fdaca3eebe248e396c28d7636 was expected, and what came hashes to sha256:2f86b8a43a37e356d9b12317d0a5b6927555d783f4f193bfd2db8182d42a3874
    exit 4
    ");
    // A manifest that is requested by digest is compared with it, whether the server names the digest or not.
    let job = Job::new("other-child", incident(BOTH[1]));
    job.server.set_hook(|world, ask, _| {
        let is_child = ask.method == "GET" && ask.path.contains("/kms-website/manifests/sha256:");
        let mut body = || [&world.answer(ask).body[..], b" "].concat();
        is_child.then(|| Fault::Instead(Reply::of(200, "application/vnd.oci.image.manifest.v1+json", body())))
    });
    let output = job.run_without_effect(&["--apply", "--package", "kms*", "--keep-last", "1"], &[]);
    assert_eq!(output.lines().last(), Some("exit 4"), "{output}");
    assert!(output.contains("was expected, and what came hashes to"), "{output}");
}

#[test]
fn packages_differing_only_in_case_are_refused() {
    for profile in BOTH {
        let job = Job::new("case", incident(profile));
        {
            let mut world = job.server.world();
            world.push_image("api2", Some("v9"), "other");
            world.packages.iter_mut().find(|package| package.name == "api2").unwrap().name = "API".into();
        }
        assert_output_snapshot!(job.run_without_effect(&["--apply", "--keep-last", "1"], &[]), @r#"
        error: GET /api/v1/packages/viktor: packages "API" and "api" differ only in case, and this API takes both for the same; nothing can be deleted safely
        exit 1
        "#);
    }
}

#[test]
fn control_characters_of_server_do_not_reach_terminal() {
    let job = Job::new("controls", incident(BOTH[1]));
    {
        let mut world = job.server.world();
        world.push_image("evil", Some("v1"), "evil");
        let now = world.now;
        for row in world.versions.iter_mut().filter(|row| row.name == "v1" && row.created == now) {
            row.name = "v1\u{1b}[2J\r\nfake: \u{202e}line\u{9b}".into();
        }
        world.packages.iter_mut().find(|package| package.name == "evil").unwrap().name =
            "e\u{7}vil\u{1b}]0;x".into();
    }
    let text = job.run_without_effect(&["-v", "--jobs", "1", "--package", "e*"], &[]);
    let json = job.run(&["--output", "json", "--package", "e*"]);
    let explained = job.run(&["explain", "e\u{7}vil\u{1b}]0;x"]);
    for printed in [&text, &json.out, &json.err, &explained.out, &explained.err] {
        let control = printed.chars().find(|sign| registry_core::text::is_control(*sign) && *sign != '\n');
        assert_eq!(control, None, "{printed:?}");
    }
    assert_output_snapshot!(without_requests(&text), @r#"
    URL, owner viktor; dry run: nothing is deleted
    e\u{7}vil\u{1b}]0;x: 0 images kept, 0 images to go, 1 row left as it is
      skipped: tag v1\u{1b}[2J\r\nfake: \u{202e}line\u{9b}: "viktor/e\\u{7}vil\\u{1b}]0;x" is no name that a registry takes
      leave   v1\u{1b}[2J\r\nfake: \u{202e}line\u{9b}: the package is skipped
    registry-retention plan: packages=1 images_kept=0 images_deleted=0 versions_deleted=0 left=1 broken=0 skipped_packages=1 refused_packages=0 reclaimable_bytes=0
    error: package viktor/e\u{7}vil\u{1b}]0;x is skipped: tag v1\u{1b}[2J\r\nfake: \u{202e}line\u{9b}: "viktor/e\\u{7}vil\\u{1b}]0;x" is no name that a registry takes
    5 requests were made
    exit 4
    "#);
    // Messages of refusals and failures, and one that is no JSON.
    let message = "{\"message\":\"no\\u001b[31m\\r\\nfake: ok\\u202e\"}";
    for (status, body) in [(403, message), (500, message), (409, "plain \u{1b}[1mtext\r\nfake: ok")] {
        job.server.set_hook(move |_, ask, _| {
            ask.path
                .starts_with("/api/v1")
                .then(|| Fault::Instead(Reply::of(status, "application/json", body)))
        });
        let output = job.run_without_effect(&["--quiet"], &[]);
        assert!(
            !output.chars().any(|sign| registry_core::text::is_control(sign) && sign != '\n'),
            "{output:?}"
        );
        assert_eq!(output.lines().count(), 2, "{output}");
    }
}
