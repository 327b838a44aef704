//! Configuration: one small struct a concern, unknown keys refused, every key documented here.
//!
//! It is read from a TOML file and from the environment: `ROPEWAY_HTTP__LISTEN` is `listen` of `[http]`.
//! `DATABASE_URL` is short for `ROPEWAY_DATABASE__URL`. Names without two underscores are not ours: Kubernetes gives
//! every pod `ROPEWAY_PORT` where there is a Service named `ropeway`.

use crate::service::library_address;
use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format as _, Serialized, Toml},
    value::{Dict, Map},
};
use serde::{Deserialize, Serialize};
use std::{
    ffi::{OsStr, OsString},
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Everything that can be configured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the server keeps its files.
    pub data: DataConfig,
    /// The public API.
    pub http: HttpConfig,
    /// Where rows live.
    pub database: DatabaseConfig,
    /// The embedded library registry, and the copying of images.
    pub library: LibraryConfig,
    /// The calls to clusters.
    pub clusters: ClustersConfig,
    /// The worker that carries operations out.
    pub operations: OperationsConfig,
    /// What is written to standard error.
    pub log: LogConfig,
}

/// `[data]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The folder for the database (with SQLite), the key file and the embedded registry. Default: `ropeway-data`.
    pub folder: PathBuf,
    /// The file of the key that seals secrets, made at the first start with mode 0600. Default: `key` in the folder.
    /// Replicas need the same file; without it nothing that was sealed can be read.
    pub key_file: Option<PathBuf>,
}

/// `[http]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// The address of the GraphQL API. Default: `127.0.0.1:8080`. A TLS proxy belongs before any other.
    pub listen: SocketAddr,
    /// The largest request, in bytes. Default: 4 MiB.
    pub max_body_bytes: usize,
    /// The deepest GraphQL query. Default: 16.
    pub max_depth: usize,
    /// The most expensive GraphQL query; a field costs 1, a large value 50, and a list its length times what is in it.
    /// Whatever it costs, it has 2000 fields at most. Default: 20000.
    pub max_complexity: usize,
    /// How long a session lives, in hours. Default: 168.
    pub session_hours: u32,
    /// WebSocket connections of people who have signed in at the same time, of each of them 50 at most. Default: 1000.
    pub max_subscriptions: usize,
}

/// `[database]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:<path>` or `postgres://...`. Default: `ropeway.db` in the data folder. `sslmode` of the latter is
    /// `disable`, `prefer` (the default: TLS where the server can, whoever it is) or `require` (TLS, with a certificate
    /// that the system, or the file that `SSL_CERT_FILE` names, vouches for).
    pub url: Option<String>,
    /// Connections at most. Default: 8.
    pub connections: Option<usize>,
    /// Whether several replicas use this database. Refused with SQLite, and where the library of an enterprise is in the
    /// embedded registry, which belongs to one process. Default: false.
    pub replicated: bool,
}

/// `[library]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LibraryConfig {
    /// Where the embedded registry listens. Default: `127.0.0.1:8081`.
    pub listen: SocketAddr,
    /// The address that clusters pull from, with its scheme, where it is not `http://<listen>`. Nodes reach neither the
    /// server's loopback nor, by default, plain http.
    pub public_url: Option<String>,
    /// Blobs copied at the same time, for one image. Default: 4.
    pub concurrent_blobs: usize,
    /// The largest blob that is copied or taken, in bytes. Default: 20 GiB.
    pub max_blob_bytes: u64,
    /// Hours between two checks of the library from every cluster. Default: 6.
    pub check_hours: u32,
    /// Registries that images are copied from without TLS, as `host[:port]`; without a port, all of its ports. Images are
    /// copied anonymously, but for those of the library's own registry.
    /// Default: none.
    pub plain_http_hosts: Vec<String>,
}

/// `[clusters]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClustersConfig {
    /// Requests to one cluster at the same time. Default: 16.
    pub concurrent_requests: usize,
    /// Seconds that one request may take. Default: 15.
    pub request_seconds: u64,
    /// Seconds between two looks at a cluster's status. Default: 30.
    pub status_seconds: u64,
}

/// `[operations]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OperationsConfig {
    /// Operations carried out at the same time by this process. Default: 8.
    pub concurrent: usize,
    /// Steps of one operation carried out at the same time. Default: 4.
    pub concurrent_steps: usize,
    /// Seconds that a worker holds an operation without renewing. When a process dies, another one goes on after that.
    /// Default: 15.
    pub lease_seconds: u64,
    /// Seconds until a component that does not become healthy has failed. Default: 600.
    pub progress_deadline_seconds: u32,
}

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `json` or `pretty`. Default: `pretty`.
    pub format: LogFormat,
    /// What to log, as a filter of the tracing crate. Default: `info`.
    pub filter: String,
}

/// A variable of the environment that names a key.
struct Variable {
    name: String,
    /// The key, such as `http.listen`.
    key: String,
    value: String,
}

