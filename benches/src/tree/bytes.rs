//! Pseudo-random bytes for layers, and the repository of large layers.
//!
//! The bytes follow from a label that is different for every layer, and start with it. They do not compress and they
//! are not archives.

use std::io;

use rayon::prelude::*;

use super::Large;
use super::image;
use super::store::{Blob, Store};

const LAYERS_PER_IMAGE: usize = 8;

/// SplitMix64, seeded by a label.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn new(label: &str) -> Self {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Random(label.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fill(&mut self, label: &str, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len.max(label.len()) + 8);
        bytes.extend_from_slice(label.as_bytes());
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len.max(label.len()));
        bytes
    }
}

/// A layer of 200 to 1500 bytes.
pub(super) fn small(label: &str) -> Vec<u8> {
    let mut random = Random::new(label);
    let len = 200 + random.next() % 1300;
    random.fill(label, len as usize)
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

/// The number of files the repository of these blobs has: every blob and its link, and for every image the manifest
/// and its link, the config and its link, and the two links of the tag.
pub(super) fn files(sizes: &[u64]) -> u64 {
    (sizes.len() * 2 + sizes.len().div_ceil(LAYERS_PER_IMAGE) * 6) as u64
}

/// Write the repository of large layers: one tag and one platform for every few of them.
pub(super) fn repository(store: &Store, sizes: &[u64]) -> io::Result<()> {
    let repository = store.repository("large/images".to_owned())?;
    let layers: Vec<Blob> = sizes
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
        repository.tag(&tag, &image::image(&repository, &tag, "amd64", layers)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_add_up() {
        let large = Large { total: 1_500_000, min: 4000, max: 64_000 };
        let sizes = large.sizes();
        assert_eq!(sizes.iter().sum::<u64>(), large.total);
        assert!(sizes.iter().all(|&size| (large.min..large.max + large.min).contains(&size)));
    }

    #[test]
    fn labels_decide_the_bytes() {
        assert_eq!(small("a"), small("a"));
        assert_ne!(small("a"), small("b"));
    }
}
