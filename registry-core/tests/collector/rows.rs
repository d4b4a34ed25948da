//! One damage, four collectors.
