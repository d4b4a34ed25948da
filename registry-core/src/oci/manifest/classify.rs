//! Turns an envelope into a manifest: decides its kind, which faults make a registry refuse it, and what it references.

use super::lenient::{JsonStep, TypeMismatch, pointer};
use super::raw::{Envelope, FsLayer, RawDescriptor};
use super::{Defect, Kind, Manifest, Problem, Reference, ReferenceRole};
use crate::oci::{Descriptor, Digest, MediaType};

/// Fields whose type a registry checks for every kind of manifest.
const ALWAYS_CHECKED: &[&str] = &["schemaVersion", "mediaType"];

pub(super) fn classify(mut envelope: Envelope, faults: Vec<TypeMismatch>) -> Manifest {
    let media_type = envelope.media_type();
    let has_fault = |key| faults.iter().any(|fault| fault.path.first() == Some(&JsonStep::Key(key)));
    let refuse = |message: String| Problem { defect: Defect::Refused, pointer: String::new(), message };
    let mut problems = Vec::new();

    let (kind, checked): (Kind, &[&str]) = match (envelope.schema_version.unwrap_or(0), &media_type) {
        (1, _) => (Kind::Schema1, &["name", "tag", "architecture", "fsLayers", "history"]),
        (2, Some(MediaType::OciManifest)) => (Kind::Image, &["config", "layers", "annotations"]),
        (2, Some(MediaType::DockerManifest)) => (Kind::Image, &["config", "layers"]),
        (2, Some(MediaType::OciIndex | MediaType::DockerList)) => (Kind::Index, &["manifests"]),
        (2, None) if envelope.manifests.is_some() || has_fault("manifests") => (Kind::Index, &["manifests"]),
        (2, None) => (Kind::Image, &["config", "layers", "annotations"]),
        (2, Some(other)) => {
            problems.push(refuse(format!("unknown manifest type {:?}", other.as_str())));
            (Kind::Opaque, &[])
        }
        (version, Some(other)) => {
            problems.push(refuse(format!("schemaVersion {version} with media type {:?}", other.as_str())));
            (Kind::Opaque, &[])
        }
        (version, None) => {
            problems.push(refuse(format!("schemaVersion is {version}, and only 1 and 2 are known")));
            (Kind::Opaque, &[])
        }
    };

    for fault in faults {
        let is_checked = match fault.path.first() {
            None => true,
            Some(JsonStep::Key(key)) => ALWAYS_CHECKED.contains(key) || checked.contains(key),
            Some(JsonStep::Index(_)) => false,
        };
        // A registry reads `features` only in the platform of an index entry.
        let is_ignored = kind == Kind::Image && fault.path.contains(&JsonStep::Key("features"));
        if is_checked && !is_ignored {
            let message = format!("should be {}", fault.expected);
            problems.push(Problem { defect: Defect::Refused, pointer: pointer(&fault.path), message });
        }
    }

    let mut collected = References { references: Vec::new(), problems };
    if matches!(kind, Kind::Image | Kind::Opaque) {
        if let Some(config) = envelope.config.take() {
            collected.push(ReferenceRole::Config, &[JsonStep::Key("config")], Some(config));
        }
        collected.push_all("layers", envelope.layers.take(), |_| ReferenceRole::Layer);
    }
    if matches!(kind, Kind::Index | Kind::Opaque) {
        collected.push_all("manifests", envelope.manifests.take(), |raw| match &raw.media_type {
            Some(given) if !given.as_str().is_empty() && !given.is_manifest() => ReferenceRole::Layer,
            _ => ReferenceRole::Child,
        });
    }
    if kind == Kind::Opaque {
        collected.push_all("blobs", envelope.blobs.take(), |_| ReferenceRole::Layer);
    }
    if matches!(kind, Kind::Schema1 | Kind::Opaque) {
        for (index, layer) in envelope.fs_layers.take().unwrap_or_default().into_iter().enumerate() {
            let mut raw = RawDescriptor::default();
            raw.digest = layer.and_then(|FsLayer { blob_sum }| blob_sum);
            collected.push(
                ReferenceRole::Layer,
                &[JsonStep::Key("fsLayers"), JsonStep::Index(index)],
                Some(raw),
            );
        }
    }
    let subject = envelope.subject.and_then(|raw| raw.digest).and_then(|raw| raw.0.ok());
    Manifest { kind, media_type, references: collected.references, subject, problems: collected.problems }
}

struct References {
    references: Vec<Reference>,
    problems: Vec<Problem>,
}

impl References {
    fn push_all(
        &mut self,
        key: &'static str,
        list: Option<Vec<Option<RawDescriptor>>>,
        role: impl Fn(&RawDescriptor) -> ReferenceRole,
    ) {
        for (index, raw) in list.unwrap_or_default().into_iter().enumerate() {
            let role = raw.as_ref().map_or(ReferenceRole::Layer, &role);
            self.push(role, &[JsonStep::Key(key), JsonStep::Index(index)], raw);
        }
    }

    /// Adds a reference. `None` stands for null, which a registry reads as a descriptor without digest.
    fn push(&mut self, role: ReferenceRole, path: &[JsonStep], raw: Option<RawDescriptor>) {
        let mut raw = raw.unwrap_or_default();
        let digest = raw.digest.take().map_or(Err(String::new()), |raw| raw.0);
        let size = raw.size.unwrap_or(0);
        let descriptor = Descriptor {
            media_type: raw.media_type.take().filter(|given| !given.as_str().is_empty()),
            digest: digest.as_ref().ok().copied(),
            size,
            has_urls: raw.has_urls(),
            is_attestation: raw.is_attestation(),
            platform: raw.platform(),
        };
        if !descriptor.has_urls {
            let at = pointer(path);
            let mut add_problem = |pointer, message| {
                self.problems.push(Problem { defect: Defect::Part, pointer, message });
            };
            if let Err(text) = digest {
                let why = text.parse::<Digest>().err().map_or_else(String::new, |error| error.to_string());
                add_problem(format!("{at}/digest"), format!("{text:?} is no digest: {why}"));
            } else if size < 0 {
                add_problem(format!("{at}/size"), format!("the size is negative ({size})"));
            }
        }
        self.references.push(Reference { role, descriptor });
    }
}
