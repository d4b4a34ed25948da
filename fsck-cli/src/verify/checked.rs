//! The images that `verify` checked in one registry, with the answers of the registry.

use std::collections::BTreeMap;

use registry_core::oci::{Digest, ImageReference};
use registry_core::probe::Responses;

/// The images of one registry, with its answers.
#[derive(Debug)]
pub struct CheckedRegistry {
    /// Address of the registry.
    pub address: String,
    /// The images, each with its name in the report: its tag, else `@` and its digest.
    pub images: Vec<(ImageReference, String)>,
    /// The answers of the registry.
    pub responses: Responses,
    /// Digests of referrers, by image.
    pub referrers: BTreeMap<ImageReference, Vec<Digest>>,
    /// Seconds until everything was there; `None` if that was so at once.
    pub waited: Option<u64>,
}

/// The name of an image in the tags of a report.
pub(super) fn report_name(reference: &ImageReference) -> String {
    match (&reference.tag, &reference.digest) {
        (Some(tag), _) => tag.to_string(),
        (None, Some(digest)) => format!("@{digest}"),
        (None, None) => String::new(),
    }
}
