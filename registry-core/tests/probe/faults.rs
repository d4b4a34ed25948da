//! Answers that say nothing about the requested object (refusals, silence, answers of other servers): unknown, never missing.

use std::time::{Duration, Instant};

use registry_fixtures::Digest;
use registry_fixtures::registry::{Fault, Reply, Server, World, image_of};

use crate::support::{BOTH, RunOptions, mask_digests, registry, run_once};

fn push_two_images(world: &mut World) {
    world.push_image("app", Some("v1"), "one");
    world.push_image("web", Some("v1"), "two");
}

fn manifest_digest(seed: &str) -> String {
    Digest::of(&image_of(seed, None).0).as_str().to_owned()
}

/// Answers every request whose path contains `part` with this fault.
fn always_fail(server: &Server, part: &'static str, fault: Fault) {
    server.set_hook(move |_, ask, _| ask.path.contains(part).then(|| fault.clone()));
}

fn without_retries() -> RunOptions {
    RunOptions { retries: 0, ..RunOptions::default() }
}

#[tokio::test]
async fn forbidden_repository_is_unknown() {
    for (status, part) in
        [(401, "/v2/app/manifests/"), (403, "/v2/app/manifests/"), (403, "/v2/app/tags/list")]
    {
        let server = registry(BOTH[1], push_two_images);
        always_fail(&server, part, Fault::Status(status));
        let result = run_once(&server, &without_retries()).await;
        assert_eq!(result.broken(), Vec::<String>::new());
        assert!(!result.judgement.audit.source.complete);
        let story = result.summary_lines().join("\n");
        assert!(
            story.contains(&format!("refused with {status}"))
                || story.contains(&format!("refused with status {status}")),
            "{story}"
        );
        assert!(story.contains("/v2/app/") && !story.contains("web"), "{story}");
    }
}

#[tokio::test]
async fn forbidden_layers_make_a_tag_unknown() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], push_two_images);
    always_fail(&server, "/v2/app/blobs/", Fault::Status(403));
    let result = run_once(&server, &without_retries()).await;
    insta::assert_snapshot!(result.summary_lines().join("\n"), @"
    unknown app:v1 sha256:17d5779e498f…: refused with 403: these credentials do not suffice
    unread /v2/app/blobs/sha256:17d5779e498f… refused with 403: these credentials do not suffice
    unread /v2/app/blobs/sha256:a62f9a9bcede… refused with 403: these credentials do not suffice
    ");
}

#[tokio::test]
async fn registry_that_fails_for_every_object_is_unread_and_not_broken() {
    for status in [500, 502, 503] {
        let server = registry(BOTH[0], push_two_images);
        server.set_hook(move |_, ask, _| {
            let is_object = ask.path.contains("/manifests/") || ask.path.contains("/blobs/");
            is_object.then_some(Fault::Status(status))
        });
        let result = run_once(&server, &without_retries()).await;
        let audit = &result.judgement.audit;
        assert!(audit.findings.is_empty() && audit.broken_tags.is_empty() && !audit.source.complete);
        assert_eq!(audit.unknown_tags.len(), 2);
        assert_eq!(audit.unread.len(), 1, "{:?}", audit.unread);
        assert_eq!(&*audit.unread[0].path, ".");
        assert!(result.judgement.judged.is_empty());
    }
}

#[tokio::test]
async fn transient_fault_is_no_finding() {
    for fault in
        [Fault::Status(500), Fault::Status(503), Fault::Reset, Fault::Lost, Fault::Truncated, Fault::Wait(0)]
    {
        let server = registry(BOTH[0], push_two_images);
        let path = format!("/v2/app/manifests/{}", manifest_digest("one"));
        server.fail_requests("GET", &path, 1, fault.clone());
        server.fail_requests("HEAD", "/v2/web/manifests/v1", 1, fault.clone());
        let result = run_once(&server, &RunOptions::default()).await;
        assert_eq!(result.summary_lines(), Vec::<String>::new(), "{fault:?}");
        assert_eq!(result.judgement.judged.len(), 2);
    }
}

