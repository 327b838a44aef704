//! Column types that mean the same in both databases.

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::{self, FromSql, FromSqlRow},
    expression::AsExpression,
    pg::{Pg, PgValue},
    serialize::{self, IsNull, Output, ToSql},
    sql_types::{self, Binary, SqlType, Text},
    sqlite::{Sqlite, SqliteValue},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, io::Write as _, str::FromStr};
use uuid::Uuid;

pub use crate::id::IdSql;

/// `timestamptz` in PostgreSQL, microseconds since the epoch (INTEGER) in SQLite: both sort and compare alike.
#[derive(SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Long"))]
pub struct InstantSql;

/// An instant, to the microsecond.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow, Serialize, serde::Deserialize,
)]
#[diesel(sql_type = InstantSql)]
#[serde(transparent)]
pub struct Instant(pub DateTime<Utc>);

/// A value that is stored as JSON bytes: a database's own JSON type would order and round what is digested.
#[derive(Debug, Clone, PartialEq, Eq, AsExpression, FromSqlRow)]
#[diesel(sql_type = Binary)]
pub struct Stored<T>(pub T);

/// A value that is stored as a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
pub struct Word<T>(pub T);

/// A key of the domain, stored as an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow)]
#[diesel(sql_type = IdSql)]
pub struct Key<T>(pub T);

impl Instant {
    /// The same instant, cut to microseconds: what comes back from a database is what went in.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at))
    }
}

impl ToSql<InstantSql, Pg> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<sql_types::Timestamptz, Pg>::to_sql(&self.0, &mut out.reborrow())
    }
}

impl FromSql<InstantSql, Pg> for Instant {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <DateTime<Utc> as FromSql<sql_types::Timestamptz, Pg>>::from_sql(value).map(Self)
    }
}

impl ToSql<InstantSql, Sqlite> for Instant {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.timestamp_micros());
        Ok(IsNull::No)
    }
}

impl FromSql<InstantSql, Sqlite> for Instant {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<sql_types::BigInt, Sqlite>>::from_sql(value)?;
        DateTime::from_timestamp_micros(micros).map(Self).ok_or_else(|| "timestamp out of range".into())
    }
}

impl<T: Serialize + fmt::Debug> ToSql<Binary, Pg> for Stored<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&serde_json::to_vec(&self.0)?)?;
        Ok(IsNull::No)
    }
}

impl<T: Serialize + fmt::Debug> ToSql<Binary, Sqlite> for Stored<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(serde_json::to_vec(&self.0)?);
        Ok(IsNull::No)
    }
}

impl<T: DeserializeOwned> FromSql<Binary, Pg> for Stored<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_slice(value.as_bytes())?))
    }
}

impl<T: DeserializeOwned> FromSql<Binary, Sqlite> for Stored<T> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_slice(value.read_blob())?))
    }
}

impl<T: fmt::Display + fmt::Debug> ToSql<Text, Pg> for Word<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        write!(out, "{}", self.0)?;
        Ok(IsNull::No)
    }
}

impl<T: fmt::Display + fmt::Debug> ToSql<Text, Sqlite> for Word<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.to_string());
        Ok(IsNull::No)
    }
}

impl<T: FromStr<Err: fmt::Display>> FromSql<Text, Pg> for Word<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        parse(std::str::from_utf8(value.as_bytes())?)
    }
}

impl<T: FromStr<Err: fmt::Display>> FromSql<Text, Sqlite> for Word<T> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        parse(value.read_text())
    }
}

fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> deserialize::Result<Word<T>> {
    text.parse().map(Word).map_err(|e: T::Err| format!("{text:?}: {e}").into())
}

/// The domain's keys are newtypes around a UUID.
pub trait DomainKey: Copy + From<Uuid> + fmt::Debug {
    /// The bits.
    fn uuid(&self) -> &Uuid;
}

impl DomainKey for ropeway_domain::ComponentKey {
    fn uuid(&self) -> &Uuid {
        &self.0
    }
}

impl DomainKey for ropeway_domain::ResourceKey {
    fn uuid(&self) -> &Uuid {
        &self.0
    }
}

impl DomainKey for ropeway_domain::SecretId {
    fn uuid(&self) -> &Uuid {
        &self.0
    }
}

impl<T: DomainKey> ToSql<IdSql, Pg> for Key<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        ToSql::<sql_types::Uuid, Pg>::to_sql(self.0.uuid(), out)
    }
}

impl<T: DomainKey> FromSql<IdSql, Pg> for Key<T> {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <Uuid as FromSql<sql_types::Uuid, Pg>>::from_sql(value).map(|uuid| Self(uuid.into()))
    }
}

impl<T: DomainKey> ToSql<IdSql, Sqlite> for Key<T> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(&self.0.uuid().as_bytes()[..]);
        Ok(IsNull::No)
    }
}

impl<T: DomainKey> FromSql<IdSql, Sqlite> for Key<T> {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        Ok(Self(Uuid::from_slice(value.read_blob())?.into()))
    }
}
