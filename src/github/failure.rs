//! How one attempt at a request to GitHub fails, and whether another attempt may succeed.

use std::fmt;

/// Why the TLS handshake with GitHub failed. Another attempt would meet the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// No trusted root issued the certificate.
    UnknownIssuer,
    /// The server presents the certificate of a CA as its own.
    CaAsServer,
    /// The certificate has expired, or is not valid yet.
    NotValidNow,
    /// The certificate is for other host names.
    OtherName,
    /// The certificate is wrong in another way.
    Certificate,
    /// There is no TLS at that port, or none that both sides can use.
    Handshake,
}

/// Why the proxy that `HTTPS_PROXY` names opened no connection to GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFailure {
    /// It could not be reached itself.
    Unreachable,
    /// It requires a user and a password (407).
    WantsCredentials,
    /// It refused to connect.
    Refused,
}

/// How one attempt failed. Another attempt may succeed, unless the failure is lasting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An answer of the 5xx class.
    Status(u16),
    /// No connection.
    Unreachable,
    /// No TLS connection.
    Tls(TlsFailure),
    /// No connection through the proxy.
    Proxy(ProxyFailure),
    /// No answer in time.
    TimedOut,
    /// The connection broke off before the answer was whole.
    BrokeOff,
    /// GitHub accepted the query and did not execute it, or not all of it.
    NotExecuted,
    /// The answer is larger than this service accepts.
    TooLarge,
}

impl Failure {
    /// Whether it lasts until an operator corrects it.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::Tls(_) | Self::Proxy(_))
    }

    /// Whether the query may have been too large. It would fail again, but its halves may succeed.
    pub(super) fn may_be_query_size(self) -> bool {
        matches!(self, Self::Status(502 | 504) | Self::TimedOut | Self::NotExecuted | Self::TooLarge)
    }

    /// Whether another attempt at the same request may succeed.
    pub(super) fn is_repeatable(self) -> bool {
        self != Self::TooLarge
    }

    /// Whether a page of a listing may have failed because it is too long. Every failure may be due to that, except a
    /// host that cannot be reached. The next attempt is then a shorter page.
    pub(super) fn may_be_page_length(self) -> bool {
        self != Self::Unreachable
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "GitHub answered {status}"),
            Self::Unreachable => f.write_str("GitHub could not be reached"),
            Self::Tls(why) => f.write_str(no_tls(*why)),
            Self::Proxy(why) => f.write_str(no_proxy(*why)),
            Self::TimedOut => f.write_str("GitHub did not answer in time"),
            Self::BrokeOff => f.write_str("GitHub broke off its answer"),
            Self::NotExecuted => f.write_str("GitHub did not execute a query"),
            Self::TooLarge => f.write_str("GitHub's answer is larger than this service accepts"),
        }
    }
}

pub(super) fn no_tls(why: TlsFailure) -> &'static str {
    match why {
        TlsFailure::UnknownIssuer => {
            "GitHub's certificate is from an issuer that is not trusted (UnknownIssuer); add the issuer's certificate, or \
             that of a proxy which inspects TLS, to the file that SSL_CERT_FILE names"
        }
        TlsFailure::CaAsServer => {
            "GitHub's server presents the certificate of a CA as its own (CaUsedAsEndEntity); give the server a \
             certificate for its host name, and let SSL_CERT_FILE name a file with the CA's"
        }
        TlsFailure::NotValidNow => {
            "GitHub's certificate has expired or is not valid yet; renew it on the server; a new issuer's certificate goes \
             to the file that SSL_CERT_FILE names"
        }
        TlsFailure::OtherName => {
            "GitHub's certificate is for another host name; correct the host in GITHUB_API_URL or GITHUB_GRAPHQL_URL, or \
             the server's certificate; SSL_CERT_FILE does not help here"
        }
        TlsFailure::Certificate => {
            "GitHub's certificate cannot be verified; check it on the server, and the file that SSL_CERT_FILE names"
        }
        TlsFailure::Handshake => {
            "the TLS handshake with GitHub's server failed; check host and port in GITHUB_API_URL and \
             GITHUB_GRAPHQL_URL, and that the server speaks TLS 1.2 or 1.3 and requires no client certificate; \
             SSL_CERT_FILE does not help here"
        }
    }
}

pub(super) fn no_proxy(why: ProxyFailure) -> &'static str {
    match why {
        ProxyFailure::Unreachable => {
            "the proxy that HTTPS_PROXY names could not be reached; correct HTTPS_PROXY, or exempt GitHub's host in NO_PROXY"
        }
        ProxyFailure::WantsCredentials => {
            "the proxy that HTTPS_PROXY names requires credentials (407); write them into HTTPS_PROXY as \
             http://user:password@host:port"
        }
        ProxyFailure::Refused => {
            "the proxy that HTTPS_PROXY names refused to connect to GitHub; allow GitHub's host there, or exempt it in NO_PROXY"
        }
    }
}
