//! Tests of the clients against servers in this process whose answers a test decides, and against misbehaving sockets.

mod at_risk;
mod bodies;
mod damaged_rows;
mod forgejo;
mod gate;
mod heads;
mod incident;
mod known_rows;
mod laws;
mod lists;
mod night;
mod races;
mod registry;
mod server;
#[cfg(feature = "storage")]
mod supply;
mod tls;
mod tokens;
#[path = "../support/verified.rs"]
mod verified;
