//! Codes for requests that are refused before any resolver runs.

use async_graphql::{
    ServerError, ServerResult, ValidationResult, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery, NextValidation},
    parser::types::ExecutableDocument,
};
use std::sync::Arc;

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
