//! All kinds of manifests that registries keep.

use registry_fixtures::Digest;
use registry_fixtures::registry::{Fault, Reply, Server, World, image_of};
use serde_json::{Value, json};

use crate::support::{BOTH, RunOptions, mask_digests, registry, requests_for, run_once};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest";

fn push_part(world: &mut World, media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": world.push_blob("app", bytes), "size": bytes.len()})
}

fn push(world: &mut World, tag: Option<&str>, manifest: &Value) -> Value {
    let bytes = manifest.to_string().into_bytes();
    let digest = world.push_manifest("app", tag, &bytes);
    json!({"mediaType": manifest["mediaType"], "digest": digest, "size": bytes.len()})
}

/// Pushes a docker manifest list of one docker image.
fn push_docker_list(world: &mut World) -> Value {
    let config = push_part(
        world,
        "application/vnd.docker.container.image.v1+json",
        b"{\"os\":\"linux\",\"architecture\":\"s390x\"}",
    );
    let layer = push_part(world, "application/vnd.docker.image.rootfs.diff.tar.gzip", b"docker layer");
    let image = json!({"schemaVersion": 2, "mediaType": format!("{DOCKER}.v2+json"), "config": config, "layers": [layer]});
    let mut child = push(world, Some("image"), &image);
    child["platform"] = json!({"os": "linux", "architecture": "s390x"});
    push(
        world,
        Some("list"),
        &json!({"schemaVersion": 2, "mediaType": format!("{DOCKER}.list.v2+json"), "manifests": [child]}),
    )
}

/// Makes a tag answer with bytes that the registry would not accept in a push.
fn serve_as_tag(server: &Server, tag: &str, bytes: Vec<u8>, media_type: &'static str) {
    let digest = Digest::of(&bytes).as_str().to_owned();
    let (tag, manifest) = (format!("/v2/app/manifests/{tag}"), format!("/v2/app/manifests/{digest}"));
    server.set_hook(move |_, ask, _| match (&*ask.method, &*ask.path) {
        ("HEAD", path) if path == tag => Some(Fault::Header("docker-content-digest", Some(digest.clone()))),
        ("GET", path) if path == manifest => {
            Some(Fault::Instead(Reply::new(200).with("content-type", media_type).body(bytes.clone())))
        }
        _ => None,
    });
}

#[tokio::test]
async fn docker_manifests_are_followed_to_their_layers() {
    let _guard = mask_digests();
    for profile in BOTH {
        let server = registry(profile, |world| drop(push_docker_list(world)));
        let options = RunOptions { platforms: vec!["linux/s390x".parse().unwrap()], ..RunOptions::default() };
        assert_eq!(run_once(&server, &options).await.summary_lines(), Vec::<String>::new());
        let layer = Digest::of(b"docker layer").as_str().to_owned();
        server.world().unlink_blob("app", &layer);
        let result = run_once(&server, &options).await;
        assert_eq!(result.broken(), ["app:image", "app:list"]);
        insta::allow_duplicates! { insta::assert_snapshot!(result.summary_lines().join("\n"), @"blob-missing app:image,list layer sha256:3ece0b4cb452 answers 404") };
    }
}

#[tokio::test]
async fn nested_indexes_are_followed() {
    let _guard = mask_digests();
    for profile in BOTH {
        let server = registry(profile, |world| {
            let mut child = world.push_index("app", &[], &["one", "two"]);
            for tag in [None, Some("nested")] {
                let inner =
                    json!({"mediaType": INDEX, "digest": child, "size": world.bytes_of(&child).len()});
                let outer = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]});
                child = push(world, tag, &outer)["digest"].as_str().unwrap().to_owned();
            }
        });
        assert_eq!(run_once(&server, &RunOptions::default()).await.summary_lines(), Vec::<String>::new());
        let leaf = Digest::of(&image_of("two", None).0);
        server.world().unlink_manifest("app", leaf.as_str());
        let result = run_once(&server, &RunOptions::default()).await;
        insta::allow_duplicates! { insta::assert_snapshot!(result.summary_lines().join("\n"), @"child-missing app:nested linux/arm64 answers 404") };
    }
}

