//! The rules of delivery: pure functions over plain data.
