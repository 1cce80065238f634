//! Parses a page of a listing while it arrives. Each record is parsed, and its body digested and dropped, before the
//! next.
//!
//! A record that cannot be parsed does not affect the others. Its number is returned, so that it can be requested
//! alone.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::{Issue, IssueNumber};

use super::split::{Element, MAX_ELEMENT, NotSplit, Splitter};
use super::web::Web;
use super::wire::Entry;
use super::{GitHubError, foreign, unicode};

/// The most that is kept of one issue, in bytes: its title, labels and so on. GitHub's own limits allow a quarter of
/// it.
const MAX_KEPT_OF_ISSUE: usize = 64 * 1024;

/// The most that is kept of a page, in bytes. If a page has more, shorter ones are requested.
pub(super) const MAX_KEPT: usize = 1024 * 1024;

/// GitHub's longest page, in records.
const MAX_RECORDS: usize = 100;

/// The most memory that a page takes while it is read, in bytes.
pub(super) const MAX_MEMORY: usize = MAX_ELEMENT + MAX_KEPT;

/// The records of a page.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) issues: Vec<Issue>,
    /// The pull requests among them, with their `updated_at`.
    pub(super) pull_requests: Vec<(IssueNumber, Timestamp)>,
    /// The issues that cannot be parsed.
    pub(super) odd: Vec<OddRecord>,
    /// Each `updated_at`, those of pull requests and odd records included.
    updates: Vec<Timestamp>,
    /// How many records there were.
    all: usize,
    /// How many of them have a number that can be read.
    numbered: usize,
    /// The bytes that are kept.
    pub(super) kept: usize,
}

/// An issue that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OddRecord {
    /// Its number, if that can be read.
    pub number: Option<IssueNumber>,
    /// When it was last updated, if that can be read.
    pub updated_at: Option<Timestamp>,
    /// The digest of the issue after its text was converted to Unicode. `None` if it cannot be parsed then either.
    pub digest: Option<String>,
}

/// Why a page was not read to its end.
#[derive(Debug)]
pub(super) enum Unread {
    /// It has more than may be kept.
    TooLarge,
    /// It is not from GitHub's API, or not understood.
    NotUnderstood(GitHubError),
}

/// A page that is arriving.
#[derive(Debug)]
pub(super) struct PageReader<'w> {
    web: &'w Web,
    splitter: Splitter,
    records: Records,
}

impl<'w> PageReader<'w> {
    pub(super) fn new(web: &'w Web) -> Self {
        Self { web, splitter: Splitter::new(), records: Records::default() }
    }

    /// Parses the bytes that arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Unread> {
        let (web, records, mut failure) = (self.web, &mut self.records, None);
        self.splitter.push(bytes, |element| {
            if failure.is_none() && records.all <= MAX_RECORDS {
                failure = records.add(element, web).err();
            }
        })?;
        match failure {
            Some(error) => Err(Unread::NotUnderstood(error)),
            None if self.records.kept > MAX_KEPT || self.records.all > MAX_RECORDS => Err(Unread::TooLarge),
            None => Ok(()),
        }
    }

    /// The page, after its end.
    pub(super) fn end(self) -> Result<Records, Unread> {
        self.splitter.end()?;
        match self.records {
            // Without a single number, these may not be issues at all.
            Records { all: 1.., numbered: 0, .. } => {
                Err(Unread::NotUnderstood(GitHubError::Unexpected("unexpected JSON structure".to_owned())))
            }
            records => Ok(records),
        }
    }
}

impl From<NotSplit> for Unread {
    fn from(NotSplit { is_json, is_at_start, line, column }: NotSplit) -> Self {
        let what = if is_json { "unexpected JSON structure" } else { "not JSON" };
        let what = format!("{what} (line {line}, column {column})");
        let is_foreign = is_at_start && !is_json;
        Self::NotUnderstood(GitHubError::Unexpected(if is_foreign {
            foreign::with_hint(&what)
        } else {
            what
        }))
    }
}

