//! The probe of a live registry against the registries in memory, 2.8.2 and 3.1.1: what is asked, how answers are told
//! apart, what later runs ask again; and the judgement alone, from answers that are made up.

mod answers;
mod budget;
mod damage;
mod faults;
mod judge;
mod judge_laws;
mod kinds;
mod races;
mod requests;
mod support;
