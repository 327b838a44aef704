//! The OCI side as a whole: the embedded registry and Debian's `docker-registry` under the same
//! tests, `skopeo` as a client of the embedded one, and registries with faults.

mod artifacts;
mod auth;
mod concurrency;
mod contract;
mod docker_registry;
mod embedded;
mod faults;
mod hooks;
mod memory;
mod skopeo;
mod support;
mod tls;
