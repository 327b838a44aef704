//! What must hold against clusters that speak the Kubernetes API.
//!
//! `ROPEWAY_TEST_CONTROLPLANE` is the path of an executable that runs a real control plane with played nodes
//! (`up --data DIR`). `ROPEWAY_TEST_CLUSTERS` chooses what the tests run against.

mod applying;
mod deleting;
mod played;
mod reaching;
mod reading;
mod rolling_back;
mod standing_in;
mod support;
mod watching;
