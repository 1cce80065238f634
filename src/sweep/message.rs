//! Every sentence of a message about agents, and its three forms: text for people, a notification for chat, and JSON for
//! programs.
//!
//! SNS delivers one published message in different forms by protocol (`MessageStructure` is `json`):
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-send-custom-platform-specific-payloads-mobile-devices.html>.
//!
//! | protocol | form |
//! | --- | --- |
//! | `sqs`, `lambda`, `http` | JSON (`docs/agents-message.schema.json`) |
//! | `https` | a custom notification, because Amazon Q Developer, which posts to Slack and Teams, subscribes with it |
//! | the others, such as `email` | text |

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::domain::{counted, iso_millis};

use super::news::{Down, Moving, News, Stalled, Up};

/// How many agents of each kind are named to people.
const NAMED: usize = 20;

/// How many active issues of each agent people see.
const ISSUES_SHOWN: usize = 2;

/// The longest description in chat, in bytes. With a longer one, fewer agents are named.
const MAX_DESCRIPTION: usize = 7_000;

/// How many agents of each kind the JSON lists. With more, a message could exceed SNS's 256 KiB.
const LISTED: usize = 50;

/// With fewer agents, silence is not the fleet's.
const FEWEST_OF_A_FLEET: usize = 3;

/// The version of the JSON.
const SCHEMA_VERSION: u64 = 1;

/// A message as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rendered {
    /// For e-mails: below 100 ASCII characters, as SNS requires.
    pub(super) subject: String,
    /// All forms, by protocol.
    pub(super) body: String,
}

/// The JSON for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    schema_version: u64,
    event_id: Uuid,
    at: String,
    headline: &'a str,
    down: &'a [Down],
    up: &'a [Up],
    stalled: &'a [Stalled],
    moving: &'a [Moving],
    /// How many agents of each kind are not listed.
    more: More,
    watched: u64,
}

#[derive(Serialize)]
struct More {
    down: usize,
    up: usize,
    stalled: usize,
    moving: usize,
}

/// Renders a message. A message that is published twice has the same id and the same time.
pub(super) fn render(news: &News, id: Uuid) -> Rendered {
    let headline = headline(news);
    let event = event(news, id, &headline).to_string();
    let notification = notification(news, id, &headline).to_string();
    let body = json!({
        "default": text(news, id, &headline),
        "sqs": event,
        "lambda": event,
        "http": event,
        "https": notification,
    });
    Rendered { subject: headline, body: body.to_string() }
}

/// The first line: what happened, in one sentence.
fn headline(news: &News) -> String {
    let names = [
        (news.down.first().map(|one| &one.agent), news.down.len(), "is down"),
        (news.up.first().map(|one| &one.agent), news.up.len(), "is back"),
        (news.stalled.first().map(|one| &one.agent), news.stalled.len(), "is stalled"),
        (news.moving.first().map(|one| &one.agent), news.moving.len(), "is moving again"),
    ];
    let mut changed = names.into_iter().filter(|(_, agents, _)| *agents > 0);
    if let (Some((Some(agent), 1, is)), None) = (changed.next(), changed.next()) {
        return format!("Agent {agent} {is}");
    }
    let number = |agents: usize| u64::try_from(agents).unwrap_or(u64::MAX);
    let parts: Vec<String> = names
        .iter()
        .filter(|(_, agents, _)| *agents > 0)
        .enumerate()
        .map(|(n, (_, agents, is))| {
            let is = if *agents == 1 { (*is).to_owned() } else { is.replacen("is", "are", 1) };
            match n {
                0 => format!("{} {is}", counted(number(*agents), "agent", "agents")),
                _ => format!("{agents} {is}"),
            }
        })
        .collect();
    parts.join(", ")
}

/// What the silent agents have in common.
fn cause(news: &News) -> Vec<String> {
    let most = news.down.len() >= FEWEST_OF_A_FLEET && news.all_down.saturating_mul(2) >= news.watched;
    let most = most.then(|| {
        format!(
            "Most of the fleet is silent: look for one cause. {} of {} watched agents are down.",
            news.all_down, news.watched
        )
    });
    let token = news.invalid_token.as_ref().map(|token| match news.down.len() {
        1 => format!(
            "Its token (fingerprint {}) is no longer valid: it is expired, or not in the secret any more.",
            token.as_str()
        ),
        _ => format!(
            "All of them use one token (fingerprint {}) that is no longer valid: it is expired, or not in the \
             secret any more.",
            token.as_str()
        ),
    });
    most.into_iter().chain(token).collect()
}

/// A line for each agent of a kind, under its title. The first `named` agents have one.
fn list<T>(title: &str, agents: &[T], named: usize, line: impl Fn(&T) -> String) -> Option<String> {
    if agents.is_empty() {
        return None;
    }
    let mut text = format!("{title}:");
    for agent in agents.iter().take(named) {
        let _ = write!(text, "\n- {}", line(agent));
    }
    if agents.len() > named {
        let _ = write!(text, "\n- and {} more", agents.len() - named);
    }
    Some(text)
}

