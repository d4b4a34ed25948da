//! The generator of large, valid registry trees.
//!
//! Here lives only what a benchmark needs to have something to measure: [`tree`]. The side-by-side runner against
//! other programs is the binary of this package. Small trees with known damage are not made here; those belong to
//! the fixtures package.

pub mod tree;
