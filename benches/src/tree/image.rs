//! The documents of an image, and repositories of small images.
//!
//! Each tag is what BuildKit pushes: an index of a manifest and an attestation for each platform. Of the eight layers of a
//! platform image, two belong to a base image that other repositories share, one to the repository, and five to the tag alone.
//! Layers are opaque bytes, declared as uncompressed, so that the digest of a layer is its diff id.

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

/// The first layers of images, for each platform.
pub(super) type FirstLayers = [Vec<WrittenBlob>; 2];

/// Writes the layers of a base image.
pub(super) fn write_base(store: &Store, number: u32) -> io::Result<FirstLayers> {
    let layers = |platform: &str| -> io::Result<Vec<WrittenBlob>> {
        (0..BASE_LAYERS)
            .map(|n| store.blob(&bytes::small_layer(&format!("base {number} {platform} {n}"))))
            .collect()
    };
    Ok([layers(PLATFORMS[0])?, layers(PLATFORMS[1])?])
}

/// Writes a repository with all its tags.
pub(super) fn write_repository(store: &Store, number: u32, tags: u32, base: &FirstLayers) -> io::Result<()> {
    let repository = store.repository(format!("team-{:02}/service-{number:05}", number % 20))?;
    let mut first_layers = base.clone();
    for (layers, platform) in first_layers.iter_mut().zip(PLATFORMS) {
        layers.push(store.blob(&bytes::small_layer(&format!("{} {platform}", repository.name)))?);
        layers.iter().try_for_each(|layer| repository.link_layer(layer))?;
    }
    (0..tags).try_for_each(|tag| write_tag(&repository, &format!("v1.{tag}.0"), &first_layers))
}

fn write_tag(repository: &WrittenRepository<'_>, tag: &str, first_layers: &FirstLayers) -> io::Result<()> {
    let mut images = Vec::new();
    let mut attestations = Vec::new();
    for (first, platform) in first_layers.iter().zip(PLATFORMS) {
        let mut layers = first.clone();
        for n in 0..TAG_LAYERS {
            let layer = repository
                .store()
                .blob(&bytes::small_layer(&format!("{}:{tag} {platform} {n}", repository.name)))?;
            repository.link_layer(&layer)?;
            layers.push(layer);
        }
        let manifest = write_image(repository, tag, platform, &layers)?;
        let mut entry = manifest.descriptor(MANIFEST);
        entry["platform"] = json!({ "architecture": platform, "os": "linux" });
        images.push(entry);

        let mut entry = write_attestation(repository, tag, &manifest)?.descriptor(MANIFEST);
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

/// Writes the config and the manifest of an image whose layers are linked already.
pub(super) fn write_image(
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
    write_manifest(repository, &config, &layers)
}

fn write_attestation(
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
    write_manifest(repository, &config, &[layer])
}

fn write_manifest(
    repository: &WrittenRepository<'_>,
    config: &Value,
    layers: &[Value],
) -> io::Result<WrittenBlob> {
    let config = repository.store().document(config)?;
    repository.link_layer(&config)?;
    repository.manifest(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(CONFIG),
        "layers": layers,
    }))
}
