//! Finding images in their registries: which digest a reference has now, how large it is, for which platforms.

use crate::{app::App, config::LibraryConfig, error::Result, libraries::library_error, store::library::Library};
use futures::{StreamExt as _, stream};
use ropeway_domain::{Digest, model::Image};
use ropeway_library::{
    Endpoint, Error as RegistryError, ImageName, Limits, Platform, Registry, RepositoryName,
    copy::{self, CopyOptions, CopyPlan},
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Images that are looked for at the same time.
const CONCURRENT: usize = 6;

/// How long looking for all images of a publication may take: less than a request.
const PATIENCE: Duration = Duration::from_secs(45);

/// An image as its registry has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// Where it is now.
    pub source: ImageSource,
    /// The digest there.
    pub source_digest: Digest,
    /// The digest that it will have in the library; another one where platforms were chosen of an index.
    pub digest: Digest,
    /// Of all blobs, in bytes.
    pub bytes: u64,
    /// What it runs on, of what is copied.
    pub platforms: Vec<Platform>,
    /// Which platforms of an index are copied; none: the whole of it.
    pub chosen: Option<Vec<Platform>>,
    /// The digests that it has there: its own, and those of the manifests that are copied.
    pub manifests: BTreeSet<Digest>,
}

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ImageSource {
    /// In the library already.
    Library {
        /// Within its registry.
        repository: String,
    },
    /// In another registry, from which it has to be copied.
    Elsewhere {
        /// `host[:port]`.
        host: String,
        /// Within that registry.
        repository: String,
    },
}

/// Why an image cannot be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageTrouble {
    /// `IMAGE_UNREACHABLE`, `IMAGE_NOT_FOUND`, `IMAGE_UNAUTHORIZED` or `IMAGE_UNUSABLE`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// Looks for images, each once, several at the same time. What was not found in time has a trouble of its own.
pub async fn resolve_images(
    app: &App,
    library: &Library,
    images: impl IntoIterator<Item = Image>,
    platforms: &[Platform],
) -> HashMap<Image, Result<FoundImage, ImageTrouble>> {
    let mut distinct: Vec<Image> = Vec::new();
    for image in images {
        if !distinct.contains(&image) {
            distinct.push(image);
        }
    }
    let deadline = Instant::now() + PATIENCE;
    stream::iter(distinct)
        .map(|image| async move {
            let found = match timeout_at(deadline, resolve(app, library, &image, platforms)).await {
                Ok(found) => found,
                Err(_) => Err(ImageTrouble {
                    code: "IMAGE_UNREACHABLE",
                    message: format!("{} was not found within {} seconds", shown(&image), PATIENCE.as_secs()),
                }),
            };
            (image, found)
        })
        .buffer_unordered(CONCURRENT)
        .collect()
        .await
}

/// A client of the registry at a host: with the library's credentials where it is the library's, else anonymous.
/// Registries that are configured so are spoken to without TLS. People name the others: what answers there may be no
/// registry, and its words are not shown.
pub async fn source_registry(app: &App, library: &Library, host: &str, limits: Limits) -> Result<Registry> {
    if host == library.url || host == library.public_url {
        return app.library_registry(library).await;
    }
    let mut endpoint = Endpoint::new(host);
    endpoint.plain_http = is_plain(&app.config.library, host);
    endpoint.quoted = false;
    Registry::new(endpoint, limits).map_err(|error| library_error(&error))
}

/// How images are measured and copied.
pub fn copy_options(config: &LibraryConfig) -> CopyOptions {
    CopyOptions {
        concurrent_blobs: config.concurrent_blobs,
        max_blob_bytes: config.max_blob_bytes,
        ..CopyOptions::default()
    }
}

