//! The program against registries in memory: `probe` and `verify` as an operator and as CI run them.

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
