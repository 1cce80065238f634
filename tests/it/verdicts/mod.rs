//! The verdicts about the issues that agents work on.

pub mod costs;
pub mod holds;
pub mod reasons;

use serde_json::{Value, json};

use crate::support::app::{Agent, Answer, TestApp};

/// The page of an issue.
pub fn page(issue: &str) -> String {
    let (repository, number) = issue.split_once('#').expect("a repository and a number");
    format!("https://github.com/{repository}/issues/{number}")
}

/// Alpha, which declares that it works on these issues.
pub fn working_on<'a>(app: &'a TestApp, issues: &[&str]) -> Agent<'a> {
    let urls: Vec<String> = issues.iter().map(|issue| page(issue)).collect();
    app.agent("alpha").with_body(&json!({ "activeIssueUrls": urls }).to_string())
}

/// The verdict and the reason of each declared issue.
pub fn verdicts(answer: &Answer) -> Vec<String> {
    let issues = answer.0["activeIssues"].as_array().expect("a list").iter();
    let word = |value: &Value| value.as_str().expect("a word").to_owned();
    issues.map(|issue| format!("{} {}", word(&issue["verdict"]), word(&issue["reason"]))).collect()
}
