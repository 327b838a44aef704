//! Kubernetes clusters: discover, apply, watch and prune, one cluster at a time.
