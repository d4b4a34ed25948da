//! Pushes to real servers that hold wrong bytes already: the server accepts the push and keeps the wrong file, so the pull fails.
//! After a repair, the same push succeeds.

use std::path::Path;

use registry_fixtures::registry::Profile;
use registry_fixtures::{Digest, Image, TreeBuilder};
use serde_json::Value;

use crate::real_server::{Client, start};
use crate::support::{OLD, fsck, run, scan_json};

/// Pushes images as clients do, without the blobs that the server has already.
struct Pusher {
    agent: ureq::Agent,
    /// `http://…/v2/`.
    url: String,
}

impl Pusher {
    fn new(address: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        Self { agent, url: format!("http://{address}/v2/") }
    }

    fn push_blob(&self, repository: &str, digest: &Digest, bytes: &[u8]) {
        let head =
            self.agent.head(format!("{}{repository}/blobs/{}", self.url, digest.as_str())).call().unwrap();
        if head.status() == 200 {
            return;
        }
        let begun = self.agent.post(format!("{}{repository}/blobs/uploads/", self.url)).send_empty().unwrap();
        let location = begun.headers()["location"].to_str().unwrap();
        let sign = if location.contains('?') { '&' } else { '?' };
        let put = self.agent.put(format!("{location}{sign}digest={}", digest.as_str()));
        assert_eq!(put.content_type("application/octet-stream").send(bytes).unwrap().status(), 201);
    }

    fn push_image(&self, source: &TreeBuilder, image: &Image, tag: &str) {
        for part in image.layers.iter().chain([&image.config]) {
            self.push_blob("app", part, &source.bytes(part));
        }
        let put = self.agent.put(format!("{}app/manifests/{tag}", self.url));
        let put = put.content_type("application/vnd.oci.image.manifest.v1+json");
        assert_eq!(put.send(source.bytes(&image.digest)).unwrap().status(), 201, "{tag}");
    }
}

/// Writes bytes under a digest that nothing names.
fn plant(tree: &TreeBuilder, digest: &Digest, bytes: &[u8]) {
    let path = tree.blob_path(digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Repairs a tree; returns the action and the outcome of each step.
fn repair(tree: &TreeBuilder, journal: &Path) -> Vec<(String, String)> {
    let options = ["--apply", "--online", "--content", "--output", "json", "--journal"];
    let report = run(fsck().arg("repair").args(options).arg(journal).arg(tree.root())).json();
    let text = |step: &Value, field: &str| step[field].as_str().unwrap_or_default().to_owned();
    let steps = report["steps"].as_array().unwrap().iter();
    steps.map(|step| (text(step, "action"), text(step, "outcome"))).collect()
}

fn check_pushes(profile: Profile) {
    let server = start(profile);
    let mut source = TreeBuilder::new();
    // Two images each with a truncated layer, with a layer of other bytes, and with an empty manifest as a full disk leaves it.
    let images = ["cut", "other", "empty"].map(|kind| {
        ["before", "after"].map(|time| {
            let tag = format!("{kind}-{time}");
            (source.image("source", None, &tag), tag)
        })
    });
    let mut tree = TreeBuilder::in_folder(&server.root());
    let mut planted = 0;
    for (number, kind) in images.iter().enumerate() {
        for (image, _) in kind {
            let layer = source.bytes(&image.layers[0]);
            match number {
                0 => plant(&tree, &image.layers[0], &layer[..layer.len() / 2]),
                1 => plant(&tree, &image.layers[0], &vec![b'x'; layer.len()]),
                _ => plant(&tree, &image.digest, b""),
            }
            planted += 1;
        }
    }
    tree.age_all(OLD);
    let found = scan_json(tree.root(), &["--content"]).json();
    let wrong = found["findings"].as_array().unwrap().iter();
    assert_eq!(
        wrong.filter(|finding| finding["code"] == "unreferenced-blob-wrong").count(),
        planted,
        "{found:#}"
    );

    // Before the repair the server accepts three pushes, and their images cannot be pulled.
    let pusher = Pusher::new(&server.address);
    let client = Client::new(&server, true);
    let pushed_at = |time: usize| images.iter().map(move |kind| &kind[time]);
    for (image, tag) in pushed_at(0) {
        pusher.push_image(&source, image, tag);
        assert!(client.pull_tag("app", tag).is_err(), "{profile:?} {tag} is pulled whole");
    }
    let folder = tempfile::tempdir().unwrap();
    let steps = repair(&tree, &folder.path().join("journal"));
    assert_eq!(steps, vec![("quarantine".to_owned(), "done".to_owned()); planted], "{profile:?}");

    // After the repair all six are pushed.
    for (image, tag) in pushed_at(0).chain(pushed_at(1)) {
        pusher.push_image(&source, image, tag);
        assert_eq!(client.pull_tag("app", tag), Ok(()), "{profile:?} {tag}");
    }
    assert_eq!(scan_json(tree.root(), &["--content"]).json()["summary"]["errors"], 0);
}

// https://github.com/distribution/distribution/issues/4489
#[test]
#[ignore = "needs docker-registry 2.8.2 and registry 3.1.1"]
fn push_over_wrong_bytes_is_broken_until_repair() {
    check_pushes(Profile::V2_8);
    check_pushes(Profile::V3);
}
