//! Interns digests: each digest of a registry is kept once, in 32 bytes for SHA-256, and named by 4 bytes.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::walk::Numbered;
use crate::oci::Digest;

/// The number of a digest in one graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    pub(crate) const fn from_index(index: u32) -> Self {
        Self(index)
    }

    /// The number, for indexing.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Numbered for NodeId {
    fn number(self) -> usize {
        self.index()
    }
}

/// Digests by number and numbers by digest.
///
/// The hash is keyed, as a client that pushes chooses the digests. Almost all digests are SHA-256, so only these are in the dense
/// table. A longer digest has an empty row there, and is in a list of its own.
#[derive(Debug, Default, Clone)]
pub struct DigestTable {
    rows: Vec<[u8; 32]>,
    /// Digests of other algorithms, ordered by number.
    long: Vec<(NodeId, Digest)>,
    numbers: HashTable<NodeId>,
    keys: DefaultHashBuilder,
}

impl DigestTable {
    /// The number of a digest. A new digest gets the next number.
    ///
    /// # Panics
    /// At more than 4,294,967,295 digests; their table alone would take 128 GiB.
    pub fn intern(&mut self, digest: &Digest) -> NodeId {
        if let Some(node) = self.find(digest) {
            return node;
        }
        #[expect(clippy::expect_used, reason = "documented: no memory holds that many")]
        let node = NodeId(u32::try_from(self.rows.len()).expect("fewer than 2^32 digests"));
        if let Ok(row) = <[u8; 32]>::try_from(digest.as_bytes()) {
            self.rows.push(row);
        } else {
            self.rows.push([0; 32]);
            self.long.push((node, *digest));
        }
        let hash = self.keys.hash_one(digest.as_bytes());
        let (rows, long, keys) = (&self.rows, &self.long, &self.keys);
        self.numbers.insert_unique(hash, node, |node| keys.hash_one(lookup(rows, long, *node).as_bytes()));
        node
    }

    /// The number of a digest, if it was interned.
    pub fn find(&self, digest: &Digest) -> Option<NodeId> {
        let bytes = digest.as_bytes();
        let hash = self.keys.hash_one(bytes);
        let is_same = |node: &NodeId| match bytes.len() {
            // The row of a longer digest is all zeros, and a SHA-256 digest may be too.
            32 => self.rows[node.index()] == *bytes && long_at(&self.long, *node).is_none(),
            _ => long_at(&self.long, *node) == Some(digest),
        };
        self.numbers.find(hash, is_same).copied()
    }

    /// The digest of a number of this table.
    pub fn digest(&self, node: NodeId) -> Digest {
        lookup(&self.rows, &self.long, node)
    }

    /// Number of digests.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no digest.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

fn lookup(rows: &[[u8; 32]], long: &[(NodeId, Digest)], node: NodeId) -> Digest {
    long_at(long, node).copied().unwrap_or_else(|| Digest::from_sha256(rows[node.index()]))
}

fn long_at(long: &[(NodeId, Digest)], node: NodeId) -> Option<&Digest> {
    if long.is_empty() {
        return None;
    }
    let at = long.binary_search_by_key(&node, |(node, _)| *node).ok()?;
    Some(&long[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Algorithm;
    use proptest::prelude::*;

    #[test]
    fn digest_of_zeros_differs_from_longer_digest() {
        let mut table = DigestTable::default();
        let long = table.intern(&Digest::hash(Algorithm::Sha512, b"long"));
        let zeros = Digest::from_sha256([0; 32]);
        assert_eq!(table.find(&zeros), None);
        assert_ne!(table.intern(&zeros), long);
        assert_eq!(table.digest(long), Digest::hash(Algorithm::Sha512, b"long"));
    }

    proptest! {
        #[test]
        fn interned_digest_is_found_by_number_and_number_by_digest(contents in prop::collection::vec((any::<u8>(), 0_usize..3), 0..200)) {
            let mut table = DigestTable::default();
            let digests: Vec<_> =
                contents.iter().map(|(content, which)| Digest::hash(Algorithm::ALL[*which], &[*content])).collect();
            let nodes: Vec<_> = digests.iter().map(|digest| table.intern(digest)).collect();
            for (digest, node) in digests.iter().zip(&nodes) {
                prop_assert_eq!(table.digest(*node), *digest);
                prop_assert_eq!(table.find(digest), Some(*node));
            }
            let distinct: std::collections::BTreeSet<_> = digests.iter().collect();
            prop_assert_eq!(distinct.len(), table.len());
        }
    }
}
