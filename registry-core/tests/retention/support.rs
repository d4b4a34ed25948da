//! Builds packages in few words, and writes decisions as text.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan as _};
use registry_core::oci::{Algorithm, Digest};
use registry_core::retention::{
    Decision, LetterCase, OtherPackages, Package, Pattern, Policy, Row, Rule, WhyNotPlanned, decide,
};
use serde_json::{Value, json};

pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The clock of every test.
pub fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// The time so many hours before [`now`].
pub fn hours_ago(hours: i64) -> Timestamp {
    now() - hours.hours()
}

pub fn sha(text: &str) -> Digest {
    Digest::hash(Algorithm::Sha256, text.as_bytes())
}

/// Builds a package. A row added later has a higher id.
pub struct PackageBuilder {
    pub package: Package,
    manifests: BTreeMap<Digest, (String, Vec<u8>)>,
    names: BTreeMap<Digest, String>,
    id: u64,
}

impl PackageBuilder {
    pub fn new() -> Self {
        Self { package: Package::new("app"), manifests: BTreeMap::new(), names: BTreeMap::new(), id: 0 }
    }

    /// Adds a manifest, which [`Self::name_digests`] calls `name`.
    pub fn manifest(&mut self, name: &str, media_type: &str, value: &Value) -> Digest {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::hash(Algorithm::Sha256, &bytes);
        let number = self.package.intern(&digest);
        self.package.set_bytes(number, media_type, &bytes);
        self.manifests.insert(digest, (media_type.into(), bytes));
        self.names.insert(digest, name.into());
        digest
    }

    /// An image of one platform.
    pub fn image(&mut self, name: &str) -> Digest {
        self.artifact(name, "application/vnd.oci.image.config.v1+json", None)
    }

    pub fn artifact(&mut self, name: &str, config: &str, subject: Option<Digest>) -> Digest {
        let mut value = json!({
            "schemaVersion": 2, "mediaType": IMAGE,
            "config": {"mediaType": config, "digest": sha(&format!("config of {name}")), "size": 100},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": sha(&format!("layer of {name}")), "size": 1000},
                       {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": sha("base"), "size": 5000}],
        });
        if let Some(subject) = subject {
            value["subject"] = json!({"mediaType": IMAGE, "digest": subject, "size": 1});
        }
        self.manifest(name, IMAGE, &value)
    }

    /// An index of these manifests.
    pub fn index(&mut self, name: &str, children: &[Digest]) -> Digest {
        let entries: Vec<Value> =
            children.iter().map(|digest| json!({"mediaType": IMAGE, "digest": digest, "size": 1})).collect();
        self.manifest(name, INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
    }

    /// A tagged index of two platforms whose children are listed under their digests, pushed so many hours ago.
    pub fn push_index(&mut self, tag: &str, hours: i64) -> Digest {
        let children = ["amd64", "arm64"].map(|platform| self.image(&format!("{tag}/{platform}")));
        for child in &children {
            self.digest_row(*child, hours);
        }
        let index = self.index(&format!("{tag}/index"), &children);
        self.tag(tag, index, hours);
        index
    }

    /// So many images of one platform each: `v1` the oldest, ten hours apart.
    pub fn with_images(count: i64) -> Self {
        Self::with_pushes(count, |builder, tag, hours| _ = builder.push_image(tag, hours))
    }

    /// So many indexes of two platforms each: `v1` the oldest, ten hours apart.
    pub fn with_indexes(count: i64) -> Self {
        Self::with_pushes(count, |builder, tag, hours| _ = builder.push_index(tag, hours))
    }

    fn with_pushes(count: i64, push: impl Fn(&mut Self, &str, i64)) -> Self {
        let mut builder = Self::new();
        for number in 1..=count {
            push(&mut builder, &format!("v{number}"), (count - number) * 10 + 100);
        }
        builder
    }

    /// A tagged image of one platform, pushed so many hours ago.
    pub fn push_image(&mut self, tag: &str, hours: i64) -> Digest {
        let image = self.image(&format!("{tag}/image"));
        self.tag(tag, image, hours);
        image
    }

    pub fn tag(&mut self, tag: &str, digest: Digest, hours: i64) {
        self.row(tag, digest, hours_ago(hours));
    }

    pub fn row(&mut self, version: &str, digest: Digest, at: Timestamp) {
        self.id += 1;
        let manifest = Some(self.package.intern(&digest));
        self.package.rows.push(Row {
            version: version.into(),
            id: Some(self.id),
            created_at: Some(at),
            manifest,
        });
    }

    pub fn digest_row(&mut self, digest: Digest, hours: i64) {
        self.row(&digest.to_string(), digest, hours_ago(hours));
    }

    /// The media type and bytes of a manifest.
    pub fn bytes(&self, digest: &Digest) -> Option<(String, Vec<u8>)> {
        self.manifests.get(digest).cloned()
    }

    /// Removes the digest rows of a manifest, which answers 404 from then on.
    pub fn lose(&mut self, digest: Digest) {
        let number = self.package.intern(&digest);
        self.package.set_absent(number);
        self.package.elsewhere.insert(digest, OtherPackages::default());
        let text = digest.to_string();
        self.package.rows.retain(|row| *row.version != *text);
    }

    pub fn decide(&mut self, policy: &Policy) -> Decision {
        self.package.seal();
        decide(&self.package, "team/app", policy, now())
    }

    /// The decision as text: one row per line, digests by name.
    pub fn decision_text(&mut self, policy: &Policy) -> String {
        let decision = self.decide(policy);
        let mut lines = Vec::new();
        match &decision.not_planned {
            Some(WhyNotPlanned::Skipped(why)) => lines.push(format!("skipped: {why}")),
            Some(WhyNotPlanned::Refused(why)) => lines.push(format!("refused: {why}")),
            None => {}
        }
        for (row, verdict) in self.package.rows.iter().zip(&decision.rows) {
            let action = format!("{:?}", verdict.action).to_lowercase();
            let reasons: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
            lines.push(format!("{action:<6} {}: {}", row.version, reasons.join("; ")));
        }
        if !decision.broken.is_empty() {
            lines.push(format!("broken: {}", decision.broken.join(", ")));
        }
        self.name_digests(&lines.join("\n"))
    }

    /// Replaces the digests in a text by the names of their manifests.
    pub fn name_digests(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (digest, name) in &self.names {
            text = text
                .replace(&digest.to_string(), &format!("<{name}>"))
                .replace(&digest.hex(), &format!("<{name}>"));
        }
        text
    }
}

/// The tag of the list of referrers of a digest.
pub fn fallback_tag(digest: Digest) -> String {
    format!("sha256-{}", digest.hex())
}

/// The tag of the cosign signature of a digest.
pub fn signature_tag(digest: Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// A rule on some tags of every package.
pub fn rule(tags: &str, keep_last: u32) -> Rule {
    Rule {
        package: Pattern::new("*", LetterCase::Ignored).unwrap(),
        tags: Pattern::new(tags, LetterCase::Ignored).unwrap(),
        group_by: None,
        keep_last,
        keep_within: None,
        keep_cache: None,
    }
}

/// A policy that keeps `keep_last` images and `latest`.
pub fn keep(keep_last: u32) -> Policy {
    Policy::keep_last(keep_last).unwrap()
}
