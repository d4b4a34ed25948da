//! The text of `verify`: a short tree of each image, with platforms, attestations and referrers.

use std::collections::HashSet;
use std::io::{self, Write};

use anstyle::Style;
use indicatif::HumanBytes;
use registry_cli::styles::{BAD, GOOD};
use registry_core::audit::{Finding, Report, Severity};
use registry_core::graph::Content;
use registry_core::oci::Digest;
use registry_core::oci::manifest::{Kind, ReferenceRole};
use registry_core::probe::{AnsweredManifest, BlobAnswer, ManifestAnswer, RepositoryResponses, TagAnswer};
use registry_core::text::without_controls as safe;

use crate::verify::checked::CheckedRegistry;

/// Writes the trees of all images, then what is wrong.
pub fn write(report: &Report, checked: &[CheckedRegistry], out: &mut dyn Write) -> io::Result<()> {
    for registry in checked {
        for (image, name) in &registry.images {
            let is_image = |source: &str, repository: &str, tag: &str| {
                source == registry.address && repository == image.repository.as_str() && tag == name
            };
            let mut broken = report.broken_tags.iter();
            let is_broken = broken.any(|tag| is_image(&tag.source, &tag.repository, &tag.tag));
            let mut unknown = report.unknown_tags.iter();
            let unknown = unknown.find(|tag| is_image(&tag.source, &tag.repository, &tag.tag));
            let state = match (is_broken, unknown) {
                (true, _) => format!("{BAD}not complete{BAD:#}"),
                (false, Some(unknown)) => format!("{BAD}not known{BAD:#}: {}", safe(&unknown.reason)),
                (false, None) => format!("{GOOD}complete{GOOD:#}"),
            };
            let after = registry.waited.map_or_else(String::new, |seconds| format!(" after {seconds} s"));
            writeln!(out, "{image}: {state}{after}")?;
            let Some(repository) = registry.responses.repositories.get(image.repository.as_str()) else {
                continue;
            };
            if let Some(TagAnswer::Names(root)) = repository.tags.get(name) {
                write_manifest(repository, root, "", 1, &mut HashSet::new(), out)?;
            }
            for referrer in registry.referrers.get(image).into_iter().flatten() {
                writeln!(out, "  referrer {referrer}")?;
            }
        }
    }
    for finding in report.findings.iter().filter(|finding| finding.severity != Severity::Info) {
        writeln!(out, "{}", sentence(finding))?;
    }
    if let Some(count @ 1..) = report.coverage.not_asked {
        let references = if count == 1 { "reference" } else { "references" };
        writeln!(out, "{count} {references} in use elsewhere, not asked for")?;
    }
    for unread in &report.unread {
        writeln!(out, "{BAD}not known{BAD:#} {}: {}", safe(&unread.path), safe(&unread.error))?;
    }
    Ok(())
}

fn sentence(finding: &Finding) -> String {
    let repository = safe(finding.repository.as_deref().unwrap_or_default());
    let tags: Vec<_> = finding.tags.iter().map(|tag| safe(tag)).collect();
    let style = if finding.severity == Severity::Error { BAD } else { Style::new() };
    format!(
        "{style}{}{style:#} {repository}:{}: {} [{}]",
        finding.severity,
        tags.join(", "),
        safe(&finding.message),
        finding.code
    )
}

fn write_manifest(
    repository: &RepositoryResponses,
    digest: &Digest,
    what: &str,
    depth: usize,
    written: &mut HashSet<Digest>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    let what = if what.is_empty() { String::new() } else { format!("{what} ") };
    // An index may name the same child thousands of times, and each may name others as often.
    if !written.insert(*digest) {
        return writeln!(out, "{indent}{what}{digest}, see above");
    }
    let present = match repository.manifests.get(digest) {
        Some(ManifestAnswer::Present(present)) => present,
        Some(ManifestAnswer::Absent) => return writeln!(out, "{indent}{what}{digest} {BAD}missing{BAD:#}"),
        Some(ManifestAnswer::WrongBytes(_)) => {
            return writeln!(out, "{indent}{what}{digest} {BAD}wrong bytes{BAD:#}");
        }
        Some(ManifestAnswer::Unknown(why)) => {
            return writeln!(out, "{indent}{what}{digest} not known: {}", safe(&why.to_string()));
        }
        None => return writeln!(out, "{indent}{what}{digest} not asked for"),
    };
    writeln!(out, "{indent}{what}{digest}{}", parts_text(repository, present))?;
    // Indexes may be nested without limit; deeper levels are not shown.
    if depth > 8 {
        return Ok(());
    }
    let references = present.manifest.references.iter();
    for reference in references.filter(|reference| reference.role == ReferenceRole::Child) {
        let Some(child) = reference.descriptor.digest else { continue };
        let platform = reference.descriptor.platform.as_ref().filter(|platform| !platform.is_unknown());
        let what = match platform {
            Some(platform) => safe(&platform.to_string()),
            None if reference.descriptor.is_attestation => "attestation".to_owned(),
            None => "child".to_owned(),
        };
        write_manifest(repository, &child, &what, depth + 1, written, out)?;
    }
    Ok(())
}

/// For example `, 5 layers (12 MiB), 1 missing`. A config that is missing, wrong or not known is counted with the layers.
fn parts_text(repository: &RepositoryResponses, present: &AnsweredManifest) -> String {
    if present.manifest.kind == Kind::Index {
        return ", index".into();
    }
    let parts = present.manifest.references.iter().filter(|part| part.role != ReferenceRole::Child);
    let layers = parts.clone().filter(|part| part.role == ReferenceRole::Layer).count();
    let (mut bytes, mut missing, mut wrong, mut unknown) = (0, 0, 0, 0);
    for part in parts.filter(|part| !part.descriptor.has_urls) {
        let descriptor = &part.descriptor;
        match descriptor.digest.and_then(|digest| repository.blobs.get(&digest)) {
            Some(BlobAnswer::Present { size, content }) => {
                bytes += size.unwrap_or(0);
                // Manifests of schema 1 have no sizes.
                let has_size = present.manifest.kind == Kind::Schema1
                    || size.is_none_or(|size| u64::try_from(descriptor.size) == Ok(size));
                wrong += u32::from(*content == Content::Wrong || !has_size);
            }
            Some(BlobAnswer::Absent) => missing += 1,
            Some(BlobAnswer::Unknown(_)) | None => unknown += 1,
        }
    }
    let noun = if layers == 1 { "layer" } else { "layers" };
    let mut text = format!(", {layers} {noun} ({})", HumanBytes(bytes));
    for (count, what) in [(missing, "missing"), (wrong, "wrong"), (unknown, "not known")] {
        if count > 0 {
            text.push_str(&format!(", {BAD}{count} {what}{BAD:#}"));
        }
    }
    text
}
