//! Generates large, valid registry trees for benchmarks. The comparisons with other programs are in the binary of this package;
//! small trees with known damage are in the fixtures package.

pub mod tree;
