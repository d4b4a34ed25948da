//! The program against servers in memory, each in two releases: what it asks, what it deletes, how it ends.

mod answers;
mod cache;
mod credentials;
mod damaged_rows;
mod effects;
mod journals;
mod layout;
mod layout_ends;
mod manifests;
mod manuals;
mod messages;
mod metrics;
mod names;
mod owners;
mod plans;
mod refusals;
mod registry;
mod servers;
mod signals;
mod support;
mod tokens;
mod undo;
