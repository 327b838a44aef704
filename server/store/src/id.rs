//! Every id is a type of its own.

use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{self, SqlType},
    sqlite::{Sqlite, SqliteValue},
};
use std::{cmp::Ordering, fmt, hash, marker::PhantomData};
use uuid::Uuid;

/// `uuid` in PostgreSQL, a blob of 16 bytes in SQLite.
#[derive(SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 2950, array_oid = 2951))]
#[diesel(sqlite_type(name = "Binary"))]
pub struct IdSql;

/// The id of one kind of thing.
#[derive(AsExpression, FromSqlRow)]
#[diesel(sql_type = IdSql)]
pub struct Id<K>(pub Uuid, PhantomData<fn() -> K>);

/// What an id can be the id of.
pub trait Kind: 'static {
    /// The name of its GraphQL type, which a global id carries.
    const NAME: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $id:ident $name:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $kind {}

        impl Kind for $kind {
            const NAME: &'static str = $name;
        }

        $(#[$doc])*
        pub type $id = Id<$kind>;
    )*};
}

kinds! {
    /// A tenant.
    EnterpriseKind EnterpriseId "Enterprise";
    /// A person who signs in.
    UserKind UserId "User";
    /// A person, as they see themselves.
    ViewerKind ViewerId "Viewer";
    /// A person's signed-in session.
    SessionKind SessionId "Session";
    /// People and a namespace.
    TeamKind TeamId "Team";
    /// A team opened on a cluster.
    OpeningKind OpeningId "TeamOpening";
    /// A driver component.
    DriverKind DriverId "Driver";
    /// A Kubernetes cluster.
    ClusterKind ClusterId "Cluster";
    /// What a team runs in one cluster.
    ApplicationKind ApplicationId "Application";
    /// One workload of an application.
    ComponentKind ComponentId "Component";
    /// Another object of an application.
    ResourceKind ResourceId "KubernetesResource";
    /// An object in a cluster that is ours.
    ObjectKind ObjectId "ClusterObject";
    /// A published application.
    TemplateKind TemplateId "AppTemplate";
    /// One revision of a version.
    VersionKind VersionId "TemplateVersion";
    /// An image of a version or a publication.
    ImageKind ImageId "Image";
    /// The act that makes a version.
    PublicationKind PublicationId "Publication";
    /// One version of one template living in an application.
    InstallationKind InstallationId "Installation";
    /// One upgrade or rollback.
    RecordKind RecordId "UpgradeRecord";
    /// A durable, long-running job.
    OperationKind OperationId "Operation";
    /// Who did what.
    AuditKind AuditId "AuditEntry";
}

impl<K> Id<K> {
    /// The id with these bits.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Id<K> {}

impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<K> Eq for Id<K> {}

impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, K> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::new)
    }
}

impl<K> ToSql<IdSql, Pg> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<sql_types::Uuid, Pg>::to_sql(&self.0, out)
    }
}

impl<K> FromSql<IdSql, Pg> for Id<K> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <Uuid as FromSql<sql_types::Uuid, Pg>>::from_sql(value).map(Self::new)
    }
}

impl<K> ToSql<IdSql, Sqlite> for Id<K> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(&self.0.as_bytes()[..]);
        Ok(IsNull::No)
    }
}

impl<K> FromSql<IdSql, Sqlite> for Id<K> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self::new(Uuid::from_slice(value.read_blob())?))
    }
}
