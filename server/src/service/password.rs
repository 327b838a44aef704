//! Passwords: argon2id, a few at a time, since each costs 19 MiB and some 20 ms.

use crate::{
    app::App,
    clock,
    error::{Error, Result},
    seal::Secret,
    service::problems::Problems,
};
use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString},
};
use std::sync::LazyLock;

/// The fewest characters of a password.
pub const MIN_LENGTH: usize = 10;

/// The most characters of a password.
pub const MAX_LENGTH: usize = 256;

/// How long a password is that the server makes.
const ONE_TIME_LENGTH: usize = 20;

/// What is compared where there is no user of a name: it takes as long as a user's.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| hash_now(&Secret::new(clock::random_text(ONE_TIME_LENGTH))).unwrap_or_default());

/// A password that must be changed at once.
pub fn one_time() -> Secret {
    Secret::new(clock::random_text(ONE_TIME_LENGTH))
}

/// A new password is long enough and not the name.
pub fn check(problems: &mut Problems, field: &str, password: &Secret, name: &str) {
    let length = password.expose().chars().count();
    if !(MIN_LENGTH..=MAX_LENGTH).contains(&length) {
        let message = format!("a password has {MIN_LENGTH} to {MAX_LENGTH} characters");
        problems.at(field, "INVALID_PASSWORD", message);
    } else if password.expose().eq_ignore_ascii_case(name) {
        problems.at(field, "INVALID_PASSWORD", "a password is not the name that one signs in with");
    }
}

/// The PHC string of a password.
pub async fn hash(app: &App, password: Secret) -> Result<String> {
    let _permit = app.password_work.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || hash_now(&password)).await.map_err(Error::internal)?
}

/// Whether a password is that of a PHC string; without one it takes as long and is not.
pub async fn verify(app: &App, hash: Option<String>, password: Secret) -> Result<bool> {
    let _permit = app.password_work.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || match hash {
        Some(hash) => verify_now(&hash, &password),
        None => {
            verify_now(&NOBODY, &password)?;
            Ok(false)
        }
    })
    .await
    .map_err(Error::internal)?
}

fn hash_now(password: &Secret) -> Result<String> {
    let salt = SaltString::encode_b64(&clock::random_bytes::<16>()).map_err(|e| Error::internal(e.to_string()))?;
    Argon2::default()
        .hash_password(password.expose().as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(|e| Error::internal(e.to_string()))
}

fn verify_now(hash: &str, password: &Secret) -> Result<bool> {
    let hash = PasswordHash::new(hash).map_err(|e| Error::internal(e.to_string()))?;
    // What is longer than any password can be is none.
    let fits = password.expose().len() <= MAX_LENGTH * 4;
    let given = if fits { password.expose().as_bytes() } else { b"" };
    match Argon2::default().verify_password(given, &hash) {
        Ok(()) => Ok(fits),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(Error::internal(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_argon2id_and_fits_its_password_alone() {
        let hash = hash_now(&Secret::new("correct horse")).unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(verify_now(&hash, &Secret::new("correct horse")).unwrap());
        assert!(!verify_now(&hash, &Secret::new("correct hors")).unwrap());
        assert!(!verify_now(&hash, &Secret::new("x".repeat(5000))).unwrap());
        assert!(!verify_now(&NOBODY, &Secret::new("")).unwrap());
    }

    #[test]
    fn weak_passwords_are_refused() {
        for (password, fine) in [
            ("short", false),
            ("long enough", true),
            ("Administrator", false),
            (&*"x".repeat(256), true),
            (&*"x".repeat(257), false),
        ] {
            let mut problems = Problems::new();
            check(&mut problems, "new", &Secret::new(password), "administrator");
            assert_eq!(problems.is_empty(), fine, "{password}");
        }
    }
}
