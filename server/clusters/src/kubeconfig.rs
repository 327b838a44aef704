//! Reads kubeconfigs that come from people and providers.
//!
//! Only data given inline is accepted. Plugins and auth providers would run commands with the rights of this process,
//! file paths would read its files, and a proxy would see its traffic: a context that needs one of them is refused.

use std::net::IpAddr;

use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig, NamedContext};
use serde::{Deserialize, Serialize};

use crate::{Access, Error};

/// The longest kubeconfig that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// More contexts than this are refused.
const MAX_CONTEXTS: usize = 500;

/// One context of a kubeconfig, without any credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// Name of the context.
    pub name: String,
    /// Address of the API server.
    pub server: String,
    /// The namespace that the context names, if any.
    pub namespace: Option<String>,
    /// Whether the kubeconfig names this context as its current one.
    pub current: bool,
    /// Whether the server's certificate is verified.
    pub verifies_server: bool,
    /// Why the context cannot be used, if it cannot.
    pub refused: Option<String>,
}

/// Reads a kubeconfig and lists its contexts. Fails if the chosen context (or else the current one) cannot be used;
/// without either, it is enough that the text can be read.
pub fn validate(text: &str, context: Option<&str>) -> Result<Vec<Context>, Error> {
    let config = parse(text)?;
    if let Some(chosen) = context.or(config.current_context.as_deref()) {
        select(&config, chosen)?;
    }
    Ok(config.contexts.iter().map(|context| describe(&config, context)).collect())
}

/// The client configuration of the chosen context.
pub(crate) async fn client_config(access: &Access) -> Result<kube::Config, Error> {
    let mut config = parse(access.kubeconfig())?;
    let chosen = access
        .context()
        .map(str::to_owned)
        .or_else(|| config.current_context.clone())
        .ok_or_else(|| refused("it names no current context, and none was chosen"))?;
    select(&config, &chosen)?;
    config.current_context = Some(chosen.clone());
    let options = KubeConfigOptions { context: Some(chosen), cluster: None, user: None };
    let mut client = kube::Config::from_custom_kubeconfig(config, &options)
        .await
        .map_err(|error| refused(&format!("its certificates or keys cannot be read ({})", kind_of(&error))))?;
    // The library takes a proxy from the environment of the process; none is supported.
    client.proxy_url = None;
    // Retries are this crate's own: they keep to a budget.
    client.default_retry = false;
    Ok(client)
}

fn parse(text: &str) -> Result<Kubeconfig, Error> {
    if text.len() > MAX_BYTES {
        return Err(Error::TooLarge { what: "kubeconfig".into(), limit_bytes: MAX_BYTES });
    }
    if text.contains('\0') {
        return Err(refused("it contains a NUL character"));
    }
    // The parser's own message quotes the text, which holds credentials.
    let config = Kubeconfig::from_yaml(text).map_err(|_| refused("it is not a kubeconfig in YAML or JSON"))?;
    if config.contexts.is_empty() {
        return Err(refused("it has no contexts"));
    }
    if config.contexts.len() > MAX_CONTEXTS {
        return Err(refused(&format!("it has more than {MAX_CONTEXTS} contexts")));
    }
    Ok(config)
}

fn select(config: &Kubeconfig, name: &str) -> Result<(), Error> {
    let context = config
        .contexts
        .iter()
        .find(|context| context.name == name)
        .ok_or_else(|| refused(&format!("it has no context {name:?}")))?;
    check(config, context).map_err(|reason| refused(&format!("context {name:?} {reason}")))
}

fn describe(config: &Kubeconfig, named: &NamedContext) -> Context {
    let cluster = cluster_of(config, named);
    Context {
        name: named.name.clone(),
        server: cluster.and_then(|cluster| cluster.server.clone()).unwrap_or_default(),
        namespace: named.context.as_ref().and_then(|context| context.namespace.clone()),
        current: config.current_context.as_deref() == Some(&named.name),
        verifies_server: !cluster.and_then(|cluster| cluster.insecure_skip_tls_verify).unwrap_or(false),
        refused: check(config, named).err(),
    }
}

/// Why a context cannot be used.
fn check(config: &Kubeconfig, named: &NamedContext) -> Result<(), String> {
    let cluster = cluster_of(config, named).ok_or("names a cluster that is not in the file")?;
    check_cluster(cluster)?;
    match named.context.as_ref().and_then(|context| context.user.as_deref()) {
        None | Some("") => Ok(()),
        Some(user) => {
            let user = config
                .auth_infos
                .iter()
                .find(|candidate| candidate.name == user)
                .and_then(|found| found.auth_info.as_ref())
                .ok_or("names a user that is not in the file")?;
            check_user(user)
        }
    }
}

