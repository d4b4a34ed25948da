//! Repair: plans, the laws of design, faults, bad input.

mod damage;
mod faults;
mod laws;
mod supply;
mod support;
