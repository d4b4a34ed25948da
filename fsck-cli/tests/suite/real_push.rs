//! Pushes to real servers over bytes that are wrong already: the server takes them, keeps the wrong file, and the pull fails. After
//! the repair the same push mends it.

use registry_fixtures::registry::Profile;
use registry_fixtures::{Digest, Image, TreeBuilder};
use serde_json::Value;

use crate::real_server::{Client, start};
use crate::support::{OLD, fsck, report, run};

/// Pushes an image as clients do: what the server has already is not sent.
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

    fn blob(&self, repository: &str, digest: &Digest, bytes: &[u8]) {
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

    fn image(&self, source: &TreeBuilder, image: &Image, tag: &str) {
        for part in image.layers.iter().chain([&image.config]) {
            self.blob("app", part, &source.bytes(part));
        }
        let put = self.agent.put(format!("{}app/manifests/{tag}", self.url));
        let put = put.content_type("application/vnd.oci.image.manifest.v1+json");
        assert_eq!(put.send(source.bytes(&image.digest)).unwrap().status(), 201, "{tag}");
    }
}

/// Writes another file under a digest that nothing names.
fn plant(there: &TreeBuilder, digest: &Digest, bytes: &[u8]) {
    let path = there.blob_path(digest);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

fn repair(there: &TreeBuilder, journal: &std::path::Path) -> Vec<(String, String)> {
    let mut command = fsck();
    command
        .args(["repair", "--apply", "--online", "--content", "--output", "json", "--journal"])
        .arg(journal);
    let told = run(command.arg(there.root())).json();
    let text = |step: &Value, field: &str| step[field].as_str().unwrap_or_default().to_owned();
    let steps = told["steps"].as_array().unwrap().iter();
    steps.map(|step| (text(step, "action"), text(step, "outcome"))).collect()
}

fn pushed(profile: Profile) {
    let server = start(profile);
    let mut source = TreeBuilder::new();
    // A layer that was cut off, one with other bytes of its length, a manifest of a full disk; of each two.
    let images = ["cut", "other", "empty"].map(|kind| {
        ["late", "early"].map(|time| {
            let tag = format!("{kind}-{time}");
            (source.image("source", None, &tag), tag)
        })
    });
    let mut there = TreeBuilder::in_folder(&server.root());
    let mut planted = 0;
    for (number, kind) in images.iter().enumerate() {
        for (image, _) in kind {
            let layer = source.bytes(&image.layers[0]);
            match number {
                0 => plant(&there, &image.layers[0], &layer[..layer.len() / 2]),
                1 => plant(&there, &image.layers[0], &vec![b'x'; layer.len()]),
                _ => plant(&there, &image.digest, b""),
            }
            planted += 1;
        }
    }
    there.age_all(OLD);
    let found = report(there.root(), &["--content"]);
    let wrong = found["findings"].as_array().unwrap().iter();
    assert_eq!(wrong.filter(|one| one["code"] == "unreferenced-blob-wrong").count(), planted, "{found:#}");

    // Three are pushed before the repair: the server takes what it then does not send.
    let pusher = Pusher::new(&server.address);
    let client = Client::new(&server, true);
    let all = |time: usize| images.iter().map(move |kind| &kind[time]);
    for (image, tag) in all(0) {
        pusher.image(&source, image, tag);
        assert!(client.tag("app", tag).is_err(), "{profile:?} {tag} is pulled whole");
    }
    let folder = tempfile::tempdir().unwrap();
    let steps = repair(&there, &folder.path().join("journal"));
    assert_eq!(steps, vec![("quarantine".to_owned(), "done".to_owned()); planted], "{profile:?}");

    // All are pushed after it.
    for (image, tag) in all(0).chain(all(1)) {
        pusher.image(&source, image, tag);
        assert_eq!(client.tag("app", tag), Ok(()), "{profile:?} {tag}");
    }
    assert_eq!(report(there.root(), &["--content"])["summary"]["errors"], 0);
}

// https://github.com/distribution/distribution/issues/4489
#[test]
#[ignore = "needs docker-registry 2.8.2 and registry 3.1.1"]
fn push_over_wrong_bytes_is_broken_until_repair() {
    pushed(Profile::V2_8);
    pushed(Profile::V3);
}
