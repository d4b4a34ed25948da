//! The program against servers in memory in two releases, and against trees: its requests, changes, output and exit statuses.

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
