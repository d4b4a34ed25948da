//! One damage, one plan.
