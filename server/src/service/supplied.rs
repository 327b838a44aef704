//! Values that an installer supplies: sealed when the plan is committed, and never before or elsewhere.

use crate::{
    app::App,
    clock,
    error::{Error, Result},
    id::EnterpriseId,
    seal::Secret,
    store::Conn,
};
use ropeway_domain::{
    ComponentKey, ResourceKey, SecretId, Value, VersionContent,
    change::Owner,
    secrets::{NewSecret, SuppliedValues},
};
use uuid::Uuid;

/// The longest value, in bytes.
const MAX_VALUE: usize = 32 << 10;

/// A value for a place that a plan asks for.
#[derive(Debug, Clone)]
pub struct Supplied {
    /// The key of the component or Kubernetes resource, as the plan names it.
    pub owner: Uuid,
    /// The path, as the plan names it.
    pub name: String,
    /// The value.
    pub value: Secret,
}

/// Supplied values under the ids that they are to be sealed with.
#[derive(Debug, Default)]
pub struct Held {
    /// For the domain.
    pub values: SuppliedValues,
    secrets: Vec<(SecretId, Secret)>,
}

impl Held {
    /// Holds values for a version's places. Owners that the version does not have are told.
    pub fn new(supplied: &[Supplied], content: &VersionContent) -> Result<Self> {
        let mut held = Self::default();
        for (place, one) in supplied.iter().enumerate() {
            let at = |field: &str| ["values".to_owned(), place.to_string(), field.to_owned()];
            let owner = if content.components.iter().any(|component| component.key.0 == one.owner) {
                Owner::Component(ComponentKey(one.owner))
            } else if content.resources.iter().any(|resource| resource.key.0 == one.owner) {
                Owner::Resource(ResourceKey(one.owner))
            } else {
                let message = "the version has no component or Kubernetes resource with this key";
                return Err(Error::invalid("UNKNOWN_OWNER", at("owner"), message));
            };
            if one.value.expose().len() > MAX_VALUE {
                let message = format!("a value has at most {MAX_VALUE} bytes");
                return Err(Error::invalid("TOO_LONG", at("value"), message));
            }
            let id = SecretId(clock::new_uuid());
            held.values.insert((owner, one.name.clone()), Value::Sealed { sealed: id });
            held.secrets.push((id, one.value.clone()));
        }
        Ok(held)
    }

    /// Seals what was supplied and what is to be generated, within the transaction that commits the plan.
    pub async fn seal(&self, app: &App, conn: &mut Conn, enterprise: EnterpriseId, new: &[NewSecret]) -> Result<()> {
        for (id, secret) in &self.secrets {
            app.seal(conn, enterprise, *id, secret).await?;
        }
        for secret in new {
            let value = Secret::new(clock::random_text(secret.rule.length.into()));
            app.seal(conn, enterprise, secret.id, &value).await?;
        }
        Ok(())
    }
}
