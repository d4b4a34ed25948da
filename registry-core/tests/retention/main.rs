//! What retention decides, on packages made by hand and at random.

mod laws;
mod recorded;
mod shapes;
mod support;
