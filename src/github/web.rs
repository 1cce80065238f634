//! The web addresses of issues, built from the configured site and the path in GitHub's answer: an Enterprise Server
//! may be reached under another host name than it uses for itself.

use url::Url;

use crate::domain::{IssueNumber, RepositoryName};

/// The web site that issues' pages are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Web(String);

impl Web {
    /// The site at this address.
    pub(super) fn new(server: &Url) -> Self {
        Self(server.as_str().trim_end_matches('/').to_owned())
    }

    /// The address of an issue's page. The one that GitHub names must be `…/owner/name/issues/N` with this number. Any
    /// repository is accepted: it may have been renamed, or the issue transferred.
    pub(super) fn page(&self, number: IssueNumber, named: &str) -> Option<String> {
        let (scheme, rest) = named.split_once("://")?;
        let path = matches!(scheme, "https" | "http").then(|| rest.split_once('/'))??.1;
        let of_repository = path.strip_suffix(&format!("/issues/{number}"))?;
        // An Enterprise Server behind a proxy may have a path of its own before it.
        let mut parts = of_repository.rsplitn(3, '/');
        let (name, owner) = (parts.next()?, parts.next()?);
        let repository = RepositoryName::parse(&format!("{owner}/{name}")).ok()?;
        Some(format!("{}/{repository}/issues/{number}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_on_the_configured_site_whatever_host_is_named() {
        let web = Web::new(&Url::parse("https://github.example").expect("a URL"));
        for named in [
            "https://github.example/acme/api/issues/7",
            "http://github.example/acme/api/issues/7",
            "https://elsewhere.example:8443/acme/api/issues/7",
            "https://github.com@elsewhere.example/acme/api/issues/7",
            "https://elsewhere.example/ghe/acme/api/issues/7",
        ] {
            let page = web.page(IssueNumber(7), named);
            assert_eq!(page.as_deref(), Some("https://github.example/acme/api/issues/7"), "{named}");
        }
    }

    #[test]
    fn address_that_is_no_issue_page_of_that_number_is_refused() {
        let web = Web::new(&Url::parse("https://github.com").expect("a URL"));
        for named in [
            "",
            "https://github.com/acme/api/issues/8",
            "https://github.com/acme/api/issues/07",
            "https://github.com/acme/api/pull/7",
            "https://github.com/acme/api/issues/7/",
            "https://github.com/acme/api/issues/7?x",
            "https://github.com/acme/api/issues/7#x",
            "https://github.com/acme/../issues/7",
            "https://github.com/acme/a%2Fb/issues/7",
            "https://github.com//issues/7",
            "https://github.com/issues/7",
            "/acme/api/issues/7",
            "javascript:alert(1)",
            "javascript://x/acme/api/issues/7",
        ] {
            assert_eq!(web.page(IssueNumber(7), named), None, "{named}");
        }
    }
}
