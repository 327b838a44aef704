//! Authentication against a registry: basic, or tokens from the service that its challenge names.
//!
//! Nothing is sent before the registry has asked for it. Tokens are kept per set of scopes; a mount
//! needs a token that is good for the source repository too, which is why scopes come in sets.
//! (The client of `oci_distribution` asks for one scope only and reads answers without a bound, so
//! only its types for tokens are used here.)

use crate::endpoint::Credentials;
use crate::error::Error;
use crate::name::RepositoryName;
use crate::registry::Registry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use oci_distribution::token_cache::RegistryToken;
use std::collections::HashMap;
use std::sync::RwLock;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

const MAX_TOKENS: usize = 512;
const MAX_TOKEN_ANSWER_BYTES: u64 = 64 << 10;
/// What the token specification assumes where the service does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);
const LONGEST_LIFETIME: Duration = Duration::from_hours(1);

/// What a token has to be good for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(crate) repository: RepositoryName,
    pub(crate) push: bool,
}

/// How the registry wants to be authenticated against.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

/// What a registry has asked for, and the tokens that we hold.
#[derive(Default)]
pub(crate) struct Authentication {
    challenge: RwLock<Option<Challenge>>,
    tokens: Mutex<HashMap<String, Held>>,
}

struct Held {
    header: HeaderValue,
    until: Instant,
}

#[derive(serde::Deserialize)]
struct Lifetime {
    expires_in: Option<u64>,
}

impl Scope {
    pub(crate) fn pull(repository: &RepositoryName) -> Self {
        Self { repository: repository.clone(), push: false }
    }

    pub(crate) fn push(repository: &RepositoryName) -> Self {
        Self { repository: repository.clone(), push: true }
    }

    fn text(&self) -> String {
        format!("repository:{}:{}", self.repository, if self.push { "pull,push" } else { "pull" })
    }
}

impl Registry {
    /// The header to send with a request, as far as the registry has asked for one already.
    pub(crate) async fn authorization(&self, scopes: &[Scope], action: &str) -> Result<Option<HeaderValue>, Error> {
        let challenge = read(&self.authentication().challenge).clone();
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => match &self.endpoint().credentials {
                Some(credentials) => basic(credentials).map(Some),
                None => Ok(None),
            },
            Some(Challenge::Bearer { realm, service }) => {
                self.bearer(&realm, service.as_deref(), scopes, action).await.map(Some)
            }
        }
    }

    /// Takes note of a 401. Says whether another attempt makes sense: `sent` is what was refused.
    pub(crate) async fn challenged(&self, headers: &HeaderMap, scopes: &[Scope], sent: Option<&HeaderValue>) -> bool {
        let Some(found) = parse(headers) else { return false };
        let useless = match &found {
            Challenge::Basic => {
                self.endpoint().credentials.is_none() || sent.is_some_and(|h| h.as_bytes().starts_with(b"Basic "))
            }
            Challenge::Bearer { .. } => false,
        };
        *self.authentication().challenge.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(found);
        let mut tokens = self.authentication().tokens.lock().await;
        let key = key(scopes);
        if tokens.get(&key).is_some_and(|held| Some(&held.header) == sent) {
            tokens.remove(&key);
        }
        !useless
    }

    async fn bearer(
        &self,
        realm: &Url,
        service: Option<&str>,
        scopes: &[Scope],
        action: &str,
    ) -> Result<HeaderValue, Error> {
        // Held while asking, so that many blobs of one image ask once.
        let mut tokens = self.authentication().tokens.lock().await;
        let key = key(scopes);
        let now = Instant::now();
        if let Some(held) = tokens.get(&key).filter(|held| held.until > now) {
            return Ok(held.header.clone());
        }
        let (header, lifetime) = self.fetch_token(realm, service, scopes, action).await?;
        if tokens.len() >= MAX_TOKENS {
            tokens.retain(|_, held| held.until > now);
            if tokens.len() >= MAX_TOKENS {
                tokens.clear();
            }
        }
        // Half of its life leaves time for the request that it is used with.
        tokens.insert(key, Held { header: header.clone(), until: now + lifetime / 2 });
        Ok(header)
    }

    async fn fetch_token(
        &self,
        realm: &Url,
        service: Option<&str>,
        scopes: &[Scope],
        action: &str,
    ) -> Result<(HeaderValue, Duration), Error> {
        if realm.scheme() != "https" && !self.endpoint().plain_http {
            return Err(self.protocol(action, "its token service would get the credentials over plain http"));
        }
        let mut url = realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            for scope in scopes {
                query.append_pair("scope", &scope.text());
            }
        }
        let mut request = self.http().get(url);
        if let Some(credentials) = &self.endpoint().credentials {
            request = request.header(AUTHORIZATION, basic(credentials)?);
        }
        let asking = format!("asking its token service, {action}");
        let response = self.answered(request.send(), &asking).await?;
        if !response.status().is_success() {
            return Err(self.refused(response, &asking).await);
        }
        let body = self.bounded_body(response, MAX_TOKEN_ANSWER_BYTES, &asking).await?;
        let no_token = || self.protocol(&asking, "its token service gave no token");
        let token: RegistryToken = serde_json::from_slice(&body).map_err(|_| no_token())?;
        let lifetime: Lifetime = serde_json::from_slice(&body).map_err(|_| no_token())?;
        let mut header = HeaderValue::from_str(&token.bearer_token()).map_err(|_| no_token())?;
        header.set_sensitive(true);
        let lifetime = lifetime.expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs);
        Ok((header, lifetime.min(LONGEST_LIFETIME)))
    }
}

