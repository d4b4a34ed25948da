//! Pull-through caches of real servers: what marks them on disk, and what their configuration says.

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use registry_fixtures::TreeBuilder;
use registry_fixtures::real::{RealServer, ServerOptions};
use registry_fixtures::registry::Profile;

use crate::support::{copy_of, fsck, run, scan};

/// How long a cache may take to write what it has sent.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

fn get(server: &RealServer, path: &str) {
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    let url = format!("http://{}/v2/{path}", server.address);
    let mut answer = ureq::get(&url).header("Accept", accept).call().unwrap();
    answer.body_mut().as_reader().read_to_end(&mut Vec::new()).unwrap();
}

fn wait_for_file(path: &Path) {
    let started = Instant::now();
    while !path.is_file() {
        assert!(started.elapsed() < WRITE_TIMEOUT, "{} was not written", path.display());
        std::thread::yield_now();
    }
}

/// A cache through which one platform of an index was pulled, and its upstream.
fn start_filled_cache(profile: Profile, more: &str) -> (RealServer, RealServer) {
    let upstream = RealServer::start(Profile::V2_8, ServerOptions::default());
    let mut tree = TreeBuilder::in_folder(&upstream.root());
    let index = tree.multi_platform("multi", Some("v1"), &["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let top = format!("proxy: {{remoteurl: 'http://{}'{more}}}\n", upstream.address);
    let cache = RealServer::start(profile, ServerOptions { top: &top, ..ServerOptions::default() });
    let image = &index.images[0];
    get(&cache, "multi/manifests/v1");
    get(&cache, &format!("multi/manifests/{}", image.digest.as_str()));
    let cache_tree = TreeBuilder::in_folder(&cache.root());
    for part in image.layers.iter().chain([&image.config]) {
        get(&cache, &format!("multi/blobs/{}", part.as_str()));
        wait_for_file(&cache_tree.layer_link_path("multi", part));
        wait_for_file(&cache_tree.blob_path(part));
    }
    wait_for_file(&cache_tree.revision_link("multi", &image.digest));
    (cache, upstream)
}

// https://github.com/distribution/distribution/pull/3880: `proxy.ttl: 0` switches expiry off.
#[test]
#[ignore = "needs docker-registry 2.8.2 and registry 3.1.1"]
fn cache_without_expiry_is_known_by_server_configuration() {
    let (cache, _upstream) = start_filled_cache(Profile::V3, ", ttl: 0s");
    let status_and_hint = |root: &Path| {
        let ran = scan(root, &[]);
        (ran.status, ran.err.contains("looks like a pull-through cache"))
    };
    assert_eq!(status_and_hint(&cache.root()), (0, false));
    assert!(!cache.root().join("scheduler-state.json").exists());
    // No server runs on a copy, so its configuration is not found.
    let copy = copy_of(&cache.root());
    assert_eq!(status_and_hint(copy.path()), (4, true));
    assert_eq!(scan(copy.path(), &["--role", "cache"]).status, 0);
}

// https://github.com/distribution/distribution/issues/2374, https://github.com/distribution/distribution/issues/4478: both releases
// panic when they start with such a file.
#[test]
#[ignore = "needs docker-registry 2.8.2 and registry 3.1.1"]
fn cache_starts_after_scheduler_state_repair() {
    let upstream = RealServer::start(Profile::V2_8, ServerOptions::default());
    let top = format!("proxy: {{remoteurl: 'http://{}'}}\n", upstream.address);
    let entry = |entry: &str| format!(r#"{{"app@sha256:aa":{entry}}}"#);
    let texts = [
        String::new(),
        "\0\0\0\0".into(),
        r#"{"a":{"Key":"a"#.into(),
        "{} x".into(),
        "[]".into(),
        entry("null"),
        entry(r#"{"Key":1}"#),
        entry(r#"{"ExpiryData":"tomorrow"}"#),
    ];
    for profile in [Profile::V2_8, Profile::V3] {
        let start = |tree: &TreeBuilder| {
            let configured = ServerOptions { top: &top, ..ServerOptions::default() };
            RealServer::start_on(tree.root(), profile, configured).map(drop)
        };
        for text in texts.iter().map(Some).chain([None]) {
            let mut tree = TreeBuilder::new();
            let image = tree.image("app", Some("v1"), "app");
            // A missing layer is no damage while the tree is known as a cache.
            tree.break_blob_missing(&image.layers[0]);
            match text {
                Some(text) => _ = tree.break_scheduler_state(text),
                None => _ = tree.break_scheduler_state_is_folder(),
            }
            assert!(start(&tree).is_err(), "{profile:?} {text:?}");
            let folder = tempfile::tempdir().unwrap();
            let journal = folder.path().join("journal");
            let repair = run(fsck()
                .args(["repair", "--apply", "--only", "path-unexpected", "--journal"])
                .arg(&journal)
                .arg(tree.root()));
            // A folder does not mark a cache, so the missing layer stays damage.
            assert_eq!(repair.status, if text.is_some() { 1 } else { 5 }, "{repair:?}");
            assert_eq!(start(&tree), Ok(()), "{profile:?} {text:?}");
            let state = tree.root().join("scheduler-state.json");
            assert_eq!(std::fs::read(&state).ok(), text.map(|_| b"{}".to_vec()), "{profile:?} {text:?}");
            assert_eq!(run(fsck().arg("undo").arg(&journal)).status, 0, "{profile:?} {text:?}");
            assert!(start(&tree).is_err(), "{profile:?} {text:?}");
        }
    }
}
