//! The issues that an agent works on, as its item keeps them.

use serde::{Deserialize, Serialize};

use super::{IssueNumber, RepositoryId, Verdict};

/// The most issues that are judged and kept.
pub const MAX_ACTIVE_ISSUES: usize = 12;

/// The longest text of an agent's active issues, in bytes: with it, the largest item of an agent is one write unit. Twelve
/// issues of today's GitHub fit: its ids have ten decimal digits, and its greatest issue numbers seven.
const MAX_TEXT: usize = 216;

/// An issue that an agent works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActiveIssue {
    /// Its repository.
    pub repository: RepositoryId,
    /// Its number there.
    pub number: IssueNumber,
}

/// The issues that an agent works on, in the order of their declaration, without duplicates. Each has the verdict of the
/// agent's last heartbeat, as far as it follows from the row alone.
///
/// As a text: `repository.number` in hexadecimal digits, followed by `!` for the verdict stop, or by `?` if the row
/// cannot be vouched for, separated by spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ActiveIssues(Vec<(ActiveIssue, Verdict)>);

impl ActiveIssues {
    /// Adds an issue with its verdict, if it is new and fits. Returns whether it is among them.
    pub fn add(&mut self, issue: ActiveIssue, verdict: Verdict) -> bool {
        if self.verdict(issue).is_some() {
            return true;
        }
        let length: usize = self.0.iter().map(|(kept, verdict)| text_of(*kept, *verdict).len() + 1).sum();
        let fits = self.0.len() < MAX_ACTIVE_ISSUES && length + text_of(issue, verdict).len() <= MAX_TEXT;
        if fits {
            self.0.push((issue, verdict));
        }
        fits
    }

    /// The verdict about this issue; `None` if it is not among them.
    pub fn verdict(&self, issue: ActiveIssue) -> Option<Verdict> {
        self.0.iter().find(|(kept, _)| *kept == issue).map(|(_, verdict)| *verdict)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The issues and their verdicts, in the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = (ActiveIssue, Verdict)> {
        self.0.iter().copied()
    }

    /// Those with the verdict stop.
    pub fn stopped(&self) -> impl Iterator<Item = ActiveIssue> {
        self.iter().filter(|(_, verdict)| *verdict == Verdict::Stop).map(|(issue, _)| issue)
    }

    /// Whether both have the same issues, in any order.
    pub fn has_same_as(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.iter().all(|(issue, _)| other.verdict(issue).is_some())
    }
}

fn text_of(ActiveIssue { repository, number }: ActiveIssue, verdict: Verdict) -> String {
    let mark = match verdict {
        Verdict::Go => "",
        Verdict::Check => "?",
        Verdict::Stop => "!",
    };
    format!("{:x}.{:x}{mark}", repository.0, number.0)
}

fn parsed(text: &str) -> Option<(ActiveIssue, Verdict)> {
    let (text, verdict) = match (text.strip_suffix('!'), text.strip_suffix('?')) {
        (Some(text), _) => (text, Verdict::Stop),
        (None, Some(text)) => (text, Verdict::Check),
        (None, None) => (text, Verdict::Go),
    };
    let (repository, number) = text.split_once('.')?;
    let parsed = |text: &str| u64::from_str_radix(text, 16).ok();
    let issue =
        ActiveIssue { repository: RepositoryId(parsed(repository)?), number: IssueNumber(parsed(number)?) };
    Some((issue, verdict))
}

impl TryFrom<String> for ActiveIssues {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let issues = text.split_ascii_whitespace().map(parsed);
        issues.collect::<Option<_>>().map(Self).ok_or("unexpected format of an agent's active issues")
    }
}

impl From<ActiveIssues> for String {
    fn from(issues: ActiveIssues) -> Self {
        issues.iter().map(|(issue, verdict)| text_of(issue, verdict)).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn issue(repository: u64, number: u64) -> ActiveIssue {
        ActiveIssue { repository: RepositoryId(repository), number: IssueNumber(number) }
    }

    fn verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![Just(Verdict::Go), Just(Verdict::Check), Just(Verdict::Stop)]
    }

    #[test]
    fn twelve_issues_are_kept_once_each() {
        let mut kept = ActiveIssues::default();
        for number in 1..=12 {
            assert!(kept.add(issue(1_299_999_999, 9_999_990 + number), Verdict::Stop));
        }
        assert!(kept.add(issue(1_299_999_999, 9_999_991), Verdict::Go), "it is there already");
        assert!(!kept.add(issue(1, 1), Verdict::Go));
        assert_eq!(kept.iter().count(), 12);
        assert_eq!(kept.stopped().count(), 12);
    }

    #[test]
    fn same_issues_are_the_same_in_any_order_and_with_any_verdict() {
        let of = |text: &str| ActiveIssues::try_from(text.to_owned()).expect("issues");
        assert!(of("a.1 a.2!").has_same_as(&of("a.2 a.1?")));
        assert!(!of("a.1 a.2").has_same_as(&of("a.1")));
        assert!(!of("a.1 a.2").has_same_as(&of("a.1 b.2")));
    }

    proptest! {
        #[test]
        fn kept_issues_survive_within_their_size(
            issues in prop::collection::vec((any::<u64>(), any::<u64>(), verdict()), 0..20)
        ) {
            let mut kept = ActiveIssues::default();
            for (repository, number, verdict) in issues {
                kept.add(issue(repository, number), verdict);
            }
            let text = String::from(kept.clone());
            prop_assert!(text.len() <= MAX_TEXT, "{}", text.len());
            prop_assert_eq!(ActiveIssues::try_from(text), Ok(kept));
        }
    }
}
