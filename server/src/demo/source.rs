//! A small registry with the sample application's images, such as a team has before it knows Ropeway: anybody reads it,
//! its owner writes.

use crate::clock::{self, Clock};
use anyhow::Context as _;
use async_trait::async_trait;
use axum::{
    Router,
    extract::Request,
    http::{Method, header},
    middleware::{self, Next},
    response::Response,
};
use ropeway_library::{
    Endpoint, Limits, Registry, RepositoryName,
    embedded::{self, Action, Authenticator, Subject, Unavailable},
    sample,
};
use std::{net::SocketAddr, path::Path, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};

/// The images of the sample application: name, release, and the sizes of the files in their layers.
const IMAGES: [(&str, &str, &[usize]); 7] = [
    ("web", "2.9", &[700_000, 250_000, 90_000]),
    ("web", "3.0", &[700_000, 260_000, 95_000]),
    ("api", "2.9", &[800_000, 300_000, 120_000]),
    ("api", "3.0", &[800_000, 310_000, 125_000]),
    ("worker", "3.0", &[500_000, 200_000]),
    ("database", "16", &[1_200_000, 400_000]),
    ("cache", "7", &[400_000, 150_000]),
];

/// The owner's name.
const OWNER: &str = "owner";

/// Whoever reads.
const ANYBODY: &str = "anybody";

/// A registry that runs until this is dropped.
pub struct Source {
    address: SocketAddr,
    owner: Registry,
    task: JoinHandle<std::io::Result<()>>,
}

impl Source {
    /// Starts it on a free port of loopback, with its content in a folder.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let password = clock::random_text(24);
        let users = Users { password: password.clone() };
        let config = embedded::Config {
            data_dir: folder.to_owned(),
            realm: "source".into(),
            limits: embedded::Limits::default(),
        };
        let now = Clock::default();
        let router: Router =
            embedded::router(config, Arc::new(users), Arc::new(move || now.now().0), Arc::new(clock::new_uuid))?;
        let router = router.layer(middleware::from_fn(anybody_reads));
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.context("listening")?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move { axum::serve(listener, router).await });
        let endpoint = Endpoint::plain(address.to_string()).with_credentials(OWNER, password);
        Ok(Self { address, owner: Registry::new(endpoint, Limits::default())?, task })
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Pushes the images of the sample application, for both architectures of the cloud.
    pub async fn push_samples(&self) -> anyhow::Result<()> {
        let pushes = IMAGES.map(|(name, release, layers)| self.push(name, release, &["amd64", "arm64"], layers));
        for pushed in futures::future::join_all(pushes).await {
            pushed?;
        }
        Ok(())
    }

    /// Pushes one image for some architectures as `shop/<name>:<release>`; the reference by which it is pulled.
    pub async fn push(
        &self,
        name: &str,
        release: &str,
        architectures: &[&str],
        layers: &[usize],
    ) -> anyhow::Result<String> {
        let repository: RepositoryName = format!("shop/{name}").parse()?;
        let images: Vec<_> =
            architectures.iter().map(|architecture| sample::image(name, release, architecture, layers)).collect();
        sample::push_index(&self.owner, &repository, &release.parse()?, &sample::index(&images))
            .await
            .with_context(|| format!("pushing {name}:{release}"))?;
        Ok(self.image(name, release))
    }

    /// The reference of an image.
    pub fn image(&self, name: &str, release: &str) -> String {
        format!("{}/shop/{name}:{release}", self.address)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Users {
    password: String,
}

#[async_trait]
impl Authenticator for Users {
    async fn authenticate(&self, username: &str, password: &str) -> Result<Option<Subject>, Unavailable> {
        Ok(match username {
            OWNER if password == self.password => Some(Subject::new(OWNER, |_, _| true)),
            ANYBODY => Some(Subject::new(ANYBODY, |_, action| action == Action::Pull)),
            _ => None,
        })
    }
}

/// Lets whoever says nothing about themselves in as somebody who reads.
async fn anybody_reads(mut request: Request, next: Next) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    if reads && !request.headers().contains_key(header::AUTHORIZATION) {
        // "anybody:" in base64.
        request.headers_mut().insert(header::AUTHORIZATION, header::HeaderValue::from_static("Basic YW55Ym9keTo="));
    }
    next.run(request).await
}
