//! Embedded clusters that speak the Kubernetes API, for the demo and for fast tests.
