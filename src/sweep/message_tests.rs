//! Every sentence of a message, and its forms.

use super::*;
use crate::domain::Fingerprint;

const ID: &str = "01a201db-9ee0-7000-8000-000000000001";

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn id() -> Uuid {
    ID.parse().expect("an id")
}

fn down(agent: &str) -> Down {
    Down {
        agent: agent.to_owned(),
        since: at("2026-11-22T05:41:00Z"),
        down_at: at("2026-11-22T05:51:00Z"),
        interval_seconds: 300,
        grace_seconds: 300,
        missed_beats: 3,
        active_issue_urls: Vec::new(),
    }
}

fn up(agent: &str) -> Up {
    Up { agent: agent.to_owned(), since: at("2026-11-22T06:10:00Z"), down_since: at("2026-11-22T05:41:00Z") }
}

fn stalled(agent: &str) -> Stalled {
    Stalled { agent: agent.to_owned(), progress_at: at("2026-11-22T04:00:00Z"), stalled_after_seconds: 5_400 }
}

fn moving(agent: &str) -> Moving {
    Moving { agent: agent.to_owned() }
}

fn many<T>(agents: usize, one: impl Fn(&str) -> T) -> Vec<T> {
    (0..agents).map(|n| one(&format!("agent-{n:03}"))).collect()
}

fn news() -> News {
    News { watched: 500, ..News::default() }
}

fn form(news: &News, protocol: &str) -> String {
    let body: Value = serde_json::from_str(&render(news, id()).body).expect("JSON");
    body[protocol].as_str().expect("a text").to_owned()
}

/// The largest message: everything at once, with the longest names.
fn largest() -> News {
    let name = |agent: &str| format!("{agent:x<64}");
    let url = format!("https://github.example.com/{}/{}/issues/999999999", "o".repeat(39), "r".repeat(100));
    let down = |agent: &str| Down { active_issue_urls: vec![url.clone(); 12], ..down(&name(agent)) };
    let mut downs = many(250, down);
    downs.iter_mut().skip(10).for_each(|one| one.active_issue_urls.clear());
    News {
        down: downs,
        up: many(250, |agent| up(&name(agent))),
        stalled: many(250, |agent| stalled(&name(agent))),
        moving: many(250, |agent| moving(&name(agent))),
        ..news()
    }
}

