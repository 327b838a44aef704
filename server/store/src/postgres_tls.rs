//! TLS to PostgreSQL, as `sslmode` of its address says: `disable`; `prefer`, which encrypts where the server can and does
//! not ask who it is, since without TLS nobody would either; `require`, which checks the server's certificate as well.

use rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::sync::{Arc, OnceLock};
use tokio_postgres::{Client, Config, Connection, Error, Socket, config::SslMode, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What a connection sends and receives by itself.
pub type Driven = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Connects to a `postgres://` address.
pub async fn connect(url: &str) -> Result<(Client, Driven), Error> {
    static CHECKING: OnceLock<MakeRustlsConnect> = OnceLock::new();
    static TRUSTING: OnceLock<MakeRustlsConnect> = OnceLock::new();
    let config: Config = url.parse()?;
    let tls = match config.get_ssl_mode() {
        SslMode::Require => CHECKING.get_or_init(|| checking(system_roots())),
        _ => TRUSTING.get_or_init(trusting),
    };
    config.connect(tls.clone()).await
}

/// What the system trusts, or the file that `SSL_CERT_FILE` names.
fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(error = error as &dyn std::error::Error, "a certificate of the system could not be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn checking(roots: RootCertStore) -> MakeRustlsConnect {
    MakeRustlsConnect::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn trusting() -> MakeRustlsConnect {
    let verifier = Arc::new(Trusting(ring::default_provider()));
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier);
    MakeRustlsConnect::new(config.with_no_client_auth())
}

/// Takes every certificate for the server's.
#[derive(Debug)]
struct Trusting(CryptoProvider);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ServerConfig, pki_types::PrivateKeyDer};
    use std::net::SocketAddr;
    use tokio::{
        io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };
    use tokio_rustls::TlsAcceptor;

    /// What asks a server whether it speaks TLS.
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

    /// A server of one connection, with TLS or without: what it was told after the question, which is never the first
    /// message of the protocol where the client refused.
    async fn server(tls: Option<TlsAcceptor>) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut first = [0; 8];
            stream.read_exact(&mut first).await.unwrap();
            if first != SSL_REQUEST {
                return format!("at once {}", said(stream).await);
            }
            stream.write_all(if tls.is_some() { b"S" } else { b"N" }).await.unwrap();
            match tls {
                None => said(stream).await,
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => said(stream).await,
                    Err(_) => String::new(),
                },
            }
        });
        (address, told)
    }

    async fn said(mut stream: impl AsyncRead + Unpin) -> String {
        let mut bytes = vec![0; 500];
        let length = stream.read(&mut bytes).await.unwrap_or_default();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    fn install_tls() {
        // Whoever came first installed the same one.
        let _installed = ring::default_provider().install_default();
    }

    fn certificate() -> (TlsAcceptor, RootCertStore) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.into()], key).unwrap();
        (TlsAcceptor::from(Arc::new(config)), roots)
    }

    async fn asked(mode: &str, tls: Option<TlsAcceptor>) -> (String, String) {
        install_tls();
        let (address, told) = server(tls).await;
        let error = connect(&format!("postgres://ada@{address}/shop?sslmode={mode}")).await.err().unwrap();
        (crate::connection::explain(&error), told.await.unwrap())
    }

    #[tokio::test]
    async fn what_is_required_is_never_done_in_the_clear() {
        let (error, told) = asked("require", None).await;
        assert!(error.contains("TLS"), "{error}");
        assert_eq!(told, "");
        let (error, told) = asked("require", Some(certificate().0)).await;
        assert!(error.contains("certificate"), "nobody vouches for it: {error}");
        assert_eq!(told, "");
    }

    #[tokio::test]
    async fn what_is_preferred_is_done_where_the_server_can() {
        let (_, told) = asked("prefer", None).await;
        assert!(told.contains("ada"), "{told}");
        let (_, told) = asked("prefer", Some(certificate().0)).await;
        assert!(told.contains("ada"), "{told}");
        let (_, told) = asked("disable", Some(certificate().0)).await;
        assert!(told.starts_with("at once"), "{told}");
    }

    #[tokio::test]
    async fn a_server_that_somebody_vouches_for_is_spoken_to() {
        install_tls();
        let (acceptor, roots) = certificate();
        let (address, told) = server(Some(acceptor)).await;
        let config: Config = format!("postgres://ada@{address}/shop?sslmode=require").parse().unwrap();
        let _closed = config.connect(checking(roots)).await;
        assert!(told.await.unwrap().contains("ada"));
    }
}