/// The paragraphs after the first line. The first `named` agents of each kind are named; `name` renders a name.
fn paragraphs(news: &News, named: usize, name: impl Fn(&str) -> String) -> Vec<String> {
    let down = |one: &Down| {
        let missed = counted(one.missed_beats, "heartbeat", "heartbeats");
        let mut line = format!(
            "{}: last heartbeat {}, {missed} missed; it promised one every {}",
            name(&one.agent),
            minute(one.since),
            duration(one.interval_seconds)
        );
        let shown = &one.active_issue_urls[..one.active_issue_urls.len().min(ISSUES_SHOWN)];
        if !shown.is_empty() {
            let _ = write!(line, "; works on {}", shown.join(" "));
        }
        if shown.len() < one.active_issue_urls.len() {
            let _ = write!(line, " and {} more", one.active_issue_urls.len() - shown.len());
        }
        line
    };
    let up = |one: &Up| {
        format!(
            "{}: heartbeat {}, after a silence since {}",
            name(&one.agent),
            minute(one.since),
            minute(one.down_since)
        )
    };
    let stalled = |one: &Stalled| {
        format!(
            "{}: no progress since {}; its limit is {}",
            name(&one.agent),
            minute(one.progress_at),
            duration(one.stalled_after_seconds)
        )
    };
    let lists = [
        list("Down", &news.down, named, down),
        list("Back", &news.up, named, up),
        list("Stalled", &news.stalled, named, stalled),
        list("Moving again", &news.moving, named, |one| name(&one.agent)),
    ];
    cause(news).into_iter().chain(lists.into_iter().flatten()).collect()
}

/// Where to read on; nothing if the API's address is not known.
fn next_steps(news: &News) -> Vec<String> {
    let query = match (news.down.is_empty(), news.stalled.is_empty()) {
        (false, _) => "state=down",
        (true, false) => "work=stalled",
        (true, true) => return Vec::new(),
    };
    news.api.iter().map(|api| format!("See all of them: GET {api}/api/agents?{query}")).collect()
}

fn text(news: &News, id: Uuid, headline: &str) -> String {
    let mut parts = vec![format!("{headline}.")];
    parts.extend(paragraphs(news, NAMED, str::to_owned));
    parts.extend(next_steps(news));
    parts.push(format!("Message {id}. The same id twice is the same message."));
    parts.join("\n\n")
}

/// The JSON for programs.
fn event(news: &News, id: Uuid, headline: &str) -> Value {
    let event = Event {
        schema_version: SCHEMA_VERSION,
        event_id: id,
        at: iso_millis(created(id)),
        headline,
        down: listed(&news.down),
        up: listed(&news.up),
        stalled: listed(&news.stalled),
        moving: listed(&news.moving),
        more: More {
            down: news.down.len().saturating_sub(LISTED),
            up: news.up.len().saturating_sub(LISTED),
            stalled: news.stalled.len().saturating_sub(LISTED),
            moving: news.moving.len().saturating_sub(LISTED),
        },
        watched: news.watched,
    };
    serde_json::to_value(event).expect("an event consists of texts, numbers and lists")
}

/// The custom notification of Amazon Q Developer in chat applications:
/// <https://docs.aws.amazon.com/chatbot/latest/adminguide/custom-notifs.html>. Names are in backticks, so that Slack and
/// Teams show an underscore in them.
fn notification(news: &News, id: Uuid, headline: &str) -> Value {
    let describe = |named| paragraphs(news, named, |name| format!("`{name}`")).join("\n\n");
    let mut named = NAMED;
    let mut description = describe(named);
    while description.len() > MAX_DESCRIPTION && named > 1 {
        named /= 2;
        description = describe(named);
    }
    json!({
        "version": "1.0",
        "source": "custom",
        "id": id,
        "content": {
            "textType": "client-markdown",
            "title": headline,
            "description": description,
            "nextSteps": next_steps(news),
            "keywords": ["agent-heartbeat"],
        },
        "metadata": {
            "threadId": id,
            "summary": headline,
            "eventType": "agents",
            // Texts only: a custom action can use them.
            "additionalContext": {
                "down": news.down.len().to_string(),
                "up": news.up.len().to_string(),
                "stalled": news.stalled.len().to_string(),
                "moving": news.moving.len().to_string(),
                "watched": news.watched.to_string(),
            },
        },
    })
}

fn listed<T>(agents: &[T]) -> &[T] {
    &agents[..agents.len().min(LISTED)]
}

/// When the message with this id was made.
fn created(id: Uuid) -> Timestamp {
    let seconds = id.get_timestamp().map(|at| at.to_unix());
    let at = seconds.and_then(|(seconds, nanoseconds)| {
        Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
    });
    at.unwrap_or_default()
}

/// `2026-11-22 06:05 UTC`
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// `5 min`, `90 s`, `2 h`
fn duration(seconds: u64) -> String {
    match seconds {
        _ if seconds >= 3_600 && seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        _ if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
