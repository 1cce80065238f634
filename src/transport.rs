//! The one TLS and HTTP stack of the service: GitHub's client and the AWS clients share it.
//!
//! The AWS SDK would bring clients of its own. Each loads the system's root certificates at a cold
//! start. Here one `rustls` configuration, with built-in roots, serves both.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use url::Url;

/// Why the TLS configuration or a client could not be built.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// `SSL_CERT_FILE` is not a PEM file of certificates.
    #[error("SSL_CERT_FILE: {file} cannot be used as a PEM file of certificates: {cause}")]
    Roots {
        /// The file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The HTTP client could not be built, or its request failed.
    #[error("HTTP client failed: {0}")]
    Client(#[from] reqwest::Error),
}

/// The shared TLS configuration: the built-in roots and those of `SSL_CERT_FILE`.
#[derive(Clone, Debug)]
pub struct Transport {
    tls: ClientConfig,
    connect_timeout: Duration,
}

impl Transport {
    /// Reads the root certificates. `connect_timeout` limits the time to open each connection.
    ///
    /// # Errors
    /// [`TransportError::Roots`] if the file has no valid certificates.
    pub fn new(further_roots: Option<&Path>, connect_timeout: Duration) -> Result<Self, TransportError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = further_roots {
            add_roots(&mut roots, file)
                .map_err(|cause| TransportError::Roots { file: file.display().to_string(), cause })?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default protocol versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        // reqwest sets no protocols in a configuration that is passed to it.
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { tls, connect_timeout })
    }

    /// A builder for a client with this configuration. It follows no redirects: callers interpret them.
    pub fn client(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .connect_timeout(self.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
    }

    /// The HTTP status with which a GET of this address is answered, on a new connection.
    ///
    /// # Errors
    /// [`TransportError::Client`] if there is no answer within `timeout`.
    pub async fn status_of(&self, url: Url, timeout: Duration) -> Result<u16, TransportError> {
        let answer = self.client().timeout(timeout).build()?.get(url).send().await?;
        Ok(answer.status().as_u16())
    }

    /// A client for the AWS SDK, which sets the timeouts of requests itself.
    ///
    /// # Errors
    /// [`TransportError::Client`] if the client cannot be built.
    pub fn aws_client(&self) -> Result<AwsHttp, TransportError> {
        // A decompressed answer would no longer match the checksum that DynamoDB sends.
        Ok(AwsHttp(self.client().no_gzip().build()?))
    }
}

fn add_roots(roots: &mut RootCertStore, file: &Path) -> Result<(), String> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    let mut added = 0;
    for certificate in certificates {
        added += 1;
        let wrong = |cause: String| format!("certificate {added} of the file: {cause}");
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if added == 0 { Err("it contains no certificate".to_owned()) } else { Ok(()) }
}

/// The AWS SDK's HTTP interface on top of [`Transport`]'s client.
#[derive(Clone, Debug)]
pub struct AwsHttp(reqwest::Client);

impl HttpClient for AwsHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for AwsHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?
                .map(reqwest::Body::wrap);
            let request =
                reqwest::Request::try_from(request).map_err(|error| ConnectorError::user(error.into()))?;
            let answer = client.execute(request).await.map_err(connector_error)?;
            let answer = http::Response::<reqwest::Body>::from(answer).map(SdkBody::from_body_1_x);
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Classifies the failure for the SDK, which repeats timeouts and broken connections.
fn connector_error(error: reqwest::Error) -> ConnectorError {
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}
