//! GitHub over TLS and through proxies: the problem names what is wrong with a certificate or a proxy, and the variable
//! to check. The functions run as they are deployed, since the environment configures proxies.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use test_world::clock::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::app::TestApp;
use crate::support::checked::Checked;
use crate::support::environment::{API, Environment};

/// Variables of the function, with their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

/// A CA for one test, and a file with its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(test: &str) -> Self {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "An authority of one test");
        let key = KeyPair::generate().expect("ring makes keys");
        let issuer = CertifiedIssuer::self_signed(parameters, key).expect("an authority may sign itself");
        let file = std::env::temp_dir().join(format!("agent-heartbeat-{}-{test}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).expect("a file can be written");
        Self { issuer, file }
    }

    /// A server's configuration, with a certificate for this name after `change`.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        change(&mut parameters);
        let key = KeyPair::generate().expect("ring makes keys");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        server(certificate.der().clone(), &key)
    }

    /// A server's configuration that presents the CA's own certificate.
    fn server_of_ca(&self) -> ServerConfig {
        server(self.issuer.der().clone(), self.issuer.key())
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

fn server(certificate: CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring speaks the default protocol versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("the key is the certificate's")
}

/// A server on the loopback that runs until it is dropped.
struct Server {
    port: u16,
    _serving: JoinSet<()>,
}

/// Terminates TLS in front of GitHub.
async fn tls_before(github: &str, config: ServerConfig) -> Server {
    let github = github.trim_start_matches("http://").to_owned();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let (acceptor, github) = (acceptor.clone(), github.clone());
        async move {
            let mut stream = acceptor.accept(stream).await?;
            let mut github = TcpStream::connect(github).await?;
            copy_bidirectional(&mut stream, &mut github).await.map(drop)
        }
    })
    .await
}

/// A proxy that answers `CONNECT` with `answer`, and connects if that is 200. It records the requests in `asked`.
async fn proxy(answer: &'static str, asked: Arc<Mutex<Vec<String>>>) -> Server {
    serve(move |mut stream| {
        let asked = Arc::clone(&asked);
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            asked.lock().expect("nothing panics while it notes").push(head);
            stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await?;
            if answer.starts_with("200") {
                let mut there = TcpStream::connect(target).await?;
                copy_bidirectional(&mut stream, &mut there).await?;
            }
            Ok(())
        }
    })
    .await
}

async fn serve<F: Future<Output = std::io::Result<()>> + Send + 'static>(
    connection: impl Fn(TcpStream) -> F + Send + 'static,
) -> Server {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let connection = connection(stream);
            connections.spawn(async move { drop(connection.await) });
        }
    });
    Server { port, _serving: serving }
}

/// A service that tracks one repository with an issue, in system time.
async fn app() -> TestApp {
    let app = TestApp::tracking(&["acme/api"]).beginning(Clock::system().now()).start().await;
    app.world.github.arrange(|github| github.open_issues("acme/api", 1));
    app
}

/// The answer of a function with these variables, and with GitHub at this port of localhost.
async fn beat(app: &mut TestApp, port: u16, variables: &[(&str, &str)]) -> Checked {
    let api = format!("https://localhost:{port}");
    app.variables.insert("GITHUB_API_URL".to_owned(), api.clone());
    app.variables.insert("GITHUB_GRAPHQL_URL".to_owned(), format!("{api}/graphql"));
    app.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    Environment::start(API, app).await.beat("alpha").await
}

/// GitHub could not be reached, which is a lasting problem, and its message contains these terms.
fn assert_reported(answer: &Checked, terms: &[&str]) {
    let problem = &answer["problems"][0];
    assert_eq!(
        (&problem["code"], &problem["retryable"]),
        (&"github_unavailable".into(), &false.into()),
        "{answer:?}"
    );
    let message = problem["message"].as_str().expect("a text");
    for term in terms {
        assert!(message.contains(term), "{term}: {message}");
    }
}

