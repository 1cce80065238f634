//! What arrived at a service, how it ended and what it cost.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use super::Answer;

/// One request and how it ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// AWS's name of the operation; empty when the request named none.
    pub operation: String,
    /// The request's JSON as it was sent; null if it was none.
    pub request: Value,
    /// How it ended.
    pub outcome: Outcome,
    /// What AWS would bill for it. Nothing but DynamoDB bills in these units.
    pub capacity: Capacity,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not yet.
    Pending,
    /// With a 2xx.
    Ok,
    /// With an error of the service, or one on order.
    Refused {
        /// HTTP's status.
        status: u16,
        /// The exception's name without its namespace; empty if the body names none.
        code: String,
    },
    /// It was cut off before it was carried out.
    Cut,
    /// It was carried out, and its caller got no answer.
    AnswerLost,
    /// It was never carried out nor answered.
    Hung,
}

/// Read and write capacity units of DynamoDB.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capacity {
    /// Read units; an eventually consistent read of up to 4 KB is half of one.
    pub read_units: f64,
    /// Write units, those of the indexes included.
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

/// A line for a person: the operation, what it was about, and how it ended.
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

impl Outcome {
    pub(super) fn of(answer: &Answer) -> Self {
        if (200..300).contains(&answer.status) {
            return Self::Ok;
        }
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = body["__type"].as_str().unwrap_or_default();
        let code = code.rsplit('#').next().unwrap_or_default().to_owned();
        Self::Refused { status: answer.status, code }
    }
}

/// Keeps the exchanges in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Entries>);

/// Stays valid when the log is cleared; it then just names nothing.
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
            request: serde_json::from_str(text).unwrap_or_default(),
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
