//! The body of a heartbeat: what an agent declares, within limits.
//!
//! A body is a merge patch of RFC 7396: an absent member changes nothing, null forgets, a value replaces. So a timer
//! without a body and a worker with one share the declaration of their agent.
//!
//! A member that is wrong does not cost the heartbeat. It counts as absent, and the agent learns its limit.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// How often a watched agent sends heartbeats, in seconds.
const INTERVAL: RangeInclusive<u64> = 30..=86_400;
/// How late a heartbeat may be, in seconds.
const GRACE: RangeInclusive<u64> = 0..=86_400;
/// After how long without progress an agent counts as stalled, in seconds.
const STALLED_AFTER: RangeInclusive<u64> = 60..=604_800;
/// The longest progress, in bytes.
const MAX_PROGRESS: usize = 80;
/// The longest login at GitHub, in characters.
const MAX_LOGIN: usize = 39;
/// The longest name of a client, in characters.
const MAX_CLIENT: usize = 40;
/// The most addresses of issues: each of them comes back in the answer.
const MAX_URLS: usize = 50;
/// The longest address of an issue, in bytes. The longest names at GitHub take 160.
const MAX_URL: usize = 300;
/// The most names of unknown members that an answer repeats.
const MAX_IGNORED: usize = 20;
/// The length, in characters, up to which an answer repeats the name of an unknown member.
const MAX_IGNORED_NAME: usize = 64;

/// What a body says about one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Member<T> {
    /// Nothing: the body has no such member, or a wrong one.
    #[default]
    Absent,
    /// To forget it.
    Null,
    /// What it is from now on.
    Value(T),
}

/// What the body of a heartbeat declares. Empty for a heartbeat without a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatBody {
    /// In how many seconds the agent sends its next heartbeat: 30 to 86,400.
    pub interval_seconds: Member<u64>,
    /// How many seconds late a heartbeat may be: 0 to 86,400.
    pub grace_seconds: Member<u64>,
    /// The addresses of the issues that the agent works on: at most 50, without duplicates.
    pub active_issue_urls: Member<Vec<String>>,
    /// What the agent does, in at most 80 bytes without control characters.
    pub progress: Member<String>,
    /// After how many seconds without progress the agent counts as stalled: 60 to 604,800.
    pub stalled_after_seconds: Member<u64>,
    /// The agent's login at GitHub: at most 39 characters.
    pub login: Member<String>,
    /// The program that sends the heartbeats: at most 40 characters of ASCII.
    pub client: Member<String>,
    /// Whether this is the agent's last heartbeat for now. It holds for this heartbeat alone.
    pub is_leaving: bool,
    /// The known members that are wrong. They count as absent.
    pub wrong: Vec<WrongMember>,
    /// The names of the unknown members, each at most 64 characters of it, at most 20 of them.
    pub ignored: Vec<String>,
}

/// A known member of a body that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer} {limit}; this heartbeat does not change it")]
pub struct WrongMember {
    /// The JSON pointer to it.
    pub pointer: String,
    /// What it must be.
    limit: String,
}

impl HeartbeatBody {
    /// Reads the members of a body.
    pub fn read(members: &Map<String, Value>) -> Self {
        let mut body = Self::default();
        for (name, value) in members {
            body.read_member(name, value);
        }
        body
    }

    fn read_member(&mut self, name: &str, value: &Value) {
        let wrong = &mut self.wrong;
        match name {
            "intervalSeconds" => self.interval_seconds = member(wrong, name, value, seconds(INTERVAL)),
            "graceSeconds" => self.grace_seconds = member(wrong, name, value, seconds(GRACE)),
            "activeIssueUrls" => self.active_issue_urls = member(wrong, name, value, urls),
            "progress" => self.progress = member(wrong, name, value, progress),
            "stalledAfterSeconds" => {
                self.stalled_after_seconds = member(wrong, name, value, seconds(STALLED_AFTER));
            }
            "login" => self.login = member(wrong, name, value, login),
            "client" => self.client = member(wrong, name, value, client),
            "leaving" => self.is_leaving = member(wrong, name, value, flag) == Member::Value(true),
            _ if self.ignored.len() < MAX_IGNORED => self.ignored.push(shortened(name)),
            _ => {}
        }
    }
}

