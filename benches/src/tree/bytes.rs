//! Pseudo-random bytes for layers. They begin with a label that is different for each layer, and are generated from it. They do
//! not compress, and are no archives.

/// SplitMix64, seeded by a label.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(label: &str) -> Self {
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Random(label.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn fill(&mut self, label: &str, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len.max(label.len()) + 8);
        bytes.extend_from_slice(label.as_bytes());
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len.max(label.len()));
        bytes
    }
}

/// Generates a layer of 200 to 1500 bytes.
pub(super) fn small_layer(label: &str) -> Vec<u8> {
    let mut random = Random::new(label);
    let len = 200 + random.next() % 1300;
    random.fill(label, len as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_determines_bytes() {
        assert_eq!(small_layer("a"), small_layer("a"));
        assert_ne!(small_layer("a"), small_layer("b"));
    }
}