/// An error of a registry with its cause, for people. Registries' own words are bounded by the library.
pub fn explain(error: &RegistryError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    for _ in 0..4 {
        let Some(next) = cause else { break };
        let next_text = next.to_string();
        if !text.contains(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

async fn resolve(
    app: &App,
    library: &Library,
    image: &Image,
    platforms: &[Platform],
) -> Result<FoundImage, ImageTrouble> {
    let unusable = |message: String| ImageTrouble { code: "IMAGE_UNUSABLE", message };
    let options = copy_options(&app.config.library);
    match image {
        Image::Library { repository, digest } => {
            let registry = app.library_registry(library).await.map_err(|error| unusable(error.to_string()))?;
            let name: RepositoryName =
                repository.parse().map_err(|error| unusable(format!("{repository}: {error}")))?;
            let plan = copy::measure(&registry, &name, &library_digest(digest), None, &options)
                .await
                .map_err(|error| trouble(image, &error))?;
            Ok(FoundImage {
                source: ImageSource::Library { repository: repository.clone() },
                source_digest: digest.clone(),
                digest: digest.clone(),
                bytes: plan.total_bytes,
                manifests: manifests(&plan),
                platforms: plan.platforms,
                chosen: None,
            })
        }
        Image::Reference { reference } => {
            let name: ImageName = reference.parse().map_err(|error| unusable(format!("{reference}: {error}")))?;
            let limits = Limits {
                attempts: 2,
                connect_timeout: Duration::from_secs(5),
                request_timeout: Duration::from_secs(15),
                ..Limits::default()
            };
            let registry = source_registry(app, library, &name.host, limits)
                .await
                .map_err(|error| unusable(format!("{reference}: {error}")))?;
            let asked = name.reference();
            let asked = asked.ok_or_else(|| unusable(format!("{reference} names neither a tag nor a digest")))?;
            let resolved = registry.resolve(&name.repository, &asked).await.map_err(|error| trouble(image, &error))?;
            let source_digest = resolved.digest;
            let chosen = (!platforms.is_empty()).then_some(platforms);
            let plan = copy::measure(&registry, &name.repository, &source_digest, chosen, &options)
                .await
                .map_err(|error| trouble(image, &error))?;
            Ok(FoundImage {
                source: ImageSource::Elsewhere { host: name.host.clone(), repository: name.repository.to_string() },
                source_digest: domain_digest(&plan.source_digest),
                digest: domain_digest(&plan.digest),
                bytes: plan.total_bytes,
                manifests: manifests(&plan),
                platforms: plan.platforms,
                chosen: chosen.map(<[Platform]>::to_vec),
            })
        }
    }
}

fn manifests(plan: &CopyPlan) -> BTreeSet<Digest> {
    let all = plan.manifests.iter().map(|manifest| &manifest.digest).chain([&plan.source_digest]);
    all.map(domain_digest).collect()
}

fn trouble(image: &Image, error: &RegistryError) -> ImageTrouble {
    let code = match error {
        RegistryError::Unreachable { .. } | RegistryError::Unavailable { .. } | RegistryError::Throttled { .. } => {
            "IMAGE_UNREACHABLE"
        }
        RegistryError::NotFound { .. } => "IMAGE_NOT_FOUND",
        RegistryError::Unauthorized { .. } => "IMAGE_UNAUTHORIZED",
        _ => "IMAGE_UNUSABLE",
    };
    ImageTrouble { code, message: format!("{}: {}", shown(image), explain(error)) }
}

fn shown(image: &Image) -> String {
    match image {
        Image::Library { repository, digest } => format!("{repository}@{digest}"),
        Image::Reference { reference, .. } => reference.clone(),
    }
}

/// Both crates write digests alike.
pub fn library_digest(digest: &Digest) -> ropeway_library::Digest {
    digest.as_str().parse().expect("both have the form sha256:<64 hexadecimal digits>")
}

/// As [`library_digest`], the other way.
pub fn domain_digest(digest: &ropeway_library::Digest) -> Digest {
    digest.to_string().parse().expect("both have the form sha256:<64 hexadecimal digits>")
}

/// Whether a `host[:port]` is configured so, with its port or all of its ports.
fn is_plain(config: &LibraryConfig, host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    config.plain_http_hosts.iter().any(|plain| plain == host || plain == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_registries_that_are_configured_so_are_spoken_to_without_tls() {
        let plain_http_hosts = ["registry.lan:5000", "10.0.0.1", "[::1]"].map(str::to_owned).to_vec();
        let config = LibraryConfig { plain_http_hosts, ..LibraryConfig::default() };
        for plain in ["registry.lan:5000", "10.0.0.1", "10.0.0.1:5000", "[::1]", "[::1]:5000"] {
            assert!(is_plain(&config, plain), "{plain}");
        }
        // What a person names could be a service of this machine that is no registry.
        for tls in ["docker.io", "registry.lan", "registry.lan:50", "localhost", "127.0.0.1:5000", "[::2]:1", ""] {
            assert!(!is_plain(&config, tls), "{tls}");
        }
    }

    #[test]
    fn each_failure_of_a_registry_has_its_code() {
        let image = Image::Reference { reference: "r/a:1".into() };
        let (host, action) = ("r".to_owned(), "asking".to_owned());
        let cause = "connection refused".to_owned();
        let cases = [
            (
                RegistryError::Unreachable { host: host.clone(), action: action.clone(), source: cause.into() },
                "IMAGE_UNREACHABLE",
            ),
            (RegistryError::NotFound { host: host.clone(), action: action.clone() }, "IMAGE_NOT_FOUND"),
            (RegistryError::Unauthorized { host, action, detail: String::new() }, "IMAGE_UNAUTHORIZED"),
            (RegistryError::Unsupported { what: "this".into() }, "IMAGE_UNUSABLE"),
        ];
        for (error, code) in cases {
            let trouble = trouble(&image, &error);
            assert_eq!(trouble.code, code);
            assert!(trouble.message.starts_with("r/a:1: "), "{}", trouble.message);
        }
    }
}
