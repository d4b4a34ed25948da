//! The program against a Forgejo in memory, in both releases: what it asks, what it deletes, how it ends.

mod effects;
mod refusals;
mod support;
mod undo;
