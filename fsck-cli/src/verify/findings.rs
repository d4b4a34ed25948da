//! Findings that only `verify` has: references that name an unexpected digest.

use registry_core::audit::{Audit, Code, Finding, Severity, SharedTags, UnreadPath};
use registry_core::oci::{Digest, ImageReference};
use registry_core::probe::{Responses, TagAnswer};

use super::checked::{CheckedRegistry, report_name};
use crate::args::VerifyArgs;

/// Finds the images whose digest differs from that of `--same-as`.
pub(super) fn differences(args: &VerifyArgs, all: &[&CheckedRegistry]) -> Vec<Finding> {
    let digest_of = |reference: &ImageReference| {
        let name = report_name(reference);
        let registry =
            all.iter().find(|registry| registry.images.iter().any(|(image, _)| image == reference))?;
        named_digest(&registry.responses, reference, &name).map(|digest| (digest, &*registry.address, name))
    };
    let Some(same_as) = &args.same_as else { return Vec::new() };
    let Some((expected, ..)) = digest_of(same_as) else { return Vec::new() };
    let difference = |reference| {
        let (digest, address, name) = digest_of(reference).filter(|(digest, ..)| *digest != expected)?;
        let message = format!("it names {digest}, and {same_as} names {expected}");
        Some(new_finding(address, reference, &name, Code::ReferenceMismatch, digest, message))
    };
    args.references.iter().filter_map(difference).collect()
}

/// The digest that the tag of an image names, or the digest in its reference if the registry has it.
pub(super) fn named_digest(responses: &Responses, image: &ImageReference, name: &str) -> Option<Digest> {
    match responses.repositories.get(image.repository.as_str())?.tags.get(name)? {
        TagAnswer::Names(digest) => Some(*digest),
        _ => None,
    }
}

pub(super) fn new_finding(
    address: &str,
    image: &ImageReference,
    name: &str,
    code: Code,
    digest: Digest,
    message: String,
) -> Finding {
    Finding {
        code,
        severity: code.severity(),
        source: address.into(),
        repository: Some(image.repository.as_str().into()),
        tags: SharedTags::new([name.into()]),
        digest: Some(digest),
        parent: None,
        platform: None,
        path: Some(format!("/v2/{}/manifests/{}", image.repository, name.trim_start_matches('@'))),
        message,
        repair: None,
        cause: None,
        new: None,
    }
}

/// The first thing that is wrong or not known, for a message.
pub(super) fn first_problem(audit: &Audit, findings: &[Finding], unread: &[UnreadPath]) -> String {
    let errors = audit.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let messages = errors.chain(findings).map(|finding| &finding.message);
    let reasons = audit.unknown_tags.iter().map(|tag| &tag.reason);
    let text = messages.chain(reasons).chain(unread.iter().map(|path| &path.error)).next();
    text.map_or("something", String::as_str).to_owned()
}
