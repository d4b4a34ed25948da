//! What `verify` looked at: the images of one registry, and what was answered of them.

use std::collections::BTreeMap;

use registry_core::oci::{Digest, ImageReference};
use registry_core::probe::Responses;

/// The images of one registry, and what it answered.
#[derive(Debug)]
pub struct Checked {
    /// Address of the registry.
    pub address: String,
    /// Images, with what each is called in the report: its tag, else `@` and its digest.
    pub images: Vec<(ImageReference, String)>,
    /// What was answered.
    pub seen: Responses,
    /// Digests of referrers, by image.
    pub referrers: BTreeMap<ImageReference, Vec<Digest>>,
    /// Seconds until everything was there, when that was not so at once.
    pub waited: Option<u64>,
}

/// What an image is called where a tag is expected.
pub(super) fn report_name(reference: &ImageReference) -> String {
    match (&reference.tag, &reference.digest) {
        (Some(tag), _) => tag.to_string(),
        (None, Some(digest)) => format!("@{digest}"),
        (None, None) => String::new(),
    }
}
