//! Tests of repair: plans, the laws of the design, faults, bad input.

mod damage;
mod faults;
mod journals;
mod laws;
mod meanwhile;
mod owners;
mod purge;
mod quarantines;
mod scheduler_state;
mod since;
mod supply;
mod support;
mod writer;
