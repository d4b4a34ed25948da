//! Pull-through caches of real servers: what marks one on disk, and what its configuration says.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use registry_fixtures::real::{Configured, RealServer};
use registry_fixtures::registry::Profile;
use registry_fixtures::{Digest, TreeBuilder};

use crate::support::{fsck, run, scan};

/// How long a cache may take to write what it has sent.
const PATIENCE: Duration = Duration::from_secs(20);

fn get(server: &RealServer, path: &str) {
    let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
    let url = format!("http://{}/v2/{path}", server.address);
    let mut answer = ureq::get(&url).header("Accept", accept).call().unwrap();
    answer.body_mut().as_reader().read_to_end(&mut Vec::new()).unwrap();
}

fn wait_for(path: &Path) {
    let started = Instant::now();
    while !path.is_file() {
        assert!(started.elapsed() < PATIENCE, "{} was not written", path.display());
        std::thread::yield_now();
    }
}

/// One platform of an index pulled through a cache; the cache, and what keeps its upstream alive.
fn pulled(profile: Profile, more: &str) -> (RealServer, RealServer) {
    let upstream = RealServer::start(Profile::V2_8, Configured::default());
    let mut tree = TreeBuilder::in_folder(&upstream.root());
    let index = tree.multi_platform("multi", Some("v1"), &["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let top = format!("proxy: {{remoteurl: 'http://{}'{more}}}\n", upstream.address);
    let cache = RealServer::start(profile, Configured { top: &top, ..Configured::default() });
    let image = &index.images[0];
    get(&cache, "multi/manifests/v1");
    get(&cache, &format!("multi/manifests/{}", image.digest.as_str()));
    let there = TreeBuilder::in_folder(&cache.root());
    let parts: Vec<&Digest> = image.layers.iter().chain([&image.config]).collect();
    for part in parts {
        get(&cache, &format!("multi/blobs/{}", part.as_str()));
        wait_for(&there.layer_link_path("multi", part));
        wait_for(&there.blob_path(part));
    }
    wait_for(&there.revision_link("multi", &image.digest));
    (cache, upstream)
}

/// A copy that no server runs on.
fn copy(root: PathBuf) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp").arg("-a").arg(root.join(".")).arg(folder.path()).status();
    assert!(copied.unwrap().success());
    folder
}

// https://github.com/distribution/distribution/pull/3880: `proxy.ttl: 0` switches expiry off.
#[test]
#[ignore = "needs docker-registry 2.8.2 and registry 3.1.1"]
fn cache_without_expiry_is_known_by_server_configuration() {
    let (cache, _upstream) = pulled(Profile::V3, ", ttl: 0s");
    let told = |root: &Path| {
        let output = scan(root, &[]);
        let hint = String::from_utf8(output.stderr).unwrap().contains("looks like a pull-through cache");
        (output.status.code(), hint)
    };
    assert_eq!(told(&cache.root()), (Some(0), false));
    assert!(!cache.root().join("scheduler-state.json").exists());
    let copied = copy(cache.root());
    assert_eq!(told(copied.path()), (Some(4), true));
    let output = fsck().args(["scan", "--role", "cache"]).arg(copied.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

// https://github.com/distribution/distribution/issues/2374, https://github.com/distribution/distribution/issues/4478: both releases
// panic when they start on such a file.
#[test]
#[ignore = "needs docker-registry 2.8.2 and registry 3.1.1"]
fn cache_starts_after_scheduler_state_repair() {
    let upstream = RealServer::start(Profile::V2_8, Configured::default());
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
            let configured = Configured { top: &top, ..Configured::default() };
            RealServer::start_on(tree.root(), profile, configured).map(drop)
        };
        for text in texts.iter().map(Some).chain([None]) {
            let mut tree = TreeBuilder::new();
            let image = tree.image("app", Some("v1"), "app");
            // Absent as in a cache: no damage while the tree is known as one.
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
            // A folder never marked a cache, so what is absent below it is damage as before.
            assert_eq!(repair.status, if text.is_some() { 1 } else { 5 }, "{repair:?}");
            assert_eq!(start(&tree), Ok(()), "{profile:?} {text:?}");
            let state = tree.root().join("scheduler-state.json");
            assert_eq!(std::fs::read(&state).ok(), text.map(|_| b"{}".to_vec()), "{profile:?} {text:?}");
            assert_eq!(run(fsck().arg("undo").arg(&journal)).status, 0, "{profile:?} {text:?}");
            assert!(start(&tree).is_err(), "{profile:?} {text:?}");
        }
    }
}