impl Records {
    /// The newest `updated_at`, pull requests and odd records included.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.updates.iter().copied().max()
    }

    /// The newest one that is not after this instant.
    pub(super) fn newest_by(&self, date: Timestamp) -> Option<Timestamp> {
        self.updates.iter().copied().filter(|at| *at <= date).max()
    }

    /// Whether there was no record.
    pub(super) fn is_empty(&self) -> bool {
        self.all == 0
    }

    fn add(&mut self, element: Element<'_>, web: &Web) -> Result<(), GitHubError> {
        self.all += 1;
        let Element { json, is_cut } = element;
        let entry = serde_json::from_slice::<Entry<'_>>(json).ok().filter(|_| !is_cut);
        let Some(entry) = entry else {
            self.add_odd(json, is_cut, web);
            return Ok(());
        };
        let (number, updated_at) = (entry.number(), entry.updated_at);
        let issue = entry.into_issue(web)?;
        self.updates.push(updated_at);
        self.numbered += 1;
        match issue {
            Some(issue) if kept_of(&issue) > MAX_KEPT_OF_ISSUE => {
                self.keep_odd(OddRecord {
                    number: Some(issue.number),
                    updated_at: Some(updated_at),
                    digest: None,
                });
            }
            Some(issue) => {
                self.kept += kept_of(&issue);
                self.issues.push(issue);
            }
            None => self.pull_requests.push((number, updated_at)),
        }
        Ok(())
    }

    fn add_odd(&mut self, json: &mut [u8], is_cut: bool, web: &Web) {
        unicode::mend(json);
        let outline = Outline::of(json);
        let number = outline.number.or(outline.number_in_address);
        self.updates.extend(outline.updated_at);
        self.numbered += usize::from(number.is_some());
        if outline.is_pull_request {
            return;
        }
        let mended = serde_json::from_slice::<Entry<'_>>(json).ok().filter(|_| !is_cut);
        let mended = mended.and_then(|entry| entry.into_issue(web).ok().flatten());
        self.keep_odd(OddRecord {
            number: number.map(IssueNumber),
            updated_at: outline.updated_at,
            digest: mended.map(|issue| issue.digest),
        });
    }

    fn keep_odd(&mut self, odd: OddRecord) {
        self.kept += size_of::<OddRecord>() + odd.digest.as_ref().map_or(0, String::len);
        self.odd.push(odd);
    }
}

/// The bytes that an issue takes.
fn kept_of(issue: &Issue) -> usize {
    let texts = issue.labels.iter().chain(&issue.assignees).chain([&issue.title, &issue.url, &issue.digest]);
    let texts = texts.chain(&issue.author).chain(&issue.state_reason);
    size_of::<Issue>() + texts.map(|text| size_of::<String>() + text.len()).sum::<usize>()
}

/// The readable fields of a record that cannot be parsed as a whole.
#[derive(Default)]
struct Outline {
    number: Option<u64>,
    /// The number at the end of the issue's address in the API.
    number_in_address: Option<u64>,
    updated_at: Option<Timestamp>,
    is_pull_request: bool,
}

impl Outline {
    fn of(json: &[u8]) -> Self {
        let mut outline = Self::default();
        // The fields before an error count.
        let _ = serde_json::Deserializer::from_slice(json).deserialize_map(Fields(&mut outline));
        outline
    }
}

