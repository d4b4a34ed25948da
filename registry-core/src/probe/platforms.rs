//! Which platforms an image has online, and which required ones it lacks.

use std::collections::HashSet;

use super::draft::Draft;
use super::seen::{SeenRepository, TagAnswer};
use crate::audit::{Code, lacks};
use crate::oci::manifest::{Kind, Role};
use crate::oci::{Digest, MediaType, Platform, Tag};

/// What an image offers; `None` while a part of it is not known.
fn offer(answers: &SeenRepository, root: Digest) -> Option<(bool, Vec<Platform>)> {
    let (mut seen, mut stack, mut platforms, mut is_image) = (HashSet::new(), vec![root], Vec::new(), false);
    while let Some(digest) = stack.pop() {
        if !seen.insert(digest) {
            continue;
        }
        let manifest = &answers.manifest(&digest)?.manifest;
        for reference in &manifest.references {
            let descriptor = &reference.descriptor;
            match reference.role {
                Role::Child if descriptor.is_attestation => {}
                Role::Child => match descriptor.platform.as_ref().filter(|platform| !platform.is_unknown()) {
                    Some(platform) => {
                        is_image = true;
                        platforms.push(platform.clone());
                    }
                    None => stack.extend(descriptor.digest),
                },
                Role::Config if manifest.kind == Kind::Image && is_config(descriptor.media_type.as_ref()) => {
                    is_image = true;
                    let config = answers.platforms.get(&descriptor.digest?)?;
                    platforms.extend(config.clone());
                }
                Role::Config | Role::Layer => {}
            }
        }
    }
    Some((is_image, platforms))
}

fn is_config(media_type: Option<&MediaType>) -> bool {
    media_type.is_some_and(MediaType::is_image_config)
}

/// Configs that have to be read to know the platforms of a manifest without an index.
#[cfg(feature = "remote")]
pub(super) fn configs(manifest: &crate::oci::Manifest) -> impl Iterator<Item = Digest> {
    let is_image = manifest.kind == Kind::Image;
    let configs = manifest.references.iter().filter(move |one| is_image && one.role == Role::Config);
    configs
        .filter(|one| is_config(one.descriptor.media_type.as_ref()))
        .filter_map(|one| one.descriptor.digest)
}

/// A finding for every tag, by number, whose image lacks a platform that is required.
pub(super) fn missing(answers: &SeenRepository, required: &[Platform]) -> Vec<(u32, Draft)> {
    let mut missing = Vec::new();
    if required.is_empty() {
        return missing;
    }
    for (number, (tag, answer)) in (0_u32..).zip(&answers.tags) {
        let TagAnswer::Names(root) = answer else { continue };
        if Tag::new(tag).is_ok_and(|tag| tag.follows_a_digest()) {
            continue;
        }
        let Some((true, platforms)) = offer(answers, *root) else { continue };
        for wanted in required {
            if platforms.iter().any(|platform| platform.satisfies(wanted)) {
                continue;
            }
            let message = lacks(wanted, &platforms);
            let draft = Draft::new(Code::PlatformMissing, Some(*root), format!("manifests/{tag}"), message);
            missing.push((number, Draft { platform: Some(wanted.to_string()), ..draft }));
        }
    }
    missing
}