fn check_cluster(cluster: &Cluster) -> Result<(), String> {
    if given(cluster.certificate_authority.as_deref()) {
        return Err("names a file (certificate-authority); give its content as certificate-authority-data".into());
    }
    if given(cluster.proxy_url.as_deref()) {
        return Err("names a proxy (proxy-url), which is not supported".into());
    }
    let server = cluster.server.as_deref().unwrap_or_default();
    let url = url::Url::parse(server).map_err(|_| "has no valid server address".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials in its server address".into());
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(&url) => Ok(()),
        "http" => Err("uses http, which shows its credentials to the network; https is needed".into()),
        _ => Err("has a server address that is not https".into()),
    }
}

fn check_user(user: &AuthInfo) -> Result<(), String> {
    if user.exec.is_some() {
        return Err(
            "runs a command to log in (exec), which is not allowed on a server; use a token or certificate".into()
        );
    }
    if user.auth_provider.is_some() {
        return Err("uses an auth-provider, which is not allowed on a server; use a token or certificate".into());
    }
    for (key, value, inline) in [
        ("tokenFile", &user.token_file, "token"),
        ("client-certificate", &user.client_certificate, "client-certificate-data"),
        ("client-key", &user.client_key, "client-key-data"),
    ] {
        if given(value.as_deref()) {
            return Err(format!("names a file ({key}); give its content as {inline}"));
        }
    }
    Ok(())
}

fn cluster_of<'a>(config: &'a Kubeconfig, named: &NamedContext) -> Option<&'a Cluster> {
    let name = &named.context.as_ref()?.cluster;
    config.clusters.iter().find(|cluster| &cluster.name == name)?.cluster.as_ref()
}

fn given(value: Option<&str>) -> bool {
    value.is_some_and(|value| !value.is_empty())
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// The name of a library error's variant: its message may quote the file.
fn kind_of(error: &kube::config::KubeconfigError) -> String {
    format!("{error:?}").chars().take_while(char::is_ascii_alphanumeric).take(60).collect()
}

fn refused(reason: &str) -> Error {
    Error::Kubeconfig { message: crate::error::bounded(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: c, cluster: {{{cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n"
        )
    }

    fn reason(text: &str) -> String {
        validate(text, None).expect_err("must be refused").to_string()
    }

    #[test]
    fn inline_data_is_accepted_and_listed() {
        let contexts = validate(&text("server: 'https://10.0.0.1:6443'", "token: t0ken"), None).expect("valid");
        assert_eq!(contexts.len(), 1);
        assert_eq!(contexts[0].server, "https://10.0.0.1:6443");
        assert!(contexts[0].current && contexts[0].verifies_server && contexts[0].refused.is_none());
    }

    #[test]
    fn whatever_runs_commands_reads_files_or_leads_elsewhere_is_refused() {
        let server = "server: 'https://c'";
        for (cluster, user, expected) in [
            (server, "exec: {apiVersion: client.authentication.k8s.io/v1, command: sh}", "exec"),
            (server, "auth-provider: {name: gcp, config: {cmd-path: /bin/sh}}", "auth-provider"),
            (server, "tokenFile: /etc/passwd", "tokenFile"),
            (server, "client-certificate: /a", "client-certificate-data"),
            (server, "client-key: /a", "client-key-data"),
            ("server: 'https://c', certificate-authority: /etc/ca", "token: x", "certificate-authority-data"),
            ("server: 'https://c', proxy-url: 'http://p'", "token: x", "proxy"),
            ("server: 'http://c'", "token: x", "https is needed"),
            ("server: 'file:///etc/passwd'", "token: x", "not https"),
            ("server: 'https://me:pw@c'", "token: x", "credentials"),
            ("server: ''", "token: x", "server address"),
        ] {
            let reason = reason(&text(cluster, user));
            assert!(reason.contains(expected), "{reason} for {cluster} {user}");
        }
    }

    #[test]
    fn a_refused_context_that_is_not_chosen_is_listed_with_its_reason() {
        let text = text("server: 'https://c'", "token: x")
            .replace("contexts: [", "contexts: [{name: other, context: {cluster: missing, user: u}}, ");
        let contexts = validate(&text, None).expect("the current context is fine");
        assert!(contexts.iter().any(|context| context.name == "other" && context.refused.is_some()));
        assert!(validate(&text, Some("other")).is_err());
    }

    #[test]
    fn an_error_never_quotes_the_text() {
        for broken in ["token: s3cr3t\n  - [", "clusters: s3cr3t", "s3cr3t"] {
            assert!(!reason(broken).contains("s3cr3t"));
        }
        assert!(matches!(validate(&"a".repeat(MAX_BYTES + 1), None), Err(Error::TooLarge { .. })));
    }
}
