//! Where GitHub's pages are, which is not where its API is: what agents are told leads there and nowhere else.

use url::Url;

use crate::domain::{IssueNumber, RepositoryName};

/// The web site that belongs to an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Web(String);

impl Web {
    /// GitHub's own API is at `api.github.com`, that of a tenant of its cloud at `api.TENANT.ghe.com`; an Enterprise
    /// Server has it below `/api/v3` of its own host. Something on this machine can only stand in for GitHub's own.
    pub(super) fn beside(api: &Url) -> Self {
        let host = api.host_str().unwrap_or_default();
        let port = api.port().map(|port| format!(":{port}")).unwrap_or_default();
        // The configuration takes http on this machine only.
        if api.scheme() == "http" {
            return Self("https://github.com".to_owned());
        }
        let of_cloud = host.strip_prefix("api.").filter(|_| api.path() == "/");
        Self(format!("https://{}{port}", of_cloud.unwrap_or(host)))
    }

    /// Whether this is an issue's page: `/owner/name/issues/N`, with that number. The repository is any, since it may
    /// have been renamed or the issue transferred.
    pub(super) fn is_page_of(&self, number: IssueNumber, url: &str) -> bool {
        let path = url.strip_prefix(&self.0).and_then(|path| path.strip_prefix('/'));
        let repository = path.and_then(|path| path.strip_suffix(&format!("/issues/{number}")));
        repository.is_some_and(|repository| RepositoryName::parse(repository).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beside(api: &str) -> String {
        Web::beside(&Url::parse(api).unwrap()).0
    }

    #[test]
    fn each_kind_of_github_has_its_pages_beside_its_api() {
        assert_eq!(beside("https://api.github.com"), "https://github.com");
        assert_eq!(beside("https://api.acme.ghe.com"), "https://acme.ghe.com");
        assert_eq!(beside("https://github.example/api/v3"), "https://github.example");
        assert_eq!(beside("https://api.example:8443/api/v3"), "https://api.example:8443");
        assert_eq!(beside("http://127.0.0.1:4010"), "https://github.com");
    }

    #[test]
    fn an_issues_page_is_on_that_site_and_has_its_number_and_nothing_more() {
        let web = Web::beside(&Url::parse("https://api.github.com").unwrap());
        assert!(web.is_page_of(IssueNumber(7), "https://github.com/acme/api/issues/7"));
        for url in [
            "",
            "https://github.com/acme/api/issues/8",
            "https://github.com/acme/api/issues/07",
            "https://github.com/acme/api/pull/7",
            "https://github.com/acme/api/issues/7/",
            "https://github.com/acme/api/issues/7?x",
            "https://github.com/acme/api/issues/7#x",
            "https://github.com/a/b/c/issues/7",
            "https://github.com/acme/../issues/7",
            "https://github.com/acme/a%2Fb/issues/7",
            "https://github.com//issues/7",
            "http://github.com/acme/api/issues/7",
            "https://github.com.example/acme/api/issues/7",
            "https://github.com@example/acme/api/issues/7",
            "https://me@github.com/acme/api/issues/7",
            "https://example/acme/api/issues/7",
            "javascript:alert(1)",
        ] {
            assert!(!web.is_page_of(IssueNumber(7), url), "{url}");
        }
    }
}
