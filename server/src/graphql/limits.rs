//! What a request may cost and how long it may take, and codes for errors that come from no resolver.

mod size;

use async_graphql::{
    Request, Response, ServerError, ServerResult, ValidationResult, Variables,
    extensions::{
        Extension, ExtensionContext, ExtensionFactory, NextExecute, NextParseQuery, NextPrepareRequest, NextSubscribe,
        NextValidation,
    },
    parser::types::ExecutableDocument,
};
use futures::{StreamExt as _, stream::BoxStream};
use std::{sync::Arc, time::Duration};

/// How long a query, a mutation, or an answer of a subscription may take. What takes longer is an operation.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What a mutation costs, for the limit on the complexity of a request.
pub const MUTATION: usize = 200;

/// What a plan costs: drivers render it, and clusters and registries are asked.
pub const PLAN: usize = 500;

/// What it costs to ask a cluster about everything that an application has there.
pub const LIVE: usize = 200;

/// What it costs to ask the database for something of its own, that no loader gathers.
pub const QUERY: usize = 20;

/// What a value costs that may be as large as a few hundred KiB.
pub const LARGE: usize = 50;

/// What a list without pages costs that may be nested: as if there were ten of what is in it.
pub fn several(of_each: usize) -> usize {
    of_each.saturating_mul(10).saturating_add(10)
}

/// Refuses what is too large, ends what takes too long, and gives errors of parsing, validation and decoding a code.
pub struct Bounds;

struct BoundsOfRequest;

impl ExtensionFactory for Bounds {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(BoundsOfRequest)
    }
}

#[async_trait::async_trait]
impl Extension for BoundsOfRequest {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let mut request = next.run(ctx, request).await?;
        let document = request.parsed_query().map_err(|error| coded(error, "BAD_REQUEST"))?;
        match size::refusal(document) {
            Some(why) => Err(coded(ServerError::new(why, None), "TOO_COMPLEX")),
            None => Ok(request),
        }
    }

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

    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        match tokio::time::timeout(TIME_LIMIT, next.run(ctx, operation_name)).await {
            Ok(response) => decoded(response),
            Err(_) => {
                let message = format!("it took longer than {} s", TIME_LIMIT.as_secs());
                Response::from_errors(vec![coded(ServerError::new(message, None), "UNAVAILABLE")])
            }
        }
    }

    fn subscribe<'s>(
        &self,
        ctx: &ExtensionContext<'_>,
        stream: BoxStream<'s, Response>,
        next: NextSubscribe<'_>,
    ) -> BoxStream<'s, Response> {
        next.run(ctx, stream).map(decoded).boxed()
    }
}

/// Resolvers give their errors codes. What is left are arguments that could not be decoded.
fn decoded(mut response: Response) -> Response {
    let has_code = |error: &ServerError| error.extensions.as_ref().is_some_and(|values| values.get("code").is_some());
    let errors = response.errors.into_iter();
    response.errors = errors.map(|error| if has_code(&error) { error } else { coded(error, "BAD_REQUEST") }).collect();
    response
}

fn coded(mut error: ServerError, code: &str) -> ServerError {
    error.extensions.get_or_insert_with(Default::default).set("code", code);
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::{EmptyMutation, Object, Schema, Subscription};
    use futures::stream;

    struct Slow;
    struct Often;

    #[Object]
    impl Slow {
        async fn never(&self) -> bool {
            std::future::pending().await
        }
    }

    #[Subscription]
    impl Often {
        async fn often(&self, many: i32) -> impl futures::Stream<Item = i32> {
            stream::iter(0..many)
        }
    }

    fn code(response: &Response) -> String {
        let error = serde_json::to_value(&response.errors[0]).unwrap();
        error["extensions"]["code"].as_str().unwrap_or_default().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_ended_however_it_was_asked() {
        let schema = Schema::build(Slow, EmptyMutation, Often).extension(Bounds).finish();
        let query = "{ never }";
        assert_eq!(code(&schema.execute(query).await), "UNAVAILABLE");
        assert_eq!(code(&schema.execute_stream(query).next().await.unwrap()), "UNAVAILABLE");
    }

    #[tokio::test]
    async fn arguments_of_a_subscription_that_cannot_be_decoded_have_a_code() {
        let schema = Schema::build(Slow, EmptyMutation, Often).extension(Bounds).finish();
        let answer = schema.execute_stream("subscription($many: Int!) { often(many: $many) }").next().await.unwrap();
        assert_eq!(code(&answer), "BAD_REQUEST", "{answer:?}");
    }
}