/// What the names of our variables begin with.
const PREFIX: &str = "ROPEWAY_";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { folder: "ropeway-data".into(), key_file: None }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_body_bytes: 4 << 20,
            max_depth: 16,
            max_complexity: 20_000,
            session_hours: 168,
            max_subscriptions: 1000,
        }
    }
}

impl Default for LibraryConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            public_url: None,
            concurrent_blobs: 4,
            max_blob_bytes: 20 << 30,
            check_hours: 6,
            plain_http_hosts: Vec::new(),
        }
    }
}

impl LibraryConfig {
    /// The `host[:port]` of the address that clusters pull from, where it is another one than `listen`.
    pub fn public_host(&self) -> anyhow::Result<Option<String>> {
        let Some(text) = &self.public_url else { return Ok(None) };
        let address = library_address::parse(text).map_err(|wrong| anyhow::anyhow!("library.public_url: {wrong}"))?;
        anyhow::ensure!(
            address.prefix.is_empty(),
            "library.public_url has a path; a registry is at the root of its host"
        );
        Ok(Some(address.host))
    }
}

impl DatabaseConfig {
    /// Connections at most.
    pub fn connections(&self) -> usize {
        self.connections.unwrap_or(8)
    }
}

impl Default for ClustersConfig {
    fn default() -> Self {
        Self { concurrent_requests: 16, request_seconds: 15, status_seconds: 30 }
    }
}

impl Default for OperationsConfig {
    fn default() -> Self {
        Self { concurrent: 8, concurrent_steps: 4, lease_seconds: 15, progress_deadline_seconds: 600 }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: "info".into() }
    }
}

impl Variable {
    /// None: the variable is not ours.
    fn of(name: &OsStr, value: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let key = match name.strip_prefix(PREFIX) {
            None if name == "DATABASE_URL" => "database.url".to_owned(),
            Some(key) if key.contains("__") => key.replace("__", ".").to_lowercase(),
            None | Some(_) => return None,
        };
        Some(Self { name: name.to_owned(), key, value: value.to_string_lossy().into_owned() })
    }
}

impl Provider for Variable {
    fn metadata(&self) -> Metadata {
        Metadata::named(format!("the environment variable {}", self.name))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let Ok(value) = self.value.parse();
        let nested = figment::util::nest(&self.key, value);
        let keys = nested.into_dict().ok_or_else(|| format!("{} names no key", self.name))?;
        Ok(Profile::Default.collect(keys))
    }
}