/// What is wrong with a member: the rest of its JSON pointer, and its limit.
type Wrong = (String, String);

fn member<T>(
    wrong: &mut Vec<WrongMember>,
    name: &str,
    value: &Value,
    read: impl Fn(&Value) -> Result<T, Wrong>,
) -> Member<T> {
    if value.is_null() {
        return Member::Null;
    }
    match read(value) {
        Ok(value) => Member::Value(value),
        Err((rest, limit)) => {
            wrong.push(WrongMember { pointer: format!("/{name}{rest}"), limit });
            Member::Absent
        }
    }
}

fn seconds(range: RangeInclusive<u64>) -> impl Fn(&Value) -> Result<u64, Wrong> {
    move |value| {
        let limit = || format!("must be a whole number from {} to {}", range.start(), range.end());
        value.as_u64().filter(|seconds| range.contains(seconds)).ok_or_else(|| here(limit()))
    }
}

fn urls(value: &Value) -> Result<Vec<String>, Wrong> {
    let all = value.as_array().filter(|all| all.len() <= MAX_URLS);
    let all = all.ok_or_else(|| here(format!("must be a list of at most {MAX_URLS} addresses")))?;
    let mut urls: Vec<String> = Vec::new();
    for (place, url) in all.iter().enumerate() {
        let is_good = |url: &&str| url.len() <= MAX_URL && !url.chars().any(is_control);
        let limit = || format!("must be an address of at most {MAX_URL} bytes without control characters");
        let wrong = || (format!("/{place}"), limit());
        let url = url.as_str().filter(is_good);
        let url = url.ok_or_else(wrong)?;
        if urls.iter().all(|known| known != url) {
            urls.push(url.to_owned());
        }
    }
    Ok(urls)
}

fn progress(value: &Value) -> Result<String, Wrong> {
    let is_good = |text: &&str| text.len() <= MAX_PROGRESS && !text.chars().any(is_control);
    let limit = || format!("must be a text of at most {MAX_PROGRESS} bytes without control characters");
    value.as_str().filter(is_good).map(str::to_owned).ok_or_else(|| here(limit()))
}

fn login(value: &Value) -> Result<String, Wrong> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_[]".contains(&byte);
    let is_good = |text: &&str| !text.is_empty() && text.len() <= MAX_LOGIN && text.bytes().all(is_plain);
    let limit =
        || format!("must be a login at GitHub, 1 to {MAX_LOGIN} of the characters A-Z a-z 0-9 - _ [ ]");
    value.as_str().filter(is_good).map(str::to_owned).ok_or_else(|| here(limit()))
}

fn client(value: &Value) -> Result<String, Wrong> {
    let is_good = |text: &&str| {
        !text.is_empty() && text.len() <= MAX_CLIENT && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    };
    let limit = || format!("must be a text of 1 to {MAX_CLIENT} printable ASCII characters");
    value.as_str().filter(is_good).map(str::to_owned).ok_or_else(|| here(limit()))
}

fn flag(value: &Value) -> Result<bool, Wrong> {
    value.as_bool().ok_or_else(|| here("must be true or false".to_owned()))
}

fn here(limit: String) -> Wrong {
    (String::new(), limit)
}

/// Characters that end a line or change the order of the text around them, beside those that Unicode calls control
/// characters: line and paragraph separators, and the controls of the bidirectional algorithm
/// (<https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>).
fn is_control(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A name of the client's, fit for an answer: short and without control characters.
fn shortened(name: &str) -> String {
    let visible = |char: char| if is_control(char) { char::REPLACEMENT_CHARACTER } else { char };
    name.chars().take(MAX_IGNORED_NAME).map(visible).collect()
}

#[cfg(test)]
#[path = "heartbeat_body_tests.rs"]
mod tests;
