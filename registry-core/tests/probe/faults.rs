//! Answers that say nothing of the thing asked for: refusals, silence, strangers. Unknown, never missing.

use std::time::{Duration, Instant};

use registry_fixtures::Digest;
use registry_fixtures::registry::{Fault, Reply, Server, World, image_of};

use crate::support::{BOTH, How, look_once, masked, registry};

fn two(world: &mut World) {
    world.push_image("app", Some("v1"), "one");
    world.push_image("web", Some("v1"), "two");
}

fn manifest(seed: &str) -> String {
    Digest::of(&image_of(seed, None).0).as_str().to_owned()
}

/// Every answer below a path is this.
fn always(server: &Server, part: &'static str, fault: Fault) {
    server.set_hook(move |_, ask, _| ask.path.contains(part).then(|| fault.clone()));
}

fn quick() -> How {
    How { retries: 0, ..How::default() }
}

#[tokio::test]
async fn one_repository_is_forbidden() {
    for (status, part) in
        [(401, "/v2/app/manifests/"), (403, "/v2/app/manifests/"), (403, "/v2/app/tags/list")]
    {
        let server = registry(BOTH[1], two);
        always(&server, part, Fault::Status(status));
        let looked = look_once(&server, &quick()).await;
        assert_eq!(looked.broken(), Vec::<String>::new());
        assert!(!looked.judgement.audit.source.complete);
        let story = looked.story().join("\n");
        assert!(
            story.contains(&format!("refused with {status}"))
                || story.contains(&format!("refused with status {status}")),
            "{story}"
        );
        assert!(story.contains("/v2/app/") && !story.contains("web"), "{story}");
    }
}

