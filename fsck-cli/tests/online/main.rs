//! `probe` and `verify` against registries in memory.

mod cache;
mod credentials;
mod files;
mod forgejo;
mod heads;
mod metrics;
mod platforms;
mod probe;
mod referrers;
mod same;
mod strangers;
mod support;
mod tls;
mod verify;
mod wait;