#[test]
fn every_headline_is_a_sentence() {
    let one = |change: fn(&mut News)| {
        let mut news = news();
        change(&mut news);
        headline(&news)
    };
    let headlines = [
        one(|news| news.down = vec![down("alpha")]),
        one(|news| news.up = vec![up("alpha")]),
        one(|news| news.stalled = vec![stalled("alpha")]),
        one(|news| news.moving = vec![moving("alpha")]),
        one(|news| news.down = many(2, down)),
        one(|news| news.up = many(2, up)),
        one(|news| {
            news.down = many(1, down);
            news.up = many(2, up);
            news.stalled = many(3, stalled);
            news.moving = many(1, moving);
        }),
    ];
    insta::assert_snapshot!(headlines.join("\n"), @"
    Agent alpha is down
    Agent alpha is back
    Agent alpha is stalled
    Agent alpha is moving again
    2 agents are down
    2 agents are back
    1 agent is down, 2 are back, 3 are stalled, 1 is moving again
    ");
}

#[test]
fn texts_read_well_on_a_phone() {
    let issue = "https://github.com/acme/api/issues/7".to_owned();
    let working = Down { active_issue_urls: vec![issue; 4], missed_beats: 1, ..down("alpha") };
    let api = Some("https://api.example.com".to_owned());
    let token = Some(Fingerprint::of("a-token"));
    let texts = [
        News { down: vec![working], api: api.clone(), ..news() },
        News { down: vec![down("alpha")], invalid_token: token.clone(), ..news() },
        News {
            down: many(2, down),
            up: vec![up("beta")],
            stalled: vec![stalled("gamma")],
            moving: vec![moving("delta")],
            ..news()
        },
        News { down: many(23, down), all_down: 480, invalid_token: token, ..news() },
        News { stalled: vec![stalled("gamma")], api, ..news() },
    ];
    let texts = texts.map(|news| form(&news, "default"));
    insta::assert_snapshot!(texts.join("\n\n=====\n\n"), @"
    Agent alpha is down.

    Down:
    - alpha: last heartbeat 2026-11-22 05:41 UTC, 1 heartbeat missed; it promised one every 5 min; works on https://github.com/acme/api/issues/7 https://github.com/acme/api/issues/7 and 2 more

    See all of them: GET https://api.example.com/api/agents?state=down

    Message 01a201db-9ee0-7000-8000-000000000001. The same id twice is the same message.

    =====

    Agent alpha is down.

    Its token (fingerprint 1f6076e3a47ba1de) is no longer valid: it is expired, or not in the secret any more.

    Down:
    - alpha: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min

    Message 01a201db-9ee0-7000-8000-000000000001. The same id twice is the same message.

    =====

    2 agents are down, 1 is back, 1 is stalled, 1 is moving again.

    Down:
    - agent-000: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-001: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min

    Back:
    - beta: heartbeat 2026-11-22 06:10 UTC, after a silence since 2026-11-22 05:41 UTC

    Stalled:
    - gamma: no progress since 2026-11-22 04:00 UTC; its limit is 90 min

    Moving again:
    - delta

    Message 01a201db-9ee0-7000-8000-000000000001. The same id twice is the same message.

    =====

    23 agents are down.

    Most of the fleet is silent: look for one cause. 480 of 500 watched agents are down.

    All of them use one token (fingerprint 1f6076e3a47ba1de) that is no longer valid: it is expired, or not in the secret any more.

    Down:
    - agent-000: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-001: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-002: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-003: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-004: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-005: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-006: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-007: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-008: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-009: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-010: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-011: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-012: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-013: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-014: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-015: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-016: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-017: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-018: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - agent-019: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min
    - and 3 more

    Message 01a201db-9ee0-7000-8000-000000000001. The same id twice is the same message.

    =====

    Agent gamma is stalled.

    Stalled:
    - gamma: no progress since 2026-11-22 04:00 UTC; its limit is 90 min

    See all of them: GET https://api.example.com/api/agents?work=stalled

    Message 01a201db-9ee0-7000-8000-000000000001. The same id twice is the same message.
    ");
}

#[test]
fn json_for_programs_lists_the_facts() {
    let issue = "https://github.com/acme/api/issues/7".to_owned();
    let news = News {
        down: vec![Down { active_issue_urls: vec![issue], ..down("alpha") }],
        up: vec![up("beta")],
        stalled: vec![stalled("gamma")],
        moving: vec![moving("delta")],
        ..news()
    };
    let event: Value = serde_json::from_str(&form(&news, "sqs")).expect("JSON");
    insta::assert_json_snapshot!(event, @r#"
    {
      "at": "2026-11-22T06:05:00.000Z",
      "down": [
        {
          "activeIssueUrls": [
            "https://github.com/acme/api/issues/7"
          ],
          "agent": "alpha",
          "downAt": "2026-11-22T05:51:00.000Z",
          "graceSeconds": 300,
          "intervalSeconds": 300,
          "missedBeats": 3,
          "since": "2026-11-22T05:41:00.000Z"
        }
      ],
      "eventId": "01a201db-9ee0-7000-8000-000000000001",
      "headline": "1 agent is down, 1 is back, 1 is stalled, 1 is moving again",
      "more": {
        "down": 0,
        "moving": 0,
        "stalled": 0,
        "up": 0
      },
      "moving": [
        {
          "agent": "delta"
        }
      ],
      "schemaVersion": 1,
      "stalled": [
        {
          "agent": "gamma",
          "progressAt": "2026-11-22T04:00:00.000Z",
          "stalledAfterSeconds": 5400
        }
      ],
      "up": [
        {
          "agent": "beta",
          "downSince": "2026-11-22T05:41:00.000Z",
          "since": "2026-11-22T06:10:00.000Z"
        }
      ],
      "watched": 500
    }
    "#);
}

#[test]
fn chat_gets_a_custom_notification() {
    let news = News { down: vec![down("a_b")], api: Some("https://api.example.com".to_owned()), ..news() };
    let notification: Value = serde_json::from_str(&form(&news, "https")).expect("JSON");
    insta::assert_json_snapshot!(notification, @r#"
    {
      "content": {
        "description": "Down:\n- `a_b`: last heartbeat 2026-11-22 05:41 UTC, 3 heartbeats missed; it promised one every 5 min",
        "keywords": [
          "agent-heartbeat"
        ],
        "nextSteps": [
          "See all of them: GET https://api.example.com/api/agents?state=down"
        ],
        "textType": "client-markdown",
        "title": "Agent a_b is down"
      },
      "id": "01a201db-9ee0-7000-8000-000000000001",
      "metadata": {
        "additionalContext": {
          "down": "1",
          "moving": "0",
          "stalled": "0",
          "up": "0",
          "watched": "500"
        },
        "eventType": "agents",
        "summary": "Agent a_b is down",
        "threadId": "01a201db-9ee0-7000-8000-000000000001"
      },
      "source": "custom",
      "version": "1.0"
    }
    "#);
}

#[test]
fn largest_message_fits_into_sns_and_chat() {
    let message = render(&largest(), id());
    assert!(message.subject.len() < 100 && message.subject.is_ascii(), "{}", message.subject);
    assert!(message.body.len() <= 262_144, "{}", message.body.len());
    let notification: Value = serde_json::from_str(&form(&largest(), "https")).expect("JSON");
    let description = notification["content"]["description"].as_str().expect("a text");
    assert!(description.len() <= 8_000, "{}", description.len());
    let longest = News { down: vec![down(&"x".repeat(64))], ..news() };
    assert!(headline(&longest).len() < 100);
}
