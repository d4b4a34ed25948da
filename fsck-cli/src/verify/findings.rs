//! What only `verify` finds: references that name something else than they should.

use registry_core::audit::{Audit, Code, Finding, Severity, SharedTags, UnreadPath};
use registry_core::oci::{Digest, ImageReference};
use registry_core::probe::{Responses, TagAnswer};

use super::checked::{Checked, report_name};
use crate::args::VerifyArgs;

/// Where images are not the same as the one that they should be.
pub(super) fn differences(args: &VerifyArgs, all: &[&Checked]) -> Vec<Finding> {
    let digest_of = |reference: &ImageReference| {
        let name = report_name(reference);
        let has = |one: &&&Checked| one.images.iter().any(|(image, _)| image == reference);
        let one = all.iter().find(has)?;
        named(&one.seen, reference, &name).map(|digest| (digest, &*one.address, name))
    };
    let Some((wanted, (other, ..))) = args.same_as.as_ref().and_then(|one| Some((one, digest_of(one)?)))
    else {
        return Vec::new();
    };
    let named = args.references.iter().filter_map(|one| Some((one, digest_of(one)?)));
    let others = named.filter(|(_, (digest, ..))| *digest != other);
    others
        .map(|(reference, (digest, address, name))| {
            let message = format!("it names {digest}, and {wanted} names {other}");
            finding(address, reference, &name, Code::ReferenceMismatch, digest, message)
        })
        .collect()
}

/// What an image's tag names, or the digest that is in its reference.
pub(super) fn named(seen: &Responses, image: &ImageReference, name: &str) -> Option<Digest> {
    match seen.repositories.get(image.repository.as_str())?.tags.get(name)? {
        TagAnswer::Names(digest) => Some(*digest),
        _ => None,
    }
}

pub(super) fn finding(
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

/// One thing that is not there yet.
pub(super) fn first(audit: &Audit, findings: &[Finding], unread: &[UnreadPath]) -> String {
    let errors = audit.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let messages = errors.chain(findings).map(|finding| &finding.message);
    let reasons = audit.unknown_tags.iter().map(|tag| &tag.reason);
    let text = messages.chain(reasons).chain(unread.iter().map(|one| &one.error)).next();
    text.map_or("something", String::as_str).to_owned()
}