#[tokio::test]
async fn layers_of_a_build_cache_index_are_requested_as_blobs() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], |world| {
        let config = push_part(world, "application/vnd.buildkit.cacheconfig.v0", b"{}");
        let layer = push_part(world, "application/vnd.oci.image.layer.v1.tar+gzip", b"cache layer");
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [layer, config]});
        let bytes = index.to_string().into_bytes();
        world.push_blob("app", &bytes);
        // 2.8 accepts such an index although its children are not manifests.
        world.push_image("app", Some("v1"), "one");
        world.push_manifest("app", Some("buildcache"), &bytes);
    });
    let result = run_once(&server, &RunOptions::default()).await;
    assert_eq!(result.summary_lines(), Vec::<String>::new());
    let layer = Digest::of(b"cache layer");
    assert_eq!(requests_for(&server, layer.as_str()), [format!("HEAD /v2/app/blobs/{}", layer.as_str())]);
    server.world().unlink_blob("app", layer.as_str());
    insta::assert_snapshot!(run_once(&server, &RunOptions::default()).await.summary_lines().join("\n"), @"blob-missing app:buildcache layer sha256:98e6f53fec46 answers 404");
}

#[tokio::test]
async fn foreign_layers_are_not_requested() {
    let mut config = Value::Null;
    let server = registry(BOTH[0], |world| {
        config = push_part(world, "application/vnd.docker.container.image.v1+json", b"{}");
        world.push_image("app", Some("v1"), "one");
    });
    let foreign = Digest::of(b"somewhere else");
    let foreign = json!({"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": foreign.as_str(),
        "size": 7, "urls": ["https://elsewhere.example/layer"]});
    let image = json!({"schemaVersion": 2, "mediaType": format!("{DOCKER}.v2+json"), "config": config, "layers": [foreign]});
    serve_as_tag(
        &server,
        "v1",
        image.to_string().into_bytes(),
        "application/vnd.docker.distribution.manifest.v2+json",
    );
    let result = run_once(&server, &RunOptions::deep()).await;
    assert_eq!(result.summary_lines(), Vec::<String>::new());
    assert_eq!(result.judgement.judged.len(), 1);
    assert_eq!(requests_for(&server, "/blobs/").len(), 1);
}

#[tokio::test]
async fn schema_1_is_judged_by_its_status_and_its_layers() {
    let _guard = mask_digests();
    let layer = Digest::of(b"old layer").as_str().to_owned();
    let server = registry(BOTH[0], |world| {
        world.push_image("app", Some("old"), "one");
        world.push_blob("app", b"old layer");
    });
    let text = json!({"schemaVersion": 1, "name": "app", "tag": "old", "fsLayers": [{"blobSum": layer}], "history": [{"v1Compatibility": "{}"}],
        "signatures": []});
    // Signed anew at each GET, so its bytes never hash to the digest.
    let reply = Reply::new(200)
        .with("content-type", format!("{DOCKER}.v1+prettyjws"))
        .with("docker-distribution-api-version", "registry/2.0")
        .body(text.to_string());
    server.set_hook(move |_, ask, _| {
        let is_read = ask.method == "GET" && ask.path.starts_with("/v2/app/manifests/sha256:");
        is_read.then(|| Fault::Instead(reply.clone()))
    });
    let result = run_once(&server, &RunOptions::deep()).await;
    assert_eq!(result.summary_lines(), Vec::<String>::new());
    assert_eq!(requests_for(&server, "/blobs/"), [format!("GET /v2/app/blobs/{layer}")]);
    server.world().unlink_blob("app", &layer);
    insta::assert_snapshot!(run_once(&server, &RunOptions::default()).await.summary_lines().join("\n"), @"blob-missing app:old layer sha256:f3b6f33e6768 answers 404");
}