#[tokio::test]
async fn connections_that_always_break_make_a_tag_unknown() {
    for fault in [Fault::Reset, Fault::Lost, Fault::Truncated] {
        let server = registry(BOTH[0], push_two_images);
        always_fail(&server, "/v2/app/manifests/sha256", fault.clone());
        let result = run_once(&server, &RunOptions::default()).await;
        let audit = &result.judgement.audit;
        assert!(
            audit.findings.is_empty() && !audit.source.complete,
            "{fault:?}: {:?}",
            result.summary_lines()
        );
        assert_eq!(audit.unknown_tags.len(), 1);
        assert!(audit.unknown_tags[0].reason.contains("no answer"), "{}", audit.unknown_tags[0].reason);
    }
}

#[tokio::test]
async fn answer_after_the_deadline_makes_a_tag_unknown() {
    let server = registry(BOTH[0], push_two_images);
    always_fail(&server, "/v2/app/blobs/", Fault::Slow(Duration::from_secs(30)));
    let options = RunOptions { deadline: Duration::from_secs(1), retries: 0, ..RunOptions::default() };
    let result = run_once(&server, &options).await;
    let audit = &result.judgement.audit;
    assert!(audit.findings.is_empty() && !audit.source.complete);
    assert!(
        audit.unknown_tags[0].reason.contains("no complete answer within 1 s"),
        "{:?}",
        result.summary_lines()
    );
}

#[tokio::test]
async fn retry_after_is_respected() {
    let server = registry(BOTH[0], push_two_images);
    server.fail_requests("HEAD", "/v2/app/manifests/v1", 1, Fault::Wait(1));
    let start = Instant::now();
    let result = run_once(&server, &RunOptions::default()).await;
    assert!(start.elapsed() >= Duration::from_secs(1), "asked again after {:?}", start.elapsed());
    assert_eq!(result.summary_lines(), Vec::<String>::new());
}

#[tokio::test]
async fn retry_after_that_is_too_long_makes_a_tag_unknown() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], push_two_images);
    always_fail(&server, "/v2/app/manifests/v1", Fault::Wait(100_000));
    let result = run_once(&server, &RunOptions::default()).await;
    insta::assert_snapshot!(result.summary_lines().join("\n"), @"
    unknown app:v1 HEAD /v2/app/manifests/v1: status 429: it asks to wait 100000 s
    unread /v2/app/manifests/v1 HEAD /v2/app/manifests/v1: status 429: it asks to wait 100000 s
    ");
}

#[tokio::test]
async fn foreign_404_makes_a_tag_unknown() {
    let _guard = mask_digests();
    let page = Reply::new(404).with("content-type", "text/html").body("<html>not here</html>");
    for part in ["/v2/app/manifests/v1", "/v2/app/manifests/sha256", "/v2/app/blobs/"] {
        let server = registry(BOTH[0], push_two_images);
        always_fail(&server, part, Fault::Instead(page.clone()));
        for options in [without_retries(), RunOptions { retries: 0, ..RunOptions::deep() }] {
            let result = run_once(&server, &options).await;
            let audit = &result.judgement.audit;
            assert!(
                audit.findings.is_empty() && audit.broken_tags.is_empty(),
                "{part}: {:?}",
                result.summary_lines()
            );
            assert_eq!((audit.unknown_tags.len(), audit.source.complete), (1, false), "{part}");
        }
    }
}

#[tokio::test]
async fn login_page_in_place_of_a_manifest_is_a_digest_mismatch() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], push_two_images);
    let page = Reply::new(200).with("content-type", "text/html").body("<html>log in</html>");
    always_fail(&server, "/v2/app/manifests/sha256", Fault::Instead(page));
    // Status 200 with bytes of another hash: a client cannot pull this, whatever it is.
    insta::assert_snapshot!(run_once(&server, &without_retries()).await.summary_lines().join("\n"), @"manifest-digest-mismatch app:v1 its manifest is sent with bytes that hash to sha256:9a6242c8973c…");
}

#[tokio::test]
async fn redirect_to_a_login_makes_a_tag_unknown() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], push_two_images);
    let away = Reply::new(302).with("location", "ftp://login.example/");
    always_fail(&server, "/v2/app/manifests/v1", Fault::Instead(away));
    insta::assert_snapshot!(run_once(&server, &without_retries()).await.summary_lines().join("\n"), @r#"
    unknown app:v1 HEAD /v2/app/manifests/v1: status 302: it leads to "ftp://login.example/", which is not followed
    unread /v2/app/manifests/v1 HEAD /v2/app/manifests/v1: status 302: it leads to "ftp://login.example/", which is not followed
    "#);
}

