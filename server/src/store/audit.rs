//! Who did what.

use crate::{
    id::{AuditId, EnterpriseId},
    on,
    store::{Conn, Instant, schema::audit_entries},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;

/// One mutation that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = audit_entries, check_for_backend(Pg, Sqlite), treat_none_as_default_value = false)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// Where.
    pub enterprise_id: Option<EnterpriseId>,
    /// When.
    pub at: Instant,
    /// Who, by the name that they sign in with.
    pub actor: String,
    /// Which mutation.
    pub action: String,
    /// The global id of what it was about.
    pub object: Option<String>,
    /// The plan that was executed.
    pub plan_digest: Option<String>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// What came of it: `OK` or a code.
    pub result: String,
}

/// Stores an entry.
pub async fn insert(conn: &mut Conn, entry: &AuditEntry) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(audit_entries::table).values(entry).execute(c).await)
}

/// A page of an enterprise's entries, newest first.
pub async fn page(
    conn: &mut Conn,
    enterprise: EnterpriseId,
    after: Option<(Instant, AuditId)>,
    limit: i64,
) -> QueryResult<Vec<AuditEntry>> {
    on!(conn, |c| {
        let mut query = audit_entries::table
            .filter(audit_entries::enterprise_id.eq(enterprise))
            .select(AuditEntry::as_select())
            .into_boxed();
        if let Some((at, id)) = after {
            query = query
                .filter(audit_entries::at.lt(at).or(audit_entries::at.eq(at).and(audit_entries::id.lt(id))));
        }
        query.order((audit_entries::at.desc(), audit_entries::id.desc())).limit(limit).load(c).await
    })
}

/// How many entries an enterprise has.
pub async fn total(conn: &mut Conn, enterprise: EnterpriseId) -> QueryResult<i64> {
    on!(conn, |c| audit_entries::table.filter(audit_entries::enterprise_id.eq(enterprise)).count().get_result(c).await)
}