#[tokio::test]
async fn invalid_reference_is_reported_and_never_requested() {
    let _guard = mask_digests();
    let server = registry(BOTH[0], |world| drop(world.push_image("app", Some("v1"), "one")));
    let text = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:../../../../etc/passwd", "size": 2},
        "layers": [{"mediaType": "x", "digest": Digest::of(b"x").as_str(), "size": -5}]});
    serve_as_tag(&server, "v1", text.to_string().into_bytes(), "application/vnd.oci.image.manifest.v1+json");
    let result = run_once(&server, &RunOptions::default()).await;
    insta::assert_snapshot!(result.summary_lines().join("\n"), @r#"
    blob-missing app:v1 layer sha256:2d711642b726 answers 404
    descriptor-invalid app:v1 its manifest has a reference that nobody can follow: /config/digest "sha256:../../../../etc/passwd" is no digest: the hash is not exactly 64 lower-case hexadecimal characters
    descriptor-invalid app:v1 its manifest has a reference that nobody can follow: /layers/0/size the size is negative (-5)
    "#);
    assert!(server.lines().iter().all(|line| !line.contains("..") && !line.contains("passwd")));
}

#[tokio::test]
async fn index_that_names_itself_is_requested_only_twice() {
    let server = registry(BOTH[0], |world| {
        world.push_image("app", Some("v1"), "one");
        world.push_image("app", Some("sound"), "two");
    });
    let digest = server.world().digest_of_tag("app", "v1").unwrap().to_owned();
    let text = registry_fixtures::registry::index_of(&[(digest.clone(), 5)]);
    let path = format!("/v2/app/manifests/{digest}");
    server.fail_requests("GET", &path, 99, Fault::Bytes(text));
    let result = run_once(&server, &RunOptions::default()).await;
    // No bytes contain their own hash, so these have another hash.
    assert_eq!(result.broken(), ["app:v1"]);
    assert_eq!(requests_for(&server, &path).len(), 2, "one request, and one for the second look");
}

#[tokio::test]
async fn ten_thousand_children_are_each_requested_once() {
    let server = registry(BOTH[0], |world| {
        world.push_image("app", None, "one");
        world.push_image("app", Some("sound"), "two");
        world.push_image("app", Some("wide"), "three");
    });
    let digest = |text: &[u8]| Digest::of(text).as_str().to_owned();
    let mut children: Vec<(String, usize)> =
        (0..10_000).map(|number| (digest(format!("{number}").as_bytes()), 9)).collect();
    let child = image_of("one", None).0;
    children.extend((0..10_000).map(|_| (digest(&child), child.len())));
    let index = registry_fixtures::registry::index_of(&children);
    serve_as_tag(&server, "wide", index, "application/vnd.oci.image.index.v1+json");
    let options =
        RunOptions { depth: registry_core::probe::Depth::Manifests, retries: 0, ..RunOptions::default() };
    let result = run_once(&server, &options).await;
    let audit = &result.judgement.audit;
    assert_eq!((audit.findings.len(), result.broken()), (10_000, vec!["app:wide".to_owned()]));
    // One for each child and one for the second run_probe, beside lists and the few others.
    assert!(server.log().len() < 20_050, "{} requests", server.log().len());
}

#[tokio::test]
async fn image_without_platform_lacks_the_required_one() {
    for profile in BOTH {
        let server = registry(profile, |world| {
            let config = push_part(world, "application/vnd.docker.container.image.v1+json", b"{}");
            let layer =
                push_part(world, "application/vnd.docker.image.rootfs.diff.tar.gzip", b"docker layer");
            let kind = format!("{DOCKER}.v2+json");
            let image = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
            push(world, Some("image"), &image);
        });
        let options = RunOptions { platforms: vec!["linux/s390x".parse().unwrap()], ..RunOptions::default() };
        let story = run_once(&server, &options).await.summary_lines();
        assert_eq!(
            story,
            ["platform-missing app:image it has no linux/s390x and names no platform"],
            "{profile:?}"
        );
        // A config with wrong bytes tells no platform, and is damage.
        let config = Digest::of(b"{}");
        server.world().replace_bytes(config.as_str(), b"[]");
        let story = run_once(&server, &options).await.summary_lines();
        assert!(story.iter().any(|line| line.starts_with("blob-digest-mismatch app:image")), "{story:?}");
    }
}