#[tokio::test]
async fn rejected_certificate_is_an_error_that_names_cause_and_variable() {
    let authority = Authority::new("refused");
    let file = authority.file.to_str().expect("a path").to_owned();
    let past = |parameters: &mut CertificateParams| {
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
    };
    let future = |parameters: &mut CertificateParams| parameters.not_before = date_time_ymd(2500, 1, 1);
    let trusted = [("SSL_CERT_FILE", file.as_str())];
    let cases: [(ServerConfig, Variables, &str); 5] = [
        (authority.server("localhost", |_| {}), &[], "UnknownIssuer"),
        (authority.server_of_ca(), &trusted, "CaUsedAsEndEntity"),
        (authority.server("localhost", past), &trusted, "expired"),
        (authority.server("localhost", future), &trusted, "yet"),
        (authority.server("github.example", |_| {}), &trusted, "host name"),
    ];
    for (config, variables, cause) in cases {
        let mut app = app().await;
        let server = tls_before(app.world.github.url(), config).await;
        let answer = beat(&mut app, server.port, variables).await;
        assert_reported(&answer, &[cause, "SSL_CERT_FILE", &format!("https://localhost:{}", server.port)]);
    }
}

#[tokio::test]
async fn server_without_tls_is_an_error_that_names_the_variable() {
    let mut app = app().await;
    let port = app.world.github.url().rsplit_once(':').expect("a port").1.parse().expect("a port");
    assert_reported(&beat(&mut app, port, &[]).await, &["TLS", "GITHUB_API_URL"]);
}

#[tokio::test]
async fn proxy_carries_githubs_requests_except_for_hosts_in_no_proxy() {
    let authority = Authority::new("proxied");
    let file = authority.file.to_str().expect("a path").to_owned();
    for no_proxy in ["", "localhost,.example"] {
        let mut app = app().await;
        let server = tls_before(app.world.github.url(), authority.server("localhost", |_| {})).await;
        let asked = Arc::default();
        let proxy = proxy("200 Connection established", Arc::clone(&asked)).await;
        let address = format!("http://me:secret@127.0.0.1:{}", proxy.port);
        let variables = [("SSL_CERT_FILE", file.as_str()), ("HTTPS_PROXY", &address), ("NO_PROXY", no_proxy)];
        let answer = beat(&mut app, server.port, &variables).await;
        assert_eq!((&answer["status"], app.open_rows("acme/api")), (&"ok".into(), vec![1]), "{answer:?}");
        let asked = asked.lock().expect("nothing panics while it notes");
        assert_eq!(asked.is_empty(), !no_proxy.is_empty(), "{asked:?}");
        let is_good = |head: &String| {
            head.starts_with(&format!("CONNECT localhost:{} ", server.port))
                && head.to_ascii_lowercase().contains("proxy-authorization: basic ")
        };
        assert!(asked.iter().all(is_good), "{asked:?}");
    }
}

#[tokio::test]
async fn proxy_that_does_not_connect_is_an_error_that_names_the_variable() {
    let authority = Authority::new("dead-proxy");
    let file = authority.file.to_str().expect("a path").to_owned();
    let mut messages = BTreeSet::new();
    for (answers, terms) in [
        (None, ["HTTPS_PROXY"].as_slice()),
        (Some("407 Proxy Authentication Required"), &["HTTPS_PROXY", "407", "user:password"]),
        (Some("403 Forbidden"), &["HTTPS_PROXY"]),
    ] {
        let mut app = app().await;
        let server = tls_before(app.world.github.url(), authority.server("localhost", |_| {})).await;
        let proxy = match answers {
            Some(answer) => Some(proxy(answer, Arc::default()).await),
            None => None,
        };
        let port = proxy.as_ref().map_or(1, |proxy| proxy.port);
        let address = format!("http://me:secret@127.0.0.1:{port}");
        let variables = [("SSL_CERT_FILE", file.as_str()), ("HTTPS_PROXY", &address)];
        let answer = beat(&mut app, server.port, &variables).await;
        assert_reported(&answer, terms);
        assert!(!format!("{answer:?}").contains("secret"), "{answer:?}");
        let message = answer["problems"][0]["message"].as_str().expect("a text");
        messages.insert(message.replace(&server.port.to_string(), "[port]"));
    }
    assert_eq!(messages.len(), 3, "each failure has its own message: {messages:#?}");
}
