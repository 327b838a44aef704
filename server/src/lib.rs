//! The Ropeway server: GraphQL, durable operations and the store.
