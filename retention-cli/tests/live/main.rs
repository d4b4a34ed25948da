//! The program against servers in memory, each in two releases: what it asks, what it deletes, how it ends.

mod effects;
mod manuals;
mod refusals;
mod registry;
mod support;
mod undo;
