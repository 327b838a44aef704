//! One changing operation per application at a time: the application names the one that holds it.

use crate::{
    Conn,
    id::{ApplicationId, OperationId},
    on,
    schema::applications,
};
use diesel::{QueryResult, prelude::*};
use diesel_async::RunQueryDsl;

/// Takes an application for an operation: if nobody holds it, or `from` does, which hands it over. Says whether that
/// was so.
pub async fn take(
    conn: &mut Conn,
    application: ApplicationId,
    operation: OperationId,
    from: Option<OperationId>,
) -> QueryResult<bool> {
    let taken = on!(conn, |c| match from {
        None =>
            diesel::update(
                applications::table.filter(applications::id.eq(application).and(applications::locked_by.is_null()))
            )
            .set(applications::locked_by.eq(operation))
            .execute(c)
            .await,
        Some(from) =>
            diesel::update(
                applications::table.filter(applications::id.eq(application).and(applications::locked_by.eq(from)))
            )
            .set(applications::locked_by.eq(operation))
            .execute(c)
            .await,
    })?;
    Ok(taken == 1)
}

/// The operation that holds an application.
pub async fn holder(conn: &mut Conn, application: ApplicationId) -> QueryResult<Option<OperationId>> {
    on!(conn, |c| applications::table
        .find(application)
        .select(applications::locked_by)
        .first::<Option<OperationId>>(c)
        .await
        .optional())
    .map(Option::flatten)
}

/// Lets an application go that an operation holds. One that another operation holds is left alone.
pub async fn release(conn: &mut Conn, application: ApplicationId, operation: OperationId) -> QueryResult<usize> {
    on!(conn, |c| diesel::update(
        applications::table.filter(applications::id.eq(application).and(applications::locked_by.eq(operation)))
    )
    .set(applications::locked_by.eq(None::<OperationId>))
    .execute(c)
    .await)
}
