//! The driver for plain Kubernetes.