#[tokio::test]
async fn wrong_media_type_is_a_warning() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], push_two_images);
    let path = format!("/v2/app/manifests/{}", manifest_digest("one"));
    server.fail_requests(
        "GET",
        &path,
        9,
        Fault::Header("content-type", Some("application/vnd.example+json; charset=utf-8".into())),
    );
    let result = run_once(&server, &without_retries()).await;
    insta::assert_snapshot!(result.summary_lines().join("\n"), @"media-type-mismatch app:v1 its manifest is served as application/vnd.example+json, and it calls itself application/vnd.oci.image.manifest.v1+json");
    assert_eq!(result.broken(), Vec::<String>::new());
    assert_eq!(result.judgement.judged.len(), 2);
}

#[tokio::test]
async fn wrong_digest_header_of_a_tag_breaks_it() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], push_two_images);
    let told = format!("sha256:{}", "0".repeat(64));
    // The header claims that the tag names an absent manifest.
    server.fail_requests(
        "HEAD",
        "/v2/app/manifests/v1",
        9,
        Fault::Header("docker-content-digest", Some(told)),
    );
    insta::assert_snapshot!(run_once(&server, &without_retries()).await.summary_lines().join("\n"), @"tag-target-missing app:v1 its manifest answers 404");
}

#[tokio::test]
async fn registry_without_digest_headers_is_read() {
    let server = registry(BOTH[0], push_two_images);
    server.set_hook(|_, ask, _| {
        ask.path.contains("/manifests/").then_some(Fault::Header("docker-content-digest", None))
    });
    let result = run_once(&server, &without_retries()).await;
    assert_eq!(result.summary_lines(), Vec::<String>::new());
    assert_eq!(result.judgement.judged.len(), 2);
}

#[tokio::test]
async fn bug_endless_layer_is_not_downloaded() {
    let _guard = mask_digests();
    // A body is not read if its content-length is far larger than the size in the manifest.
    let server = registry(BOTH[0], push_two_images);
    let endless = Reply::new(200).with("content-length", "9000000000000000000").body("x");
    always_fail(&server, "/v2/app/blobs/", Fault::Instead(endless));
    let result = run_once(&server, &RunOptions { retries: 0, ..RunOptions::deep() }).await;
    insta::assert_snapshot!(result.summary_lines().join("\n"), @"
    blob-size-mismatch app:v1 config sha256:17d5779e498f has 9000000000000000000 bytes, and its manifest says 50
    blob-size-mismatch app:v1 layer sha256:a62f9a9bcede has 9000000000000000000 bytes, and its manifest says 12
    ");
}

// The server had stopped answering: the run sent 1,578 requests in 120 s and called objects broken that had answered before.
#[tokio::test]
async fn bug_registry_that_dies_during_a_run_is_given_up_and_not_called_broken() {
    let server = registry(BOTH[0], |world| {
        for number in 0..60 {
            world.push_image("app", Some(&format!("v{number}")), &format!("image {number}"));
        }
    });
    let mut answered = 0;
    server.set_hook(move |_, ask, _| {
        answered += usize::from(ask.path.contains("/manifests/"));
        (answered > 80).then_some(Fault::Status(502))
    });
    // A retry comes at least half a millisecond later.
    let options =
        RunOptions { retries: 3, give_up_after: Some(Duration::from_micros(500)), ..RunOptions::default() };
    let result = run_once(&server, &options).await;
    let audit = &result.judgement.audit;
    assert_eq!((audit.findings.len(), audit.broken_tags.len(), audit.source.complete), (0, 0, false));
    assert_eq!(audit.unknown_tags.len(), 60, "no layer was requested");
    let [unread] = &audit.unread[..] else { panic!("{:?}", audit.unread) };
    assert_eq!(&*unread.path, ".");
    assert!(unread.error.starts_with("no request succeeded for 0 s"), "{}", unread.error);
    assert!(unread.error.ends_with(": status 502"), "{}", unread.error);
    assert!(result.sent < 200, "{} requests", result.sent);
}
