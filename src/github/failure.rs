//! How one attempt at a request to GitHub fails, and what that says about another attempt.

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
    /// It wants a user and a password (407).
    WantsCredentials,
    /// It answered that it does not connect.
    Refused,
}

/// How one attempt failed in a way that another attempt may not.
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
    /// GitHub took the question and executed nothing of it, or not all.
    NotExecuted,
    /// The answer is larger than any that the service takes.
    TooLarge,
}

impl Failure {
    /// Whether only a person can heal it.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::Tls(_) | Self::Proxy(_))
    }

    /// Whether a question asked too much at once. Asked again it would fail again; asked in halves it may not.
    pub(super) fn asked_too_much(self) -> bool {
        matches!(self, Self::Status(502 | 504) | Self::TimedOut | Self::NotExecuted | Self::TooLarge)
    }

    /// Whether the same question may be answered at another attempt.
    pub(super) fn is_repeatable(self) -> bool {
        self != Self::TooLarge
    }

    /// Whether a page of a listing may fail in this way because it is too long: whatever the reason, only a host that
    /// cannot be reached is none. A shorter page is then the next attempt.
    pub(super) fn may_be_the_length(self) -> bool {
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
             the server's certificate; SSL_CERT_FILE cannot heal it"
        }
        TlsFailure::Certificate => {
            "GitHub's certificate cannot be verified; check it on the server, and the file that SSL_CERT_FILE names"
        }
        TlsFailure::Handshake => {
            "no TLS connection with GitHub's server could be agreed on; check host and port in GITHUB_API_URL and \
             GITHUB_GRAPHQL_URL, and that the server speaks TLS 1.2 or 1.3 and asks for no client certificate; \
             SSL_CERT_FILE cannot heal it"
        }
    }
}

pub(super) fn no_proxy(why: ProxyFailure) -> &'static str {
    match why {
        ProxyFailure::Unreachable => {
            "the proxy that HTTPS_PROXY names could not be reached; correct HTTPS_PROXY, or exempt GitHub's host in NO_PROXY"
        }
        ProxyFailure::WantsCredentials => {
            "the proxy that HTTPS_PROXY names wants credentials (407); write them into HTTPS_PROXY as \
             http://user:password@host:port"
        }
        ProxyFailure::Refused => {
            "the proxy that HTTPS_PROXY names refused to connect to GitHub; allow GitHub's host there, or exempt it in NO_PROXY"
        }
    }
}
