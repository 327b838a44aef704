//! The OCI side: copy images between registries, push and read versions, and the embedded registry.
