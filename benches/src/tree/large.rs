//! Large layers, and the repository with them.

use std::io;

use rayon::prelude::*;

use super::bytes::Random;
use super::image;
use super::store::{Store, WrittenBlob};

const LAYERS_PER_IMAGE: usize = 8;

/// The total and individual sizes of the large blobs of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Large {
    /// Bytes of all large blobs together.
    pub total: u64,
    /// The smallest size.
    pub min: u64,
    /// The largest size; the last blob may be larger by less than `min`.
    pub max: u64,
}

impl Large {
    /// The size of every large blob.
    pub(super) fn sizes(&self) -> Vec<u64> {
        let min = self.min.max(100);
        let span = self.max.saturating_sub(min) + 1;
        let mut random = Random::new("large");
        let mut sizes = Vec::new();
        let mut rest = self.total;
        while rest > 0 {
            let size = min + random.next() % span;
            sizes.push(if rest < size + min { rest } else { size });
            rest -= sizes[sizes.len() - 1];
        }
        sizes
    }
}

/// The number of files in the repository of these blobs: each blob and its link, and for each image the manifest
/// and its link, the config and its link, and the two links of the tag.
pub(super) fn count_files(sizes: &[u64]) -> u64 {
    (sizes.len() * 2 + sizes.len().div_ceil(LAYERS_PER_IMAGE) * 6) as u64
}

/// Writes the repository of large layers: one tag with one platform for every [`LAYERS_PER_IMAGE`] of them.
pub(super) fn write_repository(store: &Store, sizes: &[u64]) -> io::Result<()> {
    let repository = store.repository("large/images".to_owned())?;
    let layers: Vec<WrittenBlob> = sizes
        .par_iter()
        .enumerate()
        .map(|(n, &size)| {
            let label = format!("large {n}");
            store.blob(&Random::new(&label).fill(&label, size as usize))
        })
        .collect::<io::Result<_>>()?;
    layers.iter().try_for_each(|layer| repository.link_layer(layer))?;
    for (n, layers) in layers.chunks(LAYERS_PER_IMAGE).enumerate() {
        let tag = format!("v{n}");
        repository.tag(&tag, &image::write_image(&repository, &tag, "amd64", layers)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_add_up_to_total() {
        let large = Large { total: 1_500_000, min: 4000, max: 64_000 };
        let sizes = large.sizes();
        assert_eq!(sizes.iter().sum::<u64>(), large.total);
        assert!(sizes.iter().all(|&size| (large.min..large.max + large.min).contains(&size)));
    }
}
