//! Repair: plans, the laws of design, faults, bad input.

mod damage;
mod faults;
mod laws;
mod meanwhile;
mod owners;
mod since;
mod supply;
mod support;
