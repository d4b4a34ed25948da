//! The documents of an image and the repositories that hold small ones.
//!
//! Every tag is what BuildKit pushes: an index of one manifest and one attestation for each platform. Of the eight
//! layers of a platform image two belong to a base image that other repositories use too, one to the repository, and
//! five to the tag alone. Layers are opaque bytes, declared as uncompressed, so that a layer's digest is its diff id.

use std::io;

use serde_json::{Value, json};

use super::bytes;
use super::store::{Store, WrittenBlob, WrittenRepository};

const PLATFORMS: [&str; 2] = ["amd64", "arm64"];
const BASE_LAYERS: u32 = 2;
const TAG_LAYERS: u32 = 5;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const IN_TOTO: &str = "application/vnd.in-toto+json";
const PROVENANCE: &str = "https://slsa.dev/provenance/v0.2";

/// The layer blobs of one base image.
pub(super) const FILES_PER_BASE: u64 = 2 * BASE_LAYERS as u64;
/// The links to the base layers, and the blob and link of the repository's own layer, for each platform.
pub(super) const FILES_PER_REPOSITORY: u64 = 2 * (BASE_LAYERS as u64 + 2);
/// Two links of the tag, the index and its link, and for each platform: two manifests, two configs, the statement
/// and the layers, each a blob and a link.
pub(super) const FILES_PER_TAG: u64 = 2 + 2 + 2 * 2 * (2 + 2 + 1 + TAG_LAYERS as u64);

/// Layers that images start with, for each platform.
pub(super) type Stack = [Vec<WrittenBlob>; 2];

/// Write the layers of a base image.
pub(super) fn base(store: &Store, number: u32) -> io::Result<Stack> {
    let layers = |platform: &str| -> io::Result<Vec<WrittenBlob>> {
        (0..BASE_LAYERS)
            .map(|n| store.blob(&bytes::small(&format!("base {number} {platform} {n}"))))
            .collect()
    };
    Ok([layers(PLATFORMS[0])?, layers(PLATFORMS[1])?])
}

/// Write a repository with all its tags.
pub(super) fn repository(store: &Store, number: u32, tags: u32, base: &Stack) -> io::Result<()> {
    let repository = store.repository(format!("team-{:02}/service-{number:05}", number % 20))?;
    let mut stack = base.clone();
    for (layers, platform) in stack.iter_mut().zip(PLATFORMS) {
        layers.push(store.blob(&bytes::small(&format!("{} {platform}", repository.name)))?);
        layers.iter().try_for_each(|layer| repository.link_layer(layer))?;
    }
    (0..tags).try_for_each(|tag| tagged_index(&repository, &format!("v1.{tag}.0"), &stack))
}

fn tagged_index(repository: &WrittenRepository<'_>, tag: &str, stack: &Stack) -> io::Result<()> {
    let mut images = Vec::new();
    let mut attestations = Vec::new();
    for (below, platform) in stack.iter().zip(PLATFORMS) {
        let mut layers = below.clone();
        for n in 0..TAG_LAYERS {
            let layer = repository
                .store()
                .blob(&bytes::small(&format!("{}:{tag} {platform} {n}", repository.name)))?;
            repository.link_layer(&layer)?;
            layers.push(layer);
        }
        let manifest = image(repository, tag, platform, &layers)?;
        let mut entry = manifest.descriptor(MANIFEST);
        entry["platform"] = json!({ "architecture": platform, "os": "linux" });
        images.push(entry);

        let mut entry = attestation(repository, tag, &manifest)?.descriptor(MANIFEST);
        entry["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
        entry["annotations"] = json!({
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": manifest.digest(),
        });
        attestations.push(entry);
    }
    images.append(&mut attestations);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images });
    repository.tag(tag, &repository.manifest(&index)?)
}

/// Write the config and the manifest of an image whose layers are linked already.
pub(super) fn image(
    repository: &WrittenRepository<'_>,
    tag: &str,
    platform: &str,
    layers: &[WrittenBlob],
) -> io::Result<WrittenBlob> {
    let step =
        |n: usize| json!({ "created": "2026-01-01T00:00:00Z", "created_by": format!("RUN make step-{n}") });
    let config = json!({
        "architecture": platform,
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            "Cmd": ["/usr/bin/service"],
            "Labels": {
                "org.opencontainers.image.title": &repository.name,
                "org.opencontainers.image.version": tag,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(WrittenBlob::digest).collect::<Vec<_>>() },
        "history": (0..layers.len()).map(step).collect::<Vec<_>>(),
    });
    let layers: Vec<Value> = layers.iter().map(|layer| layer.descriptor(LAYER)).collect();
    manifest(repository, &config, &layers)
}

fn attestation(
    repository: &WrittenRepository<'_>,
    tag: &str,
    subject: &WrittenBlob,
) -> io::Result<WrittenBlob> {
    let statement = repository.store().document(&json!({
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": PROVENANCE,
        "subject": [{
            "name": format!("pkg:docker/{}@{tag}", repository.name),
            "digest": { "sha256": subject.hex() },
        }],
        "predicate": { "buildType": "https://mobyproject.org/buildkit@v1" },
    }))?;
    repository.link_layer(&statement)?;
    let config = json!({
        "architecture": "unknown",
        "os": "unknown",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [statement.digest()] },
    });
    let mut layer = statement.descriptor(IN_TOTO);
    layer["annotations"] = json!({ "in-toto.io/predicate-type": PROVENANCE });
    manifest(repository, &config, &[layer])
}

fn manifest(repository: &WrittenRepository<'_>, config: &Value, layers: &[Value]) -> io::Result<WrittenBlob> {
    let config = repository.store().document(config)?;
    repository.link_layer(&config)?;
    repository.manifest(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(CONFIG),
        "layers": layers,
    }))
}