struct Fields<'o>(&'o mut Outline);

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an issue")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(field) = fields.next_key::<Cow<'_, str>>()? {
            let value = fields.next_value::<&RawValue>()?.get();
            match &*field {
                "number" => self.0.number = serde_json::from_str(value).ok(),
                "updated_at" => self.0.updated_at = serde_json::from_str(value).ok(),
                "pull_request" => self.0.is_pull_request = value != "null",
                "url" => {
                    let address = value.trim_matches('"').rsplit_once("/issues/");
                    self.0.number_in_address = address.and_then(|(_, number)| number.parse().ok());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn issue(number: u64) -> serde_json::Value {
        json!({
            "number": number, "title": "A title", "body": "A body", "state": "open", "labels": [], "user": null,
            "html_url": format!("https://github.com/acme/api/issues/{number}"),
            "url": format!("https://api.github.com/repos/acme/api/issues/{number}"),
            "created_at": "2026-11-22T06:00:00Z", "updated_at": "2026-11-22T06:00:00Z",
        })
    }

    fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Result<Records, Unread> {
        let web = Web::new(&"https://github.com".parse().unwrap());
        let mut page = PageReader::new(&web);
        for piece in pieces {
            page.push(&piece)?;
            assert!(page.records.kept <= MAX_KEPT);
        }
        page.end()
    }

    fn in_pieces(text: String) -> impl Iterator<Item = Vec<u8>> {
        text.into_bytes().chunks(32 * 1024).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn page_without_end_is_given_up_before_it_takes_more_than_its_room() {
        let whole = issue(1).to_string();
        for record in [&whole, r#"{"number":1}"#, r#"{"number":1,"body":"\ud83d"}"#] {
            let piece = format!("{record},").repeat(32 * 1024 / record.len()).into_bytes();
            let endless = std::iter::once(b"[".to_vec()).chain(std::iter::repeat(piece));
            assert!(matches!(read(endless), Err(Unread::TooLarge)), "{record}");
        }
    }

    #[test]
    fn page_of_the_largest_issues_keeps_little_of_each() {
        let body = "\u{1}".repeat(262_144);
        let issues: Vec<_> = (1..=10)
            .map(|number| {
                let mut issue = issue(number);
                issue["body"] = body.clone().into();
                issue
            })
            .collect();
        let records = read(in_pieces(serde_json::to_string(&issues).unwrap())).unwrap();
        assert_eq!((records.issues.len(), records.odd.len()), (10, 0));
        assert!(records.kept < 10 * 1024, "{}", records.kept);
        let issue = &records.issues[0];
        assert_eq!(issue.digest, issue.digest_with(&body));
    }

    #[test]
    fn record_that_cannot_be_read_is_known_by_its_number_or_its_address() {
        let odd = |change: fn(&mut serde_json::Value)| {
            let mut record = issue(7);
            change(&mut record);
            let records = read(in_pieces(json!([issue(6), record]).to_string())).unwrap();
            assert_eq!(records.issues.len(), 1);
            records.odd.into_iter().next().and_then(|odd| odd.number)
        };
        assert_eq!(odd(|record| record["state"] = "archived".into()), Some(IssueNumber(7)));
        assert_eq!(odd(|record| record["title"] = json!(null)), Some(IssueNumber(7)));
        assert_eq!(odd(|record| record["title"] = "long".repeat(20_000).into()), Some(IssueNumber(7)));
        assert_eq!(odd(|record| record["body"] = "long".repeat(500_000).into()), Some(IssueNumber(7)));
        assert_eq!(odd(|record| record["number"] = json!(-1)), Some(IssueNumber(7)));
        assert_eq!(odd(|record| record["number"] = json!(1e300)), Some(IssueNumber(7)));
        assert_eq!(
            odd(|record| drop(record.as_object_mut().unwrap().remove("number"))),
            Some(IssueNumber(7))
        );
        let without_any = |record: &mut serde_json::Value| {
            record["number"] = json!("seven");
            record["url"] = json!(null);
        };
        assert_eq!(odd(without_any), None);
    }

    #[test]
    fn page_of_which_no_record_has_a_number_is_not_understood() {
        let page = json!([{"message": "x"}, {"message": "y"}]).to_string();
        assert!(matches!(read(in_pieces(page)), Err(Unread::NotUnderstood(_))));
    }
}
