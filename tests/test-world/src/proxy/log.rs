//! The log of a service's requests: how each ended and what it cost.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use super::Answer;

/// One request and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// AWS's name of the operation; method and path if the request names none.
    pub operation: String,
    /// The request's JSON as it was sent, or an object of a form's fields; null if it is neither.
    pub request: Value,
    /// How it ended.
    pub outcome: Outcome,
    /// What AWS bills for it. Only DynamoDB bills in these units.
    pub capacity: Capacity,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not ended.
    Pending,
    /// With a 2xx.
    Ok,
    /// With an error of the service or of a fault.
    Refused {
        /// HTTP's status.
        status: u16,
        /// The exception's name without its namespace; empty if the body names none.
        code: String,
    },
    /// The connection was reset before it took effect.
    Cut,
    /// It took effect, and the connection was reset before the answer.
    AnswerLost,
    /// It neither took effect nor got an answer.
    Hung,
}

/// Read and write capacity units of DynamoDB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capacity {
    /// Read units; an eventually consistent read of up to 4 KB takes half a unit.
    pub read_units: f64,
    /// Write units, including those of the indexes.
    pub write_units: f64,
}

impl Add for Capacity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
        }
    }
}

impl Sum for Capacity {
    fn sum<I: Iterator<Item = Self>>(capacities: I) -> Self {
        capacities.fold(Self::default(), Add::add)
    }
}

/// A line for people: the operation, its subject, and how it ended.
impl fmt::Display for Exchange {
    fn fmt(&self, line: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(line, "{}", self.operation)?;
        for subject in ["SecretId", "TableName", "IndexName"] {
            if let Some(subject) = self.request[subject].as_str() {
                write!(line, " {subject}")?;
            }
        }
        let key = [&self.request["Key"], &self.request["Item"]].into_iter().find(|key| key.is_object());
        if let Some(key) = key {
            let part = |name: &str| key[name]["S"].as_str().unwrap_or("?").to_owned();
            write!(line, " {} {}", part("pk"), part("sk"))?;
        }
        match &self.outcome {
            Outcome::Refused { status, code } => write!(line, ": {status} {code}")?,
            other => write!(line, ": {other:?}")?,
        }
        let Capacity { read_units, write_units } = self.capacity;
        write!(line, " ({read_units} read, {write_units} write)")
    }
}

fn form(text: &str) -> Value {
    let fields = form_urlencoded::parse(text.as_bytes());
    let fields: serde_json::Map<String, Value> =
        fields.filter(|_| text.contains('=')).map(|(name, value)| (name.into(), value.into())).collect();
    if fields.is_empty() { Value::Null } else { Value::Object(fields) }
}

impl Outcome {
    pub(super) fn of(answer: &Answer) -> Self {
        if (200..300).contains(&answer.status) {
            return Self::Ok;
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = String::from_utf8_lossy(&answer.body);
        let in_xml = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        let code = body["__type"].as_str().or(in_xml.map(|(code, _)| code)).unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        Self::Refused { status: answer.status, code }
    }
}

/// The exchanges in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Entries>);

/// A reference to an exchange. After the log is cleared it refers to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(usize);

#[derive(Debug, Default)]
struct Entries {
    forgotten: usize,
    kept: Vec<Exchange>,
}

impl Log {
    pub(super) fn arrived(&self, operation: &str, text: &str) -> Entry {
        let mut entries = self.entries();
        entries.kept.push(Exchange {
            operation: operation.to_owned(),
            request: serde_json::from_str(text).unwrap_or_else(|_| form(text)),
            outcome: Outcome::Pending,
            capacity: Capacity::default(),
        });
        Entry(entries.forgotten + entries.kept.len() - 1)
    }

    pub(super) fn ended(&self, Entry(number): Entry, outcome: Outcome, capacity: Capacity) {
        let mut entries = self.entries();
        let position = number.checked_sub(entries.forgotten);
        if let Some(exchange) = position.and_then(|position| entries.kept.get_mut(position)) {
            exchange.outcome = outcome;
            exchange.capacity = capacity;
        }
    }

    pub(super) fn exchanges(&self) -> Vec<Exchange> {
        self.entries().kept.clone()
    }

    pub(super) fn clear(&self) {
        let mut entries = self.entries();
        entries.forgotten += entries.kept.len();
        entries.kept.clear();
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}
