//! Tests of the probe of a live registry, against the registries in memory (2.8.2 and 3.1.1): which requests it makes, how it tells
//! answers apart, what later runs request again; and the judgement alone, on constructed answers.

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
