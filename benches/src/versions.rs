//! Plans the retention of many versions in memory, to measure the cost of a run without a network.

use std::fmt::Write as _;

use anyhow::Result;
use jiff::{Timestamp, ToSpan as _};
use registry_core::oci::{Algorithm, Digest};
use registry_core::retention::{Package, Plan, Policy, Row, Source, SourceKind, plan};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Rows of a tag: its index, two platforms, two attestations.
const ROWS: u32 = 5;
/// Tags of a package.
const TAGS: u32 = 200;

/// Makes packages with `versions` rows in all, and plans to keep ten images of each package.
///
/// # Errors
/// Never in practice.
pub fn plan_versions(versions: u32) -> Result<Plan> {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse()?;
    let packages = versions.div_ceil(ROWS * TAGS);
    let source = Source {
        kind: SourceKind::Forgejo,
        url: "https://git.example.org".into(),
        owner: Some("team".into()),
        version: None,
    };
    let packages = (0..packages).filter_map(|number| make_package(number, now).ok());
    let policy = Policy::keep_last(10)?;
    Ok(plan(source, packages, &policy, now, env!("CARGO_PKG_VERSION")))
}

fn make_package(number: u32, now: Timestamp) -> Result<Package> {
    let mut package = Package::new(format!("team/app-{number}"));
    let mut id = 0;
    for tag in 0..TAGS {
        let at = now - i64::from(TAGS - tag).hours();
        let mut entries = String::new();
        let mut row = |package: &mut Package, version: String, digest: &Digest| {
            id += 1;
            let manifest = Some(package.intern(digest));
            package.rows.push(Row { version: version.into(), id: Some(id), created_at: Some(at), manifest });
        };
        for child in 0..4 {
            let layers = if child < 2 { 4 } else { 1 };
            let text = image_manifest(&format!("{number} {tag} {child}"), layers);
            let digest = add_manifest(&mut package, IMAGE, &text);
            row(&mut package, digest.to_string(), &digest);
            let comma = if child == 0 { "" } else { "," };
            write!(entries, r#"{comma}{{"mediaType":"{IMAGE}","digest":"{digest}","size":{}}}"#, text.len())?;
        }
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entries}]}}"#);
        let digest = add_manifest(&mut package, INDEX, &text);
        row(&mut package, format!("v{tag}"), &digest);
    }
    package.seal();
    Ok(package)
}

fn add_manifest(package: &mut Package, media_type: &str, text: &str) -> Digest {
    let digest = Digest::hash(Algorithm::Sha256, text.as_bytes());
    let manifest = package.intern(&digest);
    package.set_bytes(manifest, media_type, text.as_bytes());
    digest
}

fn image_manifest(name: &str, layers: u32) -> String {
    let part = |what: &str| {
        let digest = Digest::hash(Algorithm::Sha256, format!("{name} {what}").as_bytes());
        format!(r#"{{"mediaType":"application/octet-stream","digest":"{digest}","size":1000}}"#)
    };
    let layers: Vec<_> = (0..layers).map(|layer| part(&layer.to_string())).collect();
    let (config, layers) = (part("config"), layers.join(","));
    format!(r#"{{"schemaVersion":2,"mediaType":"{IMAGE}","config":{config},"layers":[{layers}]}}"#)
}

#[cfg(test)]
mod tests {
    #[test]
    fn ten_images_of_each_package_stay() {
        let plan = super::plan_versions(2000).unwrap();
        assert_eq!(
            (plan.summary.packages, plan.summary.images_kept, plan.summary.images_deleted),
            (2, 20, 380)
        );
    }
}
