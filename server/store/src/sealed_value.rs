//! Sealed secrets. A row is immutable: another value is another row, so that comparing ids compares values.

use crate::{
    Conn, Instant, Key, clock,
    id::EnterpriseId,
    on,
    schema::sealed_values,
    seal::{SealError, Sealer, Secret},
};
use diesel::{QueryResult, pg::Pg, prelude::*, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use ropeway_domain::SecretId;

/// A sealed secret.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = sealed_values, check_for_backend(Pg, Sqlite))]
pub struct SealedValue {
    /// Its id, for which it is sealed.
    pub id: Key<SecretId>,
    /// Whose.
    pub enterprise_id: EnterpriseId,
    /// Nonce and ciphertext.
    pub ciphertext: Vec<u8>,
    /// When it was sealed.
    pub created_at: Instant,
}

impl SealedValue {
    /// Seals a value under a new id.
    pub fn seal(sealer: &Sealer, enterprise: EnterpriseId, value: &Secret, now: Instant) -> Result<Self, SealError> {
        let id = SecretId(clock::new_uuid());
        let ciphertext = sealer.seal(id.0.as_bytes(), value)?;
        Ok(Self { id: Key(id), enterprise_id: enterprise, ciphertext, created_at: now })
    }

    /// The value.
    pub fn open(&self, sealer: &Sealer) -> Result<Secret, SealError> {
        sealer.unseal(self.id.0.0.as_bytes(), &self.ciphertext)
    }
}

/// Stores a sealed value.
pub async fn insert(conn: &mut Conn, value: &SealedValue) -> QueryResult<usize> {
    on!(conn, |c| diesel::insert_into(sealed_values::table).values(value).execute(c).await)
}

/// Any sealed value, if there is one: the key that opens it is the one that opens all.
pub async fn any(conn: &mut Conn) -> QueryResult<Option<SealedValue>> {
    on!(conn, |c| sealed_values::table
        .order(sealed_values::id.desc())
        .select(SealedValue::as_select())
        .first(c)
        .await
        .optional())
}

/// Those of an enterprise with these ids, in no order. Another enterprise's are left out.
pub async fn by_ids(conn: &mut Conn, enterprise: EnterpriseId, ids: &[SecretId]) -> QueryResult<Vec<SealedValue>> {
    let keys: Vec<Key<SecretId>> = ids.iter().copied().map(Key).collect();
    on!(conn, |c| sealed_values::table
        .filter(sealed_values::enterprise_id.eq(enterprise).and(sealed_values::id.eq_any(&keys)))
        .select(SealedValue::as_select())
        .load(c)
        .await)
}
