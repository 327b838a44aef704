//! HTTPS, with a certificate authority of one's own.

use crate::support::{PASSWORD, USER, embedded_at, name, reference, registry, tag};
use ropeway_library::{Endpoint, Error, sample};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.tcp.accept().await.expect("a connection");
            // Who does not trust the certificate goes away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_configured_only() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut authority = rcgen::CertificateParams::new(vec![]).expect("parameters");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).expect("a certificate");
    let issuer = rcgen::Issuer::new(authority, key);
    let server_key = rcgen::KeyPair::generate().expect("a key");
    let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    let server = server.signed_by(&server_key, &issuer).expect("a certificate");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(
        vec![server.der().clone()],
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der())),
    );
    let acceptor = TlsAcceptor::from(Arc::new(config.expect("a key and its certificate")));

    let dir = tempfile::tempdir().expect("a temporary folder");
    let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = tcp.local_addr().expect("bound").port();
    let router = embedded_at(dir.path());
    let serving = tokio::spawn(async move { axum::serve(TlsListener { tcp, acceptor }, router).await });

    let endpoint = Endpoint::new(format!("localhost:{port}")).with_credentials(USER, PASSWORD);
    let error = registry(endpoint.clone()).ping().await.expect_err("an unknown authority");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let trusting = registry(Endpoint { ca_certificate: Some(certificate.pem()), ..endpoint });
    trusting.ping().await.expect("a known authority");
    let image = sample::image("web", "1", "amd64", &[100_000]);
    sample::push(&trusting, &name("web"), &tag("1"), &image).await.expect("pushed");
    assert_eq!(trusting.resolve(&name("web"), &reference("1")).await.expect("there").digest, image.digest);
    serving.abort();
}
