//! Tests of retention: decisions, plans, applying and undoing them, on constructed and on random packages.

#[cfg(feature = "storage")]
mod copied;
mod corners;
mod effects;
mod elsewhere;
mod followers;
mod incidents;
mod laws;
#[cfg(feature = "storage")]
mod layout;
#[cfg(feature = "storage")]
mod layout_laws;
#[cfg(feature = "storage")]
mod layout_model;
#[cfg(feature = "storage")]
mod layout_races;
#[cfg(feature = "storage")]
mod layout_undo;
mod model;
mod moves;
mod ranking;
mod reading;
mod recorded;
mod restored;
mod shapes;
mod support;
mod undoing;
#[path = "../support/verified.rs"]
mod verified;
