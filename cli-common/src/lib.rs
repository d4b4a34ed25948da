//! What the programs have in common between the command line and registry-core: options of one name and one meaning,
//! credentials, files, standard output and standard error, interrupts, metrics, exit statuses. No program is named here, and
//! nothing is decided about a registry.

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
