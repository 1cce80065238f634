//! HTTPS in front of the simulated world, so that a start includes the TLS handshakes that it needs in AWS.
//!
//! Requests and answers are forwarded unchanged. HTTP/2 is offered for GitHub, which offers it, and not for AWS, which
//! does not. All keys are on P-256 and a chain is one certificate long; real hosts have longer chains, some with RSA.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::{Request, Uri, Version};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

/// The host name of the endpoints and of their certificates.
const HOST: &str = "localhost";

/// A certificate authority for this run only.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    root_file: PathBuf,
}

impl Authority {
    /// Creates an authority, and writes its root to this file in PEM.
    pub(crate) fn new(root_file: &Path) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // The name differs from that of its certificates: one whose issuer has its own name counts as self-signed.
        parameters.distinguished_name.push(DnType::CommonName, "An authority for one benchmark");
        let key = KeyPair::generate().expect("ring makes keys");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("an authority may sign itself");
        fs::write(root_file, issuer.pem()).unwrap_or_else(|error| panic!("{}: {error}", root_file.display()));
        Self { issuer, root_file: root_file.to_owned() }
    }

    /// The path of the file with its root.
    pub(crate) fn root_file(&self) -> &str {
        self.root_file.to_str().expect("the path was given as text")
    }

    fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = CertificateParams::new([HOST.to_owned()])
            .and_then(|parameters| parameters.signed_by(&key, &self.issuer))
            .expect("a host name makes a certificate");
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default protocol versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("the key is the certificate's");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// An HTTPS endpoint in front of one server of the simulated world. It serves until it is dropped.
pub(crate) struct Endpoint {
    url: String,
    connections: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Endpoint {
    /// Starts an endpoint on a free port in front of `upstream`, an `http` URL. `protocols` are ALPN names.
    pub(crate) async fn start(authority: &Authority, upstream: &str, protocols: &[&str]) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on the loopback");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let mut serving = JoinSet::new();
        let upstream = upstream.to_owned();
        serving.spawn(listen(listener, authority.acceptor(protocols), upstream, Arc::clone(&connections)));
        Self { url: format!("https://{HOST}:{port}"), connections, _serving: serving }
    }

    /// Its URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The number of connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn listen(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    upstream: String,
    connections: Arc<AtomicUsize>,
) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let mut open = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.expect("the listener stays open");
        connections.fetch_add(1, Ordering::Relaxed);
        open.spawn(converse(stream, acceptor.clone(), upstream.clone(), client.clone()));
        // Drops the connections that have ended.
        while open.try_join_next().is_some() {}
    }
}

/// Serves one connection to its end. Errors are ignored: connections of a killed process end with one.
async fn converse(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    upstream: String,
    client: Client<HttpConnector, Incoming>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let pass_on = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() =
            format!("{upstream}{path}").parse::<Uri>().expect("both parts come from one URL");
        *request.version_mut() = Version::HTTP_11;
        client.request(request)
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), pass_on).await;
}
