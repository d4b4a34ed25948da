//! The images that run, from the list that `registry-retention --in-use` takes: those of one registry are verified, those of others
//! are counted and not asked.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use registry_cli::file;
use registry_core::oci::{Digest, ImageReference};
use registry_core::retention::InUse;
use registry_core::text::{escape, escape_os};

use crate::settings;

/// Most bytes of a list on standard input.
const STDIN_MAX: u64 = 64 << 20;

/// What a list holds for one registry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Running {
    /// The images of the registry, each once. One that is named by a digest runs that, whatever its tag names by now.
    pub(super) images: BTreeSet<ImageReference>,
    /// References on other registries.
    pub(super) elsewhere: u64,
    /// References that no registry can be asked for: a digest without a repository, or a name that registries refuse.
    pub(super) unaskable: Vec<String>,
}

/// Reads the list at a path, `-` for standard input.
///
/// # Errors
/// When it cannot be read, is no such list, or names no image of the registry.
pub(super) fn read(path: &Path, host: &str) -> anyhow::Result<Running> {
    let shown = || format!("the list of images in use {}", escape_os(path.as_os_str()));
    let text = if path.as_os_str() == "-" {
        file::text(std::io::stdin(), STDIN_MAX).with_context(shown)?
    } else {
        file::read_text(path, settings::MAX_BYTES).with_context(|| format!("cannot read {}", shown()))?
    };
    let running = of_host(&text, host).with_context(shown)?;
    if running.images.is_empty() && running.unaskable.is_empty() {
        return Err(anyhow!("{} names no image of {}", shown(), escape(host)));
    }
    Ok(running)
}

/// Sorts the lines of a list.
fn of_host(text: &str, host: &str) -> anyhow::Result<Running> {
    // What retention refuses is refused here too.
    InUse::parse(text)?;
    let host = named_host(host);
    let mut running = Running::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        // A digest alone reads like a tag of an image called sha256.
        let is_digest = line.parse::<Digest>().is_ok();
        match line.parse::<ImageReference>() {
            _ if is_digest => running.unaskable.push(line.to_owned()),
            Ok(image) if image.host.eq_ignore_ascii_case(&host) => {
                let tag = image.tag.clone().filter(|_| image.digest.is_none());
                running.images.insert(ImageReference { host: host.clone(), scheme: None, tag, ..image });
            }
            Ok(_) => running.elsewhere += 1,
            Err(_) => {
                let rest = line.split_once("://").map_or(line, |(_, rest)| rest);
                match rest.split_once('/') {
                    Some((other, _)) if other.contains(['.', ':']) && !other.eq_ignore_ascii_case(&host) => {
                        running.elsewhere += 1;
                    }
                    _ => running.unaskable.push(escape(&line.chars().take(200).collect::<String>())),
                }
            }
        }
    }
    Ok(running)
}

/// The host of an address that may have a scheme, as references name it.
fn named_host(host: &str) -> String {
    let host = host.split_once("://").map_or(host, |(_, rest)| rest).trim_end_matches('/');
    let image = format!("{host}/x").parse::<ImageReference>();
    image.map_or_else(|_| host.to_owned(), |image| image.host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_one_host_are_taken_once_and_the_others_counted() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let text = format!(
            "# pods\ngit.example:3000/team/app:v1\ndocker-pullable://git.example:3000/team/app:v2@{digest}\n\
             git.example:3000/team/app@{digest}\ngit.example/team/app:v1\nalpine\nGit.Example:3000/team/app:v1\n\
             {digest}\ngit.example:3000/Team/App:v1\nother.example/Team/App:v1"
        );
        let running = of_host(&text, "https://git.example:3000/").unwrap();
        let images: Vec<String> = running.images.iter().map(ToString::to_string).collect();
        assert!(images.contains(&"git.example:3000/team/app:v1".to_owned()), "{images:?}");
        assert!(images.contains(&format!("git.example:3000/team/app@{digest}")), "{images:?}");
        assert_eq!((images.len(), running.elsewhere, running.unaskable.len()), (2, 3, 2), "{running:?}");
        assert!(of_host("# nothing", "git.example").is_err());
        assert!(of_host("No resources found", "git.example").is_err());
        assert_eq!(of_host("alpine", "docker.io").unwrap().images.len(), 1);
    }
}
