//! What `verify` looked at, as a short tree: image, platforms, attestations, referrers.

use std::collections::HashSet;
use std::io::{self, Write};

use anstyle::Style;
use indicatif::HumanBytes;
use registry_cli::styles::{BAD, GOOD};
use registry_core::audit::{Finding, Report, Severity};
use registry_core::graph::Content;
use registry_core::oci::Digest;
use registry_core::oci::manifest::{Kind, ReferenceRole};
use registry_core::probe::{BlobAnswer, ManifestAnswer, RepositoryResponses, RespondedManifest, TagAnswer};
use registry_core::text::without_controls as safe;

use crate::verify::checked::Checked;

/// Writes the trees of all images, then what is wrong.
pub fn write(report: &Report, checked: &[Checked], out: &mut dyn Write) -> io::Result<()> {
    for registry in checked {
        for (image, name) in &registry.images {
            let is_broken = report.broken_tags.iter().any(|tag| {
                *tag.source == registry.address
                    && *tag.repository == *image.repository.as_str()
                    && *tag.tag == **name
            });
            let unknown = report.unknown_tags.iter().find(|tag| {
                *tag.source == registry.address
                    && *tag.repository == *image.repository.as_str()
                    && *tag.tag == **name
            });
            let state = match (is_broken, unknown) {
                (true, _) => format!("{BAD}not complete{BAD:#}"),
                (false, Some(unknown)) => format!("{BAD}not known{BAD:#}: {}", safe(&unknown.reason)),
                (false, None) => format!("{GOOD}complete{GOOD:#}"),
            };
            let after = registry.waited.map_or_else(String::new, |seconds| format!(" after {seconds} s"));
            writeln!(out, "{image}: {state}{after}")?;
            let Some(repository) = registry.seen.repositories.get(image.repository.as_str()) else {
                continue;
            };
            if let Some(TagAnswer::Names(root)) = repository.tags.get(name) {
                manifest(repository, root, "", 1, &mut HashSet::new(), out)?;
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

fn manifest(
    repository: &RepositoryResponses,
    digest: &Digest,
    what: &str,
    depth: usize,
    met: &mut HashSet<Digest>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let indent = "  ".repeat(depth);
    let what = if what.is_empty() { String::new() } else { format!("{what} ") };
    // An index may name the same child ten thousand times, and that one another.
    if !met.insert(*digest) {
        return writeln!(out, "{indent}{what}{digest}, see above");
    }
    let seen = match repository.manifests.get(digest) {
        Some(ManifestAnswer::Present(seen)) => seen,
        Some(ManifestAnswer::Absent) => return writeln!(out, "{indent}{what}{digest} {BAD}missing{BAD:#}"),
        Some(ManifestAnswer::WrongBytes(_)) => {
            return writeln!(out, "{indent}{what}{digest} {BAD}wrong bytes{BAD:#}");
        }
        Some(ManifestAnswer::Unknown(why)) => {
            return writeln!(out, "{indent}{what}{digest} not known: {}", safe(&why.to_string()));
        }
        None => return writeln!(out, "{indent}{what}{digest} not asked for"),
    };
    writeln!(out, "{indent}{what}{digest}{}", parts(repository, seen))?;
    // Indexes in indexes without end are legal, and of no use to a reader.
    if depth > 8 {
        return Ok(());
    }
    for reference in seen.manifest.references.iter().filter(|one| one.role == ReferenceRole::Child) {
        let Some(child) = reference.descriptor.digest else { continue };
        let platform = reference.descriptor.platform.as_ref().filter(|platform| !platform.is_unknown());
        let what = match platform {
            Some(platform) => safe(&platform.to_string()),
            None if reference.descriptor.is_attestation => "attestation".to_owned(),
            None => "child".to_owned(),
        };
        manifest(repository, &child, &what, depth + 1, met, out)?;
    }
    Ok(())
}

/// ", 5 layers (12 MiB), 1 missing", the config counted with the layers where something is the matter.
fn parts(repository: &RepositoryResponses, seen: &RespondedManifest) -> String {
    if seen.manifest.kind == Kind::Index {
        return ", index".into();
    }
    let parts = seen.manifest.references.iter().filter(|one| one.role != ReferenceRole::Child);
    let layers = parts.clone().filter(|one| one.role == ReferenceRole::Layer).count();
    let (mut bytes, mut missing, mut wrong, mut unknown) = (0, 0, 0, 0);
    for part in parts.filter(|one| !one.descriptor.has_urls) {
        let descriptor = &part.descriptor;
        match descriptor.digest.and_then(|digest| repository.blobs.get(&digest)) {
            Some(BlobAnswer::Present { size, content }) => {
                bytes += size.unwrap_or(0);
                let is_size = size.is_none_or(|size| u64::try_from(descriptor.size) == Ok(size));
                // Schema 1 tells no sizes.
                wrong +=
                    u32::from(*content == Content::Wrong || !is_size && seen.manifest.kind != Kind::Schema1);
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
