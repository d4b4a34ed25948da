//! Real trees.
