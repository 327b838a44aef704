//! Who did what.

use crate::{
    Conn, Instant,
    id::{
        ApplicationId, AuditId, ClusterId, EnterpriseId, InstallationId, OperationId, RecordId, TeamId, TemplateId,
        UserId,
    },
    on,
    schema::{
        applications, audit_entries, clusters, enterprises, installations, members, operations, teams, templates,
        upgrade_records,
    },
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::Digest;

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

/// Stores an entry. What it says of a plan is a digest or nothing: no text of a caller's gets into the log.
pub async fn insert(conn: &mut Conn, entry: &AuditEntry) -> QueryResult<usize> {
    let is_digest = |text: &String| text.parse::<Digest>().is_ok();
    let entry = &AuditEntry { plan_digest: entry.plan_digest.clone().filter(is_digest), ..entry.clone() };
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
            query = query.filter(audit_entries::at.lt(at).or(audit_entries::at.eq(at).and(audit_entries::id.lt(id))));
        }
        query.order((audit_entries::at.desc(), audit_entries::id.desc())).limit(limit).load(c).await
    })
}

/// How many entries an enterprise has.
pub async fn total(conn: &mut Conn, enterprise: EnterpriseId) -> QueryResult<i64> {
    on!(conn, |c| audit_entries::table.filter(audit_entries::enterprise_id.eq(enterprise)).count().get_result(c).await)
}

/// Those with these ids.
pub async fn by_ids(conn: &mut Conn, ids: &[AuditId]) -> QueryResult<Vec<AuditEntry>> {
    on!(conn, |c| audit_entries::table
        .filter(audit_entries::id.eq_any(ids))
        .select(AuditEntry::as_select())
        .load(c)
        .await)
}

/// What a mutation is about: it tells in whose log an attempt is kept that was refused before anything was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Of no enterprise.
    Nothing,
    /// Somebody's own account, or what they do beside their enterprises: of all of these.
    Person(UserId),
    /// An enterprise.
    Enterprise(EnterpriseId),
    /// A team.
    Team(TeamId),
    /// A cluster.
    Cluster(ClusterId),
    /// An application.
    Application(ApplicationId),
    /// A template.
    Template(TemplateId),
    /// An installation.
    Installation(InstallationId),
    /// An upgrade record.
    Record(RecordId),
    /// An operation.
    Operation(OperationId),
}

/// Whose a subject is; nobody's if it does not exist.
pub async fn enterprises_of(conn: &mut Conn, subject: Subject) -> QueryResult<Vec<EnterpriseId>> {
    match subject {
        Subject::Nothing => Ok(Vec::new()),
        Subject::Person(id) => {
            on!(conn, |c| members::table.filter(members::user_id.eq(id)).select(members::enterprise_id).load(c).await)
        }
        Subject::Enterprise(id) => {
            on!(conn, |c| enterprises::table.find(id).select(enterprises::id).load(c).await)
        }
        Subject::Team(id) => {
            on!(conn, |c| teams::table.find(id).select(teams::enterprise_id).load(c).await)
        }
        Subject::Cluster(id) => {
            on!(conn, |c| clusters::table.find(id).select(clusters::enterprise_id).load(c).await)
        }
        Subject::Application(id) => {
            on!(conn, |c| applications::table.find(id).select(applications::enterprise_id).load(c).await)
        }
        Subject::Template(id) => {
            on!(conn, |c| templates::table.find(id).select(templates::enterprise_id).load(c).await)
        }
        Subject::Installation(id) => on!(conn, |c| installations::table
            .inner_join(applications::table)
            .filter(installations::id.eq(id))
            .select(applications::enterprise_id)
            .load(c)
            .await),
        Subject::Record(id) => on!(conn, |c| upgrade_records::table
            .inner_join(applications::table)
            .filter(upgrade_records::id.eq(id))
            .select(applications::enterprise_id)
            .load(c)
            .await),
        Subject::Operation(id) => {
            on!(conn, |c| operations::table.find(id).select(operations::enterprise_id).load(c).await)
        }
    }
}
