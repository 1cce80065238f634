//! Why a connection to GitHub failed: a certificate that is not accepted, a proxy, or a host that does not answer.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use super::failure::{Failure, ProxyFailure, TlsFailure};

/// The cause of a failed connection, found in the chain of errors.
pub(super) fn unreachable(error: &reqwest::Error) -> Failure {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(failure) = proxy(&error.to_string()) {
            return Failure::Proxy(failure);
        }
        if let Some(failure) = error.downcast_ref::<rustls::Error>().and_then(tls) {
            return Failure::Tls(failure);
        }
        // What an `io::Error` holds is not its source.
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(held) => Some(held),
            None => error.source(),
        };
    }
    Failure::Unreachable
}

/// hyper-util has no public type for these errors, but all their texts have this prefix.
fn proxy(text: &str) -> Option<ProxyFailure> {
    Some(match text.strip_prefix("tunnel error: ")? {
        "failed to create underlying connection" => ProxyFailure::Unreachable,
        "proxy authorization required" => ProxyFailure::WantsCredentials,
        _ => ProxyFailure::Refused,
    })
}

/// `None` for a failure that another attempt may not meet.
fn tls(error: &rustls::Error) -> Option<TlsFailure> {
    Some(match error {
        rustls::Error::InvalidCertificate(certificate) => refused(certificate),
        rustls::Error::InvalidMessage(_)
        | rustls::Error::PeerIncompatible(_)
        | rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(
            AlertDescription::HandshakeFailure
            | AlertDescription::ProtocolVersion
            | AlertDescription::UnrecognisedName
            | AlertDescription::CertificateRequired,
        ) => TlsFailure::Handshake,
        _ => return None,
    })
}

fn refused(certificate: &CertificateError) -> TlsFailure {
    match certificate {
        CertificateError::UnknownIssuer => TlsFailure::UnknownIssuer,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => TlsFailure::NotValidNow,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            TlsFailure::OtherName
        }
        // rustls has no variant for it and passes on the verifier's error.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            TlsFailure::CaAsServer
        }
        _ => TlsFailure::Certificate,
    }
}
