//! Addresses of issues, as agents declare them.

use url::Url;

use super::{IssueNumber, RepositoryName};

/// An issue, by the name of its repository and its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IssueAddress {
    /// The name of its repository, as in the address.
    pub repository: RepositoryName,
    /// Its number.
    pub number: IssueNumber,
}

impl IssueAddress {
    /// The issue whose page has this address on the web site `web`; `None` if it is no issue's page there. Host, owner
    /// and repository may be in any case. A query and a fragment are ignored: they name a place on the page.
    pub fn parse(address: &str, web: &Url) -> Option<Self> {
        let address = Url::parse(address).ok()?;
        let is_there = address.scheme() == web.scheme()
            && address.host() == web.host()
            && address.port_or_known_default() == web.port_or_known_default()
            && address.username().is_empty()
            && address.password().is_none();
        let path = address.path().strip_prefix(web.path().trim_end_matches('/')).filter(|_| is_there)?;
        let mut parts = path.strip_prefix('/')?.split('/');
        let (owner, name, issues, number) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // A slash may follow.
        let is_end = matches!((parts.next(), parts.next()), (None | Some(""), None));
        let repository = RepositoryName::parse(&format!("{owner}/{name}")).ok()?;
        let number = parsed_number(number).filter(|_| issues == "issues" && is_end)?;
        Some(Self { repository, number })
    }

    /// The address of an issue's page on the web site `web`.
    pub fn page(web: &Url, repository: &RepositoryName, number: IssueNumber) -> String {
        format!("{}/{repository}/issues/{number}", web.as_str().trim_end_matches('/'))
    }
}

/// An issue's number: at most ten digits, which do not start with a zero.
fn parsed_number(text: &str) -> Option<IssueNumber> {
    let is_number = text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number && !text.starts_with('0'))?;
    Some(IssueNumber(number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn web(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn at(address: &str, site: &str) -> Option<String> {
        IssueAddress::parse(address, &web(site)).map(|issue| format!("{}#{}", issue.repository, issue.number))
    }

    #[test]
    fn issue_is_known_by_its_page_in_any_case_and_at_any_place_of_it() {
        for address in [
            "https://github.com/acme/api/issues/7",
            "HTTPS://GitHub.com:443/acme/api/issues/7",
            "https://github.com/acme/api/issues/7/",
            "https://github.com/acme/api/issues/7?x=y#issuecomment-1",
        ] {
            assert_eq!(at(address, "https://github.com").as_deref(), Some("acme/api#7"), "{address}");
        }
        assert_eq!(
            at("https://github.com/Acme/API/issues/7", "https://github.com").as_deref(),
            Some("Acme/API#7")
        );
        let enterprise = "https://git.example:8443/ghe/";
        assert_eq!(at("https://git.example:8443/ghe/a/b/issues/1", enterprise).as_deref(), Some("a/b#1"));
        assert_eq!(at("https://git.example:8443/a/b/issues/1", enterprise), None);
    }

    #[test]
    fn address_of_anything_else_is_no_issue() {
        for address in [
            "",
            "acme/api#7",
            "http://github.com/acme/api/issues/7",
            "https://github.example/acme/api/issues/7",
            "https://github.com:8443/acme/api/issues/7",
            "https://me@github.com/acme/api/issues/7",
            "https://github.com/acme/api/pull/7",
            "https://github.com/acme/api/issues",
            "https://github.com/acme/api/issues/new",
            "https://github.com/acme/api/issues/0",
            "https://github.com/acme/api/issues/07",
            "https://github.com/acme/api/issues/12345678901",
            "https://github.com/acme/api/issues/7/events",
            "https://github.com/acme/api/issues/7//",
            "https://github.com//api/issues/7",
            "https://github.com/acme/a%2Fb/issues/7",
            "javascript:alert(1)",
        ] {
            assert_eq!(at(address, "https://github.com"), None, "{address}");
        }
    }

    proptest! {
        #[test]
        fn page_of_an_issue_is_its_address(
            name in "[a-zA-Z]{1,39}/[a-z.]{1,99}x", number in 1_u64..10_000_000_000
        ) {
            for site in ["https://github.com", "https://git.example:8443/ghe/"] {
                let repository = RepositoryName::parse(&name).expect("a name");
                let page = IssueAddress::page(&web(site), &repository, IssueNumber(number));
                let address = IssueAddress { repository, number: IssueNumber(number) };
                prop_assert_eq!(IssueAddress::parse(&page, &web(site)), Some(address));
            }
        }

        #[test]
        fn no_text_is_a_panic(address in any::<String>()) {
            at(&address, "https://github.com");
        }
    }
}
