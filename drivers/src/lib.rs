//! Fetch, verify, compile and call driver components.
