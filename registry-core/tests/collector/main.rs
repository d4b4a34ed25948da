//! Tests of collector forecasts: a table of damages, trees from real servers, and law L7 against the real programs.

mod odd;
mod real;
mod rows;
mod support;
mod trees;
