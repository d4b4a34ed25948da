//! The forecast of collectors: rows of damage, real trees, and law L7 against the real programs.

mod odd;
mod real;
mod rows;
mod support;
mod trees;