#[tokio::test]
async fn layers_that_are_forbidden_make_a_tag_unknown() {
    let _guard = masked();
    let server = registry(BOTH[0], two);
    always(&server, "/v2/app/blobs/", Fault::Status(403));
    let looked = look_once(&server, &quick()).await;
    insta::assert_snapshot!(looked.story().join("\n"), @"
    unknown app:v1 sha256:17d5779e498f…: refused with 403: these credentials do not suffice
    unread /v2/app/blobs/sha256:17d5779e498f… refused with 403: these credentials do not suffice
    unread /v2/app/blobs/sha256:a62f9a9bcede… refused with 403: these credentials do not suffice
    ");
}

#[tokio::test]
async fn a_registry_of_which_every_object_fails_is_out_of_order_and_not_broken() {
    for status in [500, 502, 503] {
        let server = registry(BOTH[0], two);
        server.set_hook(move |_, ask, _| {
            let is_object = ask.path.contains("/manifests/") || ask.path.contains("/blobs/");
            is_object.then_some(Fault::Status(status))
        });
        let looked = look_once(&server, &quick()).await;
        let audit = &looked.judgement.audit;
        assert!(audit.findings.is_empty() && audit.broken_tags.is_empty() && !audit.source.complete);
        assert_eq!(audit.unknown_tags.len(), 2);
        assert_eq!(audit.unread.len(), 1, "{:?}", audit.unread);
        assert_eq!(&*audit.unread[0].path, ".");
        assert!(looked.judgement.judged.is_empty());
    }
}

#[tokio::test]
async fn a_fault_that_passes_is_no_finding() {
    for fault in
        [Fault::Status(500), Fault::Status(503), Fault::Reset, Fault::Lost, Fault::Truncated, Fault::Wait(0)]
    {
        let server = registry(BOTH[0], two);
        let path = format!("/v2/app/manifests/{}", manifest("one"));
        server.spoil("GET", &path, 1, fault.clone());
        server.spoil("HEAD", "/v2/web/manifests/v1", 1, fault.clone());
        let looked = look_once(&server, &How::default()).await;
        assert_eq!(looked.story(), Vec::<String>::new(), "{fault:?}");
        assert_eq!(looked.judgement.judged.len(), 2);
    }
}

#[tokio::test]
async fn connections_that_break_every_time_make_unknown() {
    for fault in [Fault::Reset, Fault::Lost, Fault::Truncated] {
        let server = registry(BOTH[0], two);
        always(&server, "/v2/app/manifests/sha256", fault.clone());
        let looked = look_once(&server, &How::default()).await;
        let audit = &looked.judgement.audit;
        assert!(audit.findings.is_empty() && !audit.source.complete, "{fault:?}: {:?}", looked.story());
        assert_eq!(audit.unknown_tags.len(), 1);
        assert!(audit.unknown_tags[0].reason.contains("no answer"), "{}", audit.unknown_tags[0].reason);
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_makes_unknown() {
    let server = registry(BOTH[0], two);
    always(&server, "/v2/app/blobs/", Fault::Slow(Duration::from_secs(30)));
    let how = How { deadline: Duration::from_secs(1), retries: 0, ..How::default() };
    let looked = look_once(&server, &how).await;
    let audit = &looked.judgement.audit;
    assert!(audit.findings.is_empty() && !audit.source.complete);
    assert!(audit.unknown_tags[0].reason.contains("no complete answer within 1 s"), "{:?}", looked.story());
}

#[tokio::test]
async fn a_wait_that_the_registry_asks_for_is_kept() {
    let server = registry(BOTH[0], two);
    server.spoil("HEAD", "/v2/app/manifests/v1", 1, Fault::Wait(1));
    let start = Instant::now();
    let looked = look_once(&server, &How::default()).await;
    assert!(start.elapsed() >= Duration::from_secs(1), "asked again after {:?}", start.elapsed());
    assert_eq!(looked.story(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wait_without_end_makes_unknown() {
    let _guard = masked();
    let server = registry(BOTH[0], two);
    always(&server, "/v2/app/manifests/v1", Fault::Wait(100_000));
    let looked = look_once(&server, &How::default()).await;
    insta::assert_snapshot!(looked.story().join("\n"), @"
    unknown app:v1 HEAD /v2/app/manifests/v1: status 429: it asks to wait 100000 s
    unread /v2/app/manifests/v1 HEAD /v2/app/manifests/v1: status 429: it asks to wait 100000 s
    ");
}

#[tokio::test]
async fn a_404_that_is_not_the_registrys_is_unknown() {
    let _guard = masked();
    let page = Reply::new(404).with("content-type", "text/html").body("<html>not here</html>");
    for part in ["/v2/app/manifests/v1", "/v2/app/manifests/sha256", "/v2/app/blobs/"] {
        let server = registry(BOTH[0], two);
        always(&server, part, Fault::Instead(page.clone()));
        for how in [quick(), How { retries: 0, ..How::deep() }] {
            let looked = look_once(&server, &how).await;
            let audit = &looked.judgement.audit;
            assert!(
                audit.findings.is_empty() && audit.broken_tags.is_empty(),
                "{part}: {:?}",
                looked.story()
            );
            assert_eq!((audit.unknown_tags.len(), audit.source.complete), (1, false), "{part}");
        }
    }
}

#[tokio::test]
async fn a_login_page_in_place_of_a_manifest_breaks_no_tag_for_certain_without_its_hash() {
    let _guard = masked();
    let server = registry(BOTH[0], two);
    let page = Reply::new(200).with("content-type", "text/html").body("<html>log in</html>");
    always(&server, "/v2/app/manifests/sha256", Fault::Instead(page));
    // 200 with bytes that hash to something else: whatever it is, a client cannot pull this.
    insta::assert_snapshot!(look_once(&server, &quick()).await.story().join("\n"), @"manifest-digest-mismatch app:v1 its manifest is sent with bytes that hash to sha256:9a6242c8973c…");
}

#[tokio::test]
async fn a_redirect_to_a_login_is_unknown() {
    let _guard = masked();
    let server = registry(BOTH[0], two);
    let away = Reply::new(302).with("location", "ftp://login.example/");
    always(&server, "/v2/app/manifests/v1", Fault::Instead(away));
    insta::assert_snapshot!(look_once(&server, &quick()).await.story().join("\n"), @r#"
    unknown app:v1 HEAD /v2/app/manifests/v1: status 302: it leads to "ftp://login.example/", which is not followed
    unread /v2/app/manifests/v1 HEAD /v2/app/manifests/v1: status 302: it leads to "ftp://login.example/", which is not followed
    "#);
}

#[tokio::test]
async fn another_media_type_is_a_warning() {
    let _guard = masked();
    let server = registry(BOTH[0], two);
    let path = format!("/v2/app/manifests/{}", manifest("one"));
    server.spoil(
        "GET",
        &path,
        9,
        Fault::Header("content-type", Some("application/vnd.example+json; charset=utf-8".into())),
    );
    let looked = look_once(&server, &quick()).await;
    insta::assert_snapshot!(looked.story().join("\n"), @"media-type-mismatch app:v1 its manifest is served as application/vnd.example+json, and it calls itself application/vnd.oci.image.manifest.v1+json");
    assert_eq!(looked.broken(), Vec::<String>::new());
    assert_eq!(looked.judgement.judged.len(), 2);
}

#[tokio::test]
async fn a_digest_that_the_registry_tells_wrong_is_met() {
    let _guard = masked();
    let server = registry(BOTH[0], two);
    let told = format!("sha256:{}", "0".repeat(64));
    // The tag is said to name something that is not there.
    server.spoil("HEAD", "/v2/app/manifests/v1", 9, Fault::Header("docker-content-digest", Some(told)));
    insta::assert_snapshot!(look_once(&server, &quick()).await.story().join("\n"), @"tag-target-missing app:v1 its manifest answers 404");
}

#[tokio::test]
async fn a_registry_that_tells_no_digest_is_read() {
    let server = registry(BOTH[0], two);
    server.set_hook(|_, ask, _| {
        ask.path.contains("/manifests/").then_some(Fault::Header("docker-content-digest", None))
    });
    let looked = look_once(&server, &quick()).await;
    assert_eq!(looked.story(), Vec::<String>::new());
    assert_eq!(looked.judgement.judged.len(), 2);
}

#[tokio::test]
async fn bug_a_layer_that_does_not_end_is_given_up() {
    let _guard = masked();
    // A body whose length is told is not begun where that is far more than the manifest says.
    let server = registry(BOTH[0], two);
    let endless = Reply::new(200).with("content-length", "9000000000000000000").body("x");
    always(&server, "/v2/app/blobs/", Fault::Instead(endless));
    let looked = look_once(&server, &How { retries: 0, ..How::deep() }).await;
    insta::assert_snapshot!(looked.story().join("\n"), @"
    blob-size-mismatch app:v1 config sha256:17d5779e498f has 9000000000000000000 bytes, and its manifest says 50
    blob-size-mismatch app:v1 layer sha256:a62f9a9bcede has 9000000000000000000 bytes, and its manifest says 12
    ");
}

// Nothing answered any more: 1,578 requests in 120 s, and objects that had answered before were called broken.
#[tokio::test]
async fn bug_a_registry_that_dies_during_a_run_is_given_up_and_nothing_in_it_is_broken() {
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
    // A second try comes half a millisecond later at least.
    let how = How { retries: 3, give_up_after: Some(Duration::from_micros(500)), ..How::default() };
    let looked = look_once(&server, &how).await;
    let audit = &looked.judgement.audit;
    assert_eq!((audit.findings.len(), audit.broken_tags.len(), audit.source.complete), (0, 0, false));
    assert_eq!(audit.unknown_tags.len(), 60, "no layer was asked for");
    let [unread] = &audit.unread[..] else { panic!("{:?}", audit.unread) };
    assert_eq!(&*unread.path, ".");
    assert!(unread.error.starts_with("no request succeeded for 0 s"), "{}", unread.error);
    assert!(unread.error.ends_with(": status 502"), "{}", unread.error);
    assert!(looked.sent < 200, "{} requests", looked.sent);
}
