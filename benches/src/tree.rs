//! The shape of a generated tree, its number of files, and the function that writes it.
//!
//! The bytes of a tree depend only on its [`Shape`], not on the number of threads. The documents of an image are in `image`, blobs
//! and links on disk in `store`, pseudo-random bytes in `bytes`, the repository of large blobs in `large`. Generated trees have
//! neither damage nor garbage.

mod bytes;
mod image;
mod large;
mod store;

use std::io;
use std::path::Path;

use rayon::prelude::*;

use self::image::FirstLayers;
use self::store::Store;

pub use self::large::Large;
pub use self::store::Made as GeneratedTree;

/// The number of base images; many repositories share each.
const BASES: u32 = 16;

/// How large a tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Repositories with small layers.
    pub repositories: u32,
    /// Tags in each repository except the last.
    pub tags: u32,
    /// Tags in the last repository, with which [`Shape::for_files`] approximates its number of files.
    pub last_tags: u32,
    /// Large blobs, in an additional repository.
    pub large: Option<Large>,
}

impl Shape {
    /// A shape with the same number of tags in every repository, and no large blobs.
    pub fn new(repositories: u32, tags: u32) -> Self {
        Shape { repositories, tags, last_tags: tags, large: None }
    }

    /// The shape with `tags` tags in each repository whose number of files is nearest to `files`.
    ///
    /// It differs by at most half the files of a tag and those of one empty repository, about 35 files.
    pub fn for_files(files: u64, tags: u32) -> Self {
        let tags = tags.max(1);
        let per_repository = u64::from(tags) * image::FILES_PER_TAG + image::FILES_PER_REPOSITORY;
        let mut full = u32::try_from(files / per_repository).unwrap_or(u32::MAX);
        while full > 0 && Shape::new(full, tags).files() > files {
            full -= 1;
        }
        let whole = Shape::new(full, tags);
        let one_more = Shape { repositories: full + 1, last_tags: 0, ..whole.clone() };
        let rest = files.saturating_sub(one_more.files());
        let last = (rest + image::FILES_PER_TAG / 2) / image::FILES_PER_TAG;
        match u32::try_from(last).unwrap_or(tags).min(tags) {
            0 if full > 0 => whole,
            last_tags => Shape { last_tags: last_tags.max(1), ..one_more },
        }
    }

    /// This shape with large blobs.
    #[must_use]
    pub fn with_large(self, large: Large) -> Self {
        Shape { large: Some(large), ..self }
    }

    /// The number of files that [`generate`] writes.
    pub fn files(&self) -> u64 {
        let tags = match self.repositories {
            0 => 0,
            n => u64::from(n - 1) * u64::from(self.tags) + u64::from(self.last_tags),
        };
        let small = u64::from(self.repositories.min(BASES)) * image::FILES_PER_BASE
            + u64::from(self.repositories) * image::FILES_PER_REPOSITORY
            + tags * image::FILES_PER_TAG;
        small + self.large.as_ref().map_or(0, |large| large::count_files(&large.sizes()))
    }

    fn tags_in(&self, repository: u32) -> u32 {
        if repository + 1 == self.repositories { self.last_tags } else { self.tags }
    }
}

/// Writes a tree below `root`, as a registry with that root directory would write it.
///
/// `root` is created if it is missing. It should be empty, because existing blobs are refused.
pub fn generate(root: &Path, shape: &Shape) -> io::Result<GeneratedTree> {
    let store = Store::create(root)?;
    let bases: Vec<FirstLayers> = (0..shape.repositories.min(BASES))
        .into_par_iter()
        .map(|n| image::write_base(&store, n))
        .collect::<io::Result<_>>()?;
    (0..shape.repositories).into_par_iter().try_for_each(|n| {
        let base = &bases[n as usize % bases.len()];
        image::write_repository(&store, n, shape.tags_in(n), base)
    })?;
    if let Some(large) = &shape.large {
        large::write_repository(&store, &large.sizes())?;
    }
    Ok(store.made())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use sha2::{Digest as _, Sha256};

    use super::*;

    fn read_files(dir: &Path, root: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read_files(&path, root, into);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                into.insert(name, fs::read(&path).unwrap());
            }
        }
    }

    fn generate_and_read(shape: &Shape) -> (GeneratedTree, BTreeMap<String, Vec<u8>>) {
        let dir = tempfile::tempdir().unwrap();
        let made = generate(dir.path(), shape).unwrap();
        let mut found = BTreeMap::new();
        read_files(dir.path(), dir.path(), &mut found);
        (made, found)
    }

    fn tiny() -> Shape {
        Shape::for_files(3000, 5).with_large(Large { total: 300_000, min: 10_000, max: 50_000 })
    }

    #[test]
    fn two_runs_give_the_same_tree() {
        assert_eq!(generate_and_read(&tiny()), generate_and_read(&tiny()));
    }

    #[test]
    fn shape_predicts_number_of_files() {
        let (made, found) = generate_and_read(&tiny());
        assert_eq!(found.len() as u64, made.files);
        assert_eq!(tiny().files(), made.files);
        assert_eq!(found.values().map(|bytes| bytes.len() as u64).sum::<u64>(), made.bytes);
        for files in [3000, 50_000, 100_000, 200_000, 400_000, 800_000] {
            let off = Shape::for_files(files, 30).files().abs_diff(files);
            assert!(off * 50 <= files, "{files} files: off by {off}");
        }
        let judged = Shape::new(300, 30).files();
        assert!(judged.abs_diff(400_000) * 50 <= 400_000, "{judged}");
    }

    #[test]
    fn every_file_matches_its_path() {
        let (_, found) = generate_and_read(&tiny());
        let v2 = "docker/registry/v2";
        for (path, bytes) in &found {
            let parts: Vec<&str> = path.split('/').collect();
            if let ["data", hex, shard, "sha256", "blobs", ..] =
                parts.iter().rev().copied().collect::<Vec<_>>()[..]
            {
                let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!((hex, shard), (&*hash, &hash[..2]));
                continue;
            }
            assert_eq!(parts.last(), Some(&"link"), "{path}");
            let digest = std::str::from_utf8(bytes).unwrap();
            let hex = digest.strip_prefix("sha256:").unwrap();
            assert_eq!(digest.len(), 71);
            assert!(found.contains_key(&format!("{v2}/blobs/sha256/{}/{hex}/data", &hex[..2])), "{path}");
            if !path.ends_with("/current/link") {
                assert_eq!(parts[parts.len() - 2], hex);
            }
        }
    }
}