impl Config {
    /// Reads the file, if one is named, then the environment, which wins.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        Self::read(file, std::env::vars_os())
    }

    fn read(file: Option<&Path>, environment: impl IntoIterator<Item = (OsString, OsString)>) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = file {
            anyhow::ensure!(file.is_file(), "there is no configuration file {}", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        let mut variables: Vec<Variable> =
            environment.into_iter().filter_map(|(name, value)| Variable::of(&name, &value)).collect();
        // The short name of a key comes before the long one, which wins.
        variables.sort_by_key(|variable| variable.name.starts_with(PREFIX));
        for variable in variables {
            figment = figment.merge(variable);
        }
        let config: Self = figment.extract()?;
        config.check()?;
        Ok(config)
    }

    /// The address of the database.
    pub fn database_url(&self) -> String {
        self.database.url.clone().unwrap_or_else(|| format!("sqlite:{}", self.data.folder.join("ropeway.db").display()))
    }

    /// The file of the key that seals secrets.
    pub fn key_file(&self) -> PathBuf {
        self.data.key_file.clone().unwrap_or_else(|| self.data.folder.join("key"))
    }

    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.database.replicated || !self.database_url().starts_with("sqlite:"),
            "database.replicated needs PostgreSQL: SQLite serves one process"
        );
        let ranges = [
            ("operations.lease_seconds", self.operations.lease_seconds, 3, 3600),
            ("operations.concurrent", self.operations.concurrent as u64, 1, 1000),
            ("operations.concurrent_steps", self.operations.concurrent_steps as u64, 1, 100),
            ("operations.progress_deadline_seconds", self.operations.progress_deadline_seconds.into(), 1, 86_400),
            ("clusters.concurrent_requests", self.clusters.concurrent_requests as u64, 1, 1000),
            ("clusters.request_seconds", self.clusters.request_seconds, 1, 600),
            ("clusters.status_seconds", self.clusters.status_seconds, 1, 86_400),
            ("library.concurrent_blobs", self.library.concurrent_blobs as u64, 1, 64),
            ("http.max_body_bytes", self.http.max_body_bytes as u64, 1024, 256 << 20),
            ("http.session_hours", self.http.session_hours.into(), 1, 8760),
            ("http.max_depth", self.http.max_depth as u64, 1, 100),
            ("http.max_complexity", self.http.max_complexity as u64, 1, 10_000_000),
            ("http.max_subscriptions", self.http.max_subscriptions as u64, 1, 1_000_000),
            ("database.connections", self.database.connections() as u64, 1, 1000),
            ("library.max_blob_bytes", self.library.max_blob_bytes, 1 << 20, 1 << 50),
            ("library.check_hours", self.library.check_hours.into(), 1, 8760),
        ];
        for (key, value, min, max) in ranges {
            anyhow::ensure!((min..=max).contains(&value), "{key} is {value}; it must be {min} to {max}");
        }
        self.library.public_host().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[http]\nlisten = \"127.0.0.1:7000\"\nmax_depth = 9\n\n[database]\nurl = \"sqlite:file.db\"\n";

    fn read(file: Option<&str>, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ropeway.toml");
        if let Some(text) = file {
            std::fs::write(&path, text).unwrap();
        }
        let environment = environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Config::read(file.map(|_| path.as_path()), environment)
    }

    fn refusal(file: Option<&str>, environment: &[(&str, &str)]) -> String {
        format!("{:#}", read(file, environment).unwrap_err())
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let config = read(None, &[]).unwrap();
        assert_eq!(config.http.listen, SocketAddr::from(([127, 0, 0, 1], 8080)));
        assert_eq!(config.database_url(), "sqlite:ropeway-data/ropeway.db");
        assert_eq!(config.key_file(), Path::new("ropeway-data/key"));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = read(Some(FILE), &[]).unwrap();
        assert_eq!((config.http.listen.port(), config.http.max_depth), (7000, 9));
        assert_eq!(config.database_url(), "sqlite:file.db");
        let environment = [
            ("ROPEWAY_DATABASE__URL", "sqlite:long.db"),
            ("DATABASE_URL", "sqlite:short.db"),
            ("ROPEWAY_HTTP__LISTEN", "127.0.0.1:7001"),
            ("ROPEWAY_LIBRARY__PLAIN_HTTP_HOSTS", "[\"a:5000\", \"b\"]"),
            ("ROPEWAY_LOG__FORMAT", "json"),
        ];
        let config = read(Some(FILE), &environment).unwrap();
        assert_eq!((config.http.listen.port(), config.http.max_depth), (7001, 9));
        assert_eq!(config.database_url(), "sqlite:long.db");
        assert_eq!(config.library.plain_http_hosts, ["a:5000", "b"]);
        assert_eq!(config.log.format, LogFormat::Json);
        assert_eq!(read(Some(FILE), &environment[1..2]).unwrap().database_url(), "sqlite:short.db");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(refusal(Some("[http]\nlisten_on = \"a\"\n"), &[]).contains("listen_on"));
        assert!(refusal(Some("[htpp]\n"), &[]).contains("htpp"));
        let error = refusal(None, &[("ROPEWAY_HTTP__LISTEN_ON", "127.0.0.1:1")]);
        assert!(error.contains("listen_on") && error.contains("ROPEWAY_HTTP__LISTEN_ON"), "{error}");
        assert!(read(None, &[("ROPEWAY___", "1")]).is_err());
        assert!(refusal(None, &[("ROPEWAY_HTTP__MAX_DEPTH", "deep")]).contains("ROPEWAY_HTTP__MAX_DEPTH"));
    }

    #[test]
    fn what_others_name_alike_is_let_be() {
        let environment = [
            ("ROPEWAY_PORT", "tcp://10.0.0.1:80"),
            ("ROPEWAY_PORT_80_TCP_ADDR", "10.0.0.1"),
            ("ROPEWAY_SERVICE_HOST", "10.0.0.1"),
            ("ROPEWAY_CACHE", "/cache"),
            ("ROPEWAY_TEST_CLUSTERS", "both"),
            ("HTTP__LISTEN", "nonsense"),
        ];
        assert_eq!(read(None, &environment).unwrap().http.listen.port(), 8080);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        assert!(refusal(None, &[("ROPEWAY_OPERATIONS__LEASE_SECONDS", "2")]).contains("3 to 3600"));
        assert!(read(None, &[("ROPEWAY_OPERATIONS__LEASE_SECONDS", "3")]).is_ok());
        for (key, value) in [
            ("DATABASE__CONNECTIONS", "0"),
            ("HTTP__MAX_DEPTH", "0"),
            ("HTTP__MAX_COMPLEXITY", "0"),
            ("HTTP__MAX_SUBSCRIPTIONS", "0"),
            ("LIBRARY__CHECK_HOURS", "0"),
            ("LIBRARY__MAX_BLOB_BYTES", "0"),
            ("LIBRARY__PUBLIC_URL", "ftp://library.example.com"),
            ("LIBRARY__PUBLIC_URL", "https://library.example.com/path"),
            ("LIBRARY__PUBLIC_URL", ""),
        ] {
            let error = refusal(None, &[(&format!("ROPEWAY_{key}"), value)]);
            assert!(error.contains(&key.replace("__", ".").to_lowercase()), "{error}");
        }
        assert!(read(None, &[("ROPEWAY_LIBRARY__PUBLIC_URL", "https://library.example.com:5000/")]).is_ok());
        assert!(refusal(None, &[("ROPEWAY_DATABASE__REPLICATED", "true")]).contains("PostgreSQL"));
        let folder = tempfile::tempdir().unwrap();
        assert!(Config::read(Some(&folder.path().join("none")), []).is_err());
    }
}
