//! The first rows of many lists at once, so that a page of parents costs as much as one of them.

use crate::{
    Conn,
    id::{Id, Kind},
    on,
    types::IdSql,
};
use diesel::{QueryResult, pg::Pg, prelude::*, sql_types::BigInt, sqlite::Sqlite};
use diesel_async::RunQueryDsl;

/// A list that each of many parents has.
pub(super) struct Lists {
    /// Its table.
    pub table: &'static str,
    /// The column that names the parent.
    pub parent: &'static str,
    /// Which rows are in it; `{bound}` stands for an id that is bound.
    pub filter: &'static str,
    /// The order of the list.
    pub order: &'static str,
}

/// The ids of the first `limit` rows of each of these parents' lists, in no order. One statement, however many parents.
pub(super) async fn first_ids<P: Kind, R: Kind>(
    conn: &mut Conn,
    lists: &Lists,
    parents: &[Id<P>],
    bound: Option<Id<()>>,
    limit: i64,
) -> QueryResult<Vec<Id<R>>> {
    if parents.is_empty() {
        return Ok(Vec::new());
    }
    // Both databases take `$n`, in the order of its first appearance.
    let places: Vec<String> = (1..=parents.len()).map(|place| format!("${place}")).collect();
    let filter = lists.filter.replace("{bound}", &format!("${}", parents.len() + 1));
    let Lists { table, parent, order, .. } = lists;
    let text = format!(
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY {parent} ORDER BY {order}) AS place FROM {table} \
         WHERE {parent} IN ({}) AND {filter}) AS numbered WHERE place <= ${}",
        places.join(", "),
        parents.len() + 1 + usize::from(bound.is_some()),
    );
    let found: Vec<Named> = on!(conn, |c| {
        let mut query = diesel::sql_query(text).into_boxed();
        for parent in parents {
            query = query.bind::<IdSql, _>(*parent);
        }
        if let Some(bound) = bound {
            query = query.bind::<IdSql, _>(bound);
        }
        query.bind::<BigInt, _>(limit).load(c).await
    })?;
    Ok(found.into_iter().map(|row| Id::new(row.id.0)).collect())
}

#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg, Sqlite))]
struct Named {
    #[diesel(sql_type = IdSql)]
    id: Id<()>,
}
