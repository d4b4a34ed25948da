//! Reads the list of images in use, which `registry-retention --in-use` takes too. The images of one registry are verified, all
//! others are counted only.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use registry_cli::file;
use registry_core::oci::{Digest, ImageReference};
use registry_core::retention::ImagesInUse;
use registry_core::text::{escape, escape_os};

use crate::settings;

/// Most bytes of a list on standard input.
const STDIN_MAX: u64 = 64 << 20;

/// The images in use of one registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct RegistryImages {
    /// The images of the registry, each once. A reference with a digest loses its tag, which may name another image by now.
    pub(super) images: BTreeSet<ImageReference>,
    /// How many references are on other registries.
    pub(super) elsewhere: u64,
    /// Lines that no registry can be asked for: a digest without a repository, or a name that registries refuse.
    pub(super) unaskable: Vec<String>,
}

/// Reads the list at a path, `-` for standard input.
///
/// # Errors
/// When it cannot be read, is no list of images, or names no image of the registry.
pub(super) fn read_list(path: &Path, host: &str) -> anyhow::Result<RegistryImages> {
    let list_name = || format!("the list of images in use {}", escape_os(path.as_os_str()));
    let text = if path.as_os_str() == "-" {
        file::read_open_text(std::io::stdin(), STDIN_MAX).with_context(list_name)?
    } else {
        file::read_text(path, settings::MAX_BYTES).with_context(|| format!("cannot read {}", list_name()))?
    };
    let in_use = parse_list(&text, host).with_context(list_name)?;
    if in_use.images.is_empty() && in_use.unaskable.is_empty() {
        return Err(anyhow!("{} names no image of {}", list_name(), escape(host)));
    }
    Ok(in_use)
}

/// Divides the lines of a list into images of the host, of others, and of none.
fn parse_list(text: &str, host: &str) -> anyhow::Result<RegistryImages> {
    // This command refuses the same lists as registry-retention.
    ImagesInUse::parse(text)?;
    let host = reference_host(host);
    let mut in_use = RegistryImages::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        // A digest alone would parse as an image called sha256 with a tag.
        let is_digest = line.parse::<Digest>().is_ok();
        match line.parse::<ImageReference>() {
            _ if is_digest => in_use.unaskable.push(line.to_owned()),
            Ok(image) if image.host.eq_ignore_ascii_case(&host) => {
                let tag = image.tag.clone().filter(|_| image.digest.is_none());
                in_use.images.insert(ImageReference { host: host.clone(), scheme: None, tag, ..image });
            }
            Ok(_) => in_use.elsewhere += 1,
            Err(_) => {
                let rest = line.split_once("://").map_or(line, |(_, rest)| rest);
                match rest.split_once('/') {
                    Some((other, _)) if other.contains(['.', ':']) && !other.eq_ignore_ascii_case(&host) => {
                        in_use.elsewhere += 1;
                    }
                    _ => in_use.unaskable.push(escape(&line.chars().take(200).collect::<String>())),
                }
            }
        }
    }
    Ok(in_use)
}

/// The host of an address with or without scheme, as in references.
fn reference_host(host: &str) -> String {
    let host = host.split_once("://").map_or(host, |(_, rest)| rest).trim_end_matches('/');
    let image = format!("{host}/x").parse::<ImageReference>();
    image.map_or_else(|_| host.to_owned(), |image| image.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_host_are_taken_once_and_others_counted() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let text = format!(
            "# pods\ngit.example:3000/team/app:v1\ndocker-pullable://git.example:3000/team/app:v2@{digest}\n\
             git.example:3000/team/app@{digest}\ngit.example/team/app:v1\nalpine\nGit.Example:3000/team/app:v1\n\
             {digest}\ngit.example:3000/Team/App:v1\nother.example/Team/App:v1"
        );
        let in_use = parse_list(&text, "https://git.example:3000/").unwrap();
        let images: Vec<String> = in_use.images.iter().map(ToString::to_string).collect();
        assert!(images.contains(&"git.example:3000/team/app:v1".to_owned()), "{images:?}");
        assert!(images.contains(&format!("git.example:3000/team/app@{digest}")), "{images:?}");
        assert_eq!((images.len(), in_use.elsewhere, in_use.unaskable.len()), (2, 3, 2), "{in_use:?}");
        assert!(parse_list("# nothing", "git.example").is_err());
        assert!(parse_list("No resources found", "git.example").is_err());
        assert_eq!(parse_list("alpine", "docker.io").unwrap().images.len(), 1);
    }
}