fn read(challenge: &RwLock<Option<Challenge>>) -> std::sync::RwLockReadGuard<'_, Option<Challenge>> {
    challenge.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn key(scopes: &[Scope]) -> String {
    let mut texts: Vec<_> = scopes.iter().map(Scope::text).collect();
    texts.sort();
    texts.dedup();
    texts.join(" ")
}

fn basic(credentials: &Credentials) -> Result<HeaderValue, Error> {
    let text = STANDARD.encode(format!("{}:{}", credentials.username, credentials.password.expose()));
    let mut header = HeaderValue::from_str(&format!("Basic {text}"))
        .map_err(|_| Error::Configuration { what: "the credentials cannot be sent".into() })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The challenge that we can answer, a token service before a password.
fn parse(headers: &HeaderMap) -> Option<Challenge> {
    let mut basic = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else { continue };
        let Ok(challenges) = http_auth::parse_challenges(text) else { continue };
        for challenge in challenges {
            let param = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                let realm = param("realm").and_then(|realm| Url::parse(&realm).ok());
                if let Some(realm) = realm.filter(|realm| matches!(realm.scheme(), "http" | "https")) {
                    return Some(Challenge::Bearer { realm, service: param("service") });
                }
            } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            }
        }
    }
    basic
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(values: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(value));
        }
        parse(&headers)
    }

    #[test]
    fn a_token_service_is_preferred_to_a_password() {
        let bearer = r#"Bearer realm="https://auth.example.com/token",service="registry, \"main\"",scope="x""#;
        let expected = Challenge::Bearer {
            realm: Url::parse("https://auth.example.com/token").expect("a constant"),
            service: Some("registry, \"main\"".into()),
        };
        assert_eq!(challenge(&["Basic realm=\"r\"", bearer]), Some(expected));
        assert_eq!(challenge(&["Basic realm=\"r\""]), Some(Challenge::Basic));
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        for value in ["", "Negotiate", "Bearer realm=\"not a url\"", "Bearer realm=\"file:///etc/passwd\"", "Bearer ="]
        {
            assert_eq!(challenge(&[value]), None, "{value}");
        }
    }

    #[test]
    fn the_order_of_scopes_does_not_matter() {
        let a = Scope::push(&"a".parse().expect("valid"));
        let b = Scope::pull(&"b".parse().expect("valid"));
        assert_eq!(key(&[a.clone(), b.clone()]), key(&[b, a]));
    }
}
