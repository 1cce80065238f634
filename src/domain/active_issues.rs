//! The issues that an agent says it works on.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{IssueNumber, RepositoryName};

/// The most issues that are kept of a declaration.
const MAX_ACTIVE_ISSUES: usize = 12;

/// The longest text of an agent's active issues, in bytes: with it, the largest item of an agent is one write unit.
const MAX_TEXT: usize = 192;

/// An issue, by the name of its repository and its number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActiveIssue {
    /// The name of its repository, as declared.
    pub repository: RepositoryName,
    /// Its number.
    pub number: IssueNumber,
}

/// The issues that an agent works on, in the order of their declaration, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActiveIssues(Vec<ActiveIssue>);

impl ActiveIssue {
    /// The issue whose page has this address on the web site `web`; `None` if it is no issue's page there. Host, owner
    /// and repository may be in any case. A query and a fragment are ignored: they name a place on the page.
    pub fn at(address: &str, web: &Url) -> Option<Self> {
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

    /// Reads `owner/name#number`.
    fn from_text(text: &str) -> Option<Self> {
        let (repository, number) = text.split_once('#')?;
        Some(Self { repository: RepositoryName::parse(repository).ok()?, number: parsed_number(number)? })
    }
}

/// An issue's number: at most ten digits, which do not start with a zero.
fn parsed_number(text: &str) -> Option<IssueNumber> {
    let is_number = text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| is_number && !text.starts_with('0'))?;
    Some(IssueNumber(number))
}

impl ActiveIssues {
    /// The first 12 of these issues, as far as they fit into 192 bytes. Names of the usual length fit.
    pub fn of(issues: impl IntoIterator<Item = ActiveIssue>) -> Self {
        let (mut kept, mut seen, mut length) = (Vec::new(), BTreeSet::new(), 0);
        for issue in issues {
            let more = issue.to_string().len() + 1;
            let is_new = seen.insert((issue.repository.key(), issue.number));
            if is_new && kept.len() < MAX_ACTIVE_ISSUES && length + more <= MAX_TEXT + 1 {
                length += more;
                kept.push(issue);
            }
        }
        Self(kept)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The issues, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = &ActiveIssue> {
        self.0.iter()
    }

    /// Whether both have the same issues, in any order.
    pub fn has_same_as(&self, other: &Self) -> bool {
        let keys = |of: &Self| -> BTreeSet<_> {
            of.0.iter().map(|issue| (issue.repository.key(), issue.number)).collect()
        };
        keys(self) == keys(other)
    }
}

impl fmt::Display for ActiveIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repository, self.number)
    }
}

impl TryFrom<String> for ActiveIssues {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let issues = text.split_ascii_whitespace().map(ActiveIssue::from_text);
        issues.collect::<Option<_>>().map(Self).ok_or("unexpected format of an agent's active issues")
    }
}

impl From<ActiveIssues> for String {
    fn from(issues: ActiveIssues) -> Self {
        issues.0.iter().map(ActiveIssue::to_string).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(address: &str, web: &str) -> Option<String> {
        ActiveIssue::at(address, &Url::parse(web).expect("a URL")).map(|issue| issue.to_string())
    }

    fn issue(text: &str) -> ActiveIssue {
        ActiveIssue::from_text(text).expect("an issue")
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

    #[test]
    fn twelve_issues_are_kept_once_each_as_far_as_they_fit() {
        let kept = ActiveIssues::of((0..20).map(|n| issue(&format!("acme/api#{}", 1 + n / 2))));
        assert_eq!(kept.iter().count(), 10);
        let kept = ActiveIssues::of((1..20).map(|n| issue(&format!("acme/api#{n}"))));
        assert_eq!(kept.iter().count(), 12);
        let long = issue(&format!("{}/{}#1234567890", "o".repeat(39), "n".repeat(100)));
        let kept =
            ActiveIssues::of([long.clone(), issue("Long/Too#1"), long, issue("a/b#2"), issue("long/too#1")]);
        assert_eq!(kept.iter().map(|issue| issue.number.0).collect::<Vec<_>>(), [1_234_567_890, 1, 2]);
    }

    proptest! {
        #[test]
        fn any_address_is_an_issue_that_survives_or_none(address in any::<String>()) {
            prop_assert!(at(&address, "https://github.com").is_none_or(|text| ActiveIssue::from_text(&text).is_some()));
        }

        #[test]
        fn kept_issues_survive_within_their_size(
            texts in prop::collection::vec("[a-zA-Z]{1,39}/[a-z.]{1,99}x#[1-9][0-9]{0,9}", 0..20)
        ) {
            let issues = ActiveIssues::of(texts.iter().map(|text| issue(text)));
            let text = String::from(issues.clone());
            prop_assert!(text.len() <= 192, "{}", text.len());
            prop_assert_eq!(ActiveIssues::try_from(text), Ok(issues));
        }
    }
}
