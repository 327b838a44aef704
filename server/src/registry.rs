//! The embedded library registry, and who may use it.
//!
//! - The server itself, as the generated user of each enterprise's library: pushes and pulls.
//! - The nodes of clusters, with the library's generated pull credentials: pull.
//! - Administrators of the enterprise, with their name and the token of their session: push and pull.
//!
//! Each of them within the repositories of their own enterprise.

use crate::{
    app::App,
    clock,
    error::Result,
    id::EnterpriseId,
    seal::Secret,
    service::authenticate::authenticate,
    store::{library, member},
};
use async_trait::async_trait;
use axum::Router;
use ropeway_domain::access::{EnterpriseAction, EnterpriseRole, check_enterprise};
use ropeway_library::embedded::{self, Action, Authenticator, StartError, Subject, Unavailable};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The folder of the registry within the data folder.
const FOLDER: &str = "registry";

/// How long it is remembered who somebody is: a pull is many requests.
const REMEMBERED: Duration = Duration::from_secs(30);

/// How many are remembered.
const MAX_REMEMBERED: usize = 1000;

/// The routes of the embedded registry.
pub fn router(app: &App) -> Result<Router, StartError> {
    let limits = embedded::Limits { max_blob_bytes: app.config.library.max_blob_bytes, ..embedded::Limits::default() };
    let config =
        embedded::Config { data_dir: app.config.data.folder.join(FOLDER), realm: "Ropeway library".into(), limits };
    let clock = app.clock.clone();
    let users = Users { app: app.clone(), known: Mutex::default() };
    embedded::router(config, Arc::new(users), Arc::new(move || clock.now().0), Arc::new(clock::new_uuid))
}

struct Users {
    app: App,
    known: Mutex<HashMap<[u8; 32], (Instant, Rights)>>,
}

/// What somebody may do: within repositories whose names begin so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rights {
    prefixes: Vec<String>,
    push: bool,
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, username: &str, password: &str) -> Result<Option<Subject>, Unavailable> {
        let key = key_of(username, password);
        let remembered = self.remembered(&key);
        let rights = match remembered {
            Some(rights) => Some(rights),
            None => {
                let found = rights(&self.app, username, &Secret::new(password)).await.map_err(|error| {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "it could not be found out who asks the registry"
                    );
                    Unavailable
                })?;
                if let Some(rights) = &found {
                    self.remember(key, rights.clone());
                }
                found
            }
        };
        Ok(rights.map(|rights| {
            Subject::new(username, move |repository, action| {
                let within = rights.prefixes.iter().any(|prefix| repository.as_str().starts_with(prefix.as_str()));
                within && (action == Action::Pull || rights.push)
            })
        }))
    }
}

impl Users {
    fn remembered(&self, key: &[u8; 32]) -> Option<Rights> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(key).filter(|(since, _)| since.elapsed() < REMEMBERED).map(|(_, rights)| rights.clone())
    }

    fn remember(&self, key: [u8; 32], rights: Rights) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, (since, _)| since.elapsed() < REMEMBERED);
        }
        if known.len() < MAX_REMEMBERED {
            known.insert(key, (Instant::now(), rights));
        }
    }
}

async fn rights(app: &App, username: &str, password: &Secret) -> Result<Option<Rights>> {
    let mut conn = app.database.read().await?;
    if let Some(library) = library::embedded_of(&mut conn, username).await? {
        let push = library.username.as_deref() == Some(username);
        let sealed = if push { library.password } else { library.pull_password };
        let Some(sealed) = sealed else { return Ok(None) };
        let expected = app.unseal(&mut conn, library.enterprise_id, sealed.0).await?;
        let rights = Rights { prefixes: vec![library.prefix], push };
        return Ok(is_same(expected.expose(), password.expose()).then_some(rights));
    }
    drop(conn);
    let actor = authenticate(app, password.expose()).await?;
    let Some(actor) = actor.filter(|actor| actor.name == username && !actor.must_change_password) else {
        return Ok(None);
    };
    let mut conn = app.database.read().await?;
    let roles = member::roles_of(&mut conn, actor.user_id).await?;
    let keeps = |role: EnterpriseRole| check_enterprise(Some(role), EnterpriseAction::ManageLibrary).is_ok();
    let kept: Vec<EnterpriseId> = roles.into_iter().filter(|(_, role)| keeps(role.0)).map(|(id, _)| id).collect();
    let libraries = library::of_enterprises(&mut conn, &kept).await?;
    let prefixes = libraries.into_iter().filter(|library| library.embedded).map(|library| library.prefix).collect();
    Ok(Some(Rights { prefixes, push: true }))
}

fn key_of(username: &str, password: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(username.len().to_le_bytes());
    hash.update(username.as_bytes());
    hash.update(password.as_bytes());
    hash.finalize().into()
}

/// Compares in a time that does not depend on where two texts differ.
fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one.as_bytes()), Sha256::digest(other.as_bytes()));
    one.iter().zip(other.iter()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_texts_are_the_same() {
        assert!(is_same("abc", "abc"));
        for other in ["", "ab", "abd", "abcd"] {
            assert!(!is_same("abc", other), "{other}");
        }
    }

    #[test]
    fn a_name_and_a_password_do_not_run_into_each_other() {
        assert_ne!(key_of("ab", "c"), key_of("a", "bc"));
    }
}
