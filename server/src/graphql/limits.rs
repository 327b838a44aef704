//! What a request may cost, and codes for those that are refused before any resolver runs.

use async_graphql::{
    ServerError, ServerResult, ValidationResult, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextValidation},
    parser::types::ExecutableDocument,
};
use std::sync::Arc;

/// What a mutation costs, for the limit on the complexity of a request.
pub const MUTATION: usize = 200;

/// What a plan costs: drivers render it, and clusters and registries are asked.
pub const PLAN: usize = 500;

/// What it costs to ask a cluster about everything that an application has there.
pub const LIVE: usize = 200;

/// What a list without pages costs that may be nested: as if there were ten of what is in it.
pub fn several(of_each: usize) -> usize {
    of_each.saturating_mul(10).saturating_add(10)
}

/// Gives errors of parsing and validation a code.
pub struct Codes;

struct CodesOfRequest;

impl ExtensionFactory for Codes {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(CodesOfRequest)
    }
}

#[async_trait::async_trait]
impl Extension for CodesOfRequest {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        next.run(ctx, query, variables).await.map_err(|error| coded(error, "BAD_REQUEST"))
    }

    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        next.run(ctx).await.map_err(|errors| {
            errors
                .into_iter()
                .map(|error| {
                    // The library tells these two apart from mistakes by their texts alone.
                    let is_too_complex =
                        matches!(error.message.as_str(), "Query is too complex." | "Query is nested too deep.");
                    coded(error, if is_too_complex { "TOO_COMPLEX" } else { "BAD_REQUEST" })
                })
                .collect()
        })
    }
}

fn coded(mut error: ServerError, code: &str) -> ServerError {
    error.extensions.get_or_insert_with(Default::default).set("code", code);
    error
}
