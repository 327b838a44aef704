//! The whole server, tested through its public API.
