//! What the programs share between the command line and registry-core: options with one name and one meaning, credentials,
//! files, standard output and standard error, interrupts, metrics, exit statuses. Nothing here knows a particular program or
//! decides about a registry.

pub mod args;
pub mod connection;
pub mod credentials;
pub mod exit;
pub mod file;
pub mod hints;
pub mod interrupt;
pub mod journal;
pub mod log;
pub mod metrics;
pub mod output;
pub mod progress;
pub mod styles;
