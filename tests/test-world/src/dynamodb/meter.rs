//! What each request costs, read from the engine's `ConsumedCapacity`.
//!
//! Asks for it on the way in and takes it out again on the way back, so that the
//! caller sees the answer it would have got. Does not round or bill by itself,
//! but for refused conditions, which DynamoDB bills without saying so.

use hyper::body::Bytes;
use serde_json::Value;

use crate::proxy::{Answer, Capacity};

const READS: [&str; 5] = ["GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"];
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

/// How one request is metered.
pub(super) struct Meter {
    request: Value,
    /// The caller did not ask for the capacity and must not see it.
    hidden: bool,
}

/// Makes the request ask for its capacity, if it can and does not already.
pub(super) fn attach(operation: &str, body: &mut Bytes) -> Meter {
    let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
    let asked = request["ReturnConsumedCapacity"].as_str().is_some_and(|level| level != "NONE");
    let billed = READS.contains(&operation) || WRITES.contains(&operation);
    let hidden = billed && !asked && request.is_object();
    if hidden {
        request["ReturnConsumedCapacity"] = "TOTAL".into();
        *body = request.to_string().into();
    }
    Meter { request, hidden }
}

impl Meter {
    /// The caller's answer, and what the request cost.
    pub(super) fn read(self, operation: &str, status: u16, body: Bytes) -> Answer {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
            return Answer { status, body, capacity: Capacity::default() };
        };
        if status != 200 {
            return Answer { status, body, capacity: self.refused(&answer) };
        }
        let consumed = &answer["ConsumedCapacity"];
        let capacity = match consumed {
            Value::Array(tables) => tables.iter().map(|table| units(operation, table)).sum(),
            table => units(operation, table),
        };
        let body = match answer.as_object_mut() {
            Some(fields) if self.hidden => {
                fields.remove("ConsumedCapacity");
                answer.to_string().into()
            }
            _ => body,
        };
        Answer { status, body, capacity }
    }

    /// A refused condition costs a write all the same: one unit for an item of up to
    /// 1 KB, as those with conditions are here, and two for each in a transaction.
    fn refused(&self, answer: &Value) -> Capacity {
        let code = answer["__type"].as_str().unwrap_or_default();
        let write_units = if code.ends_with("#ConditionalCheckFailedException") {
            1.0
        } else if code.ends_with("#TransactionCanceledException") {
            self.request["TransactItems"].as_array().map_or(0.0, |items| items.iter().map(|_| 2.0).sum())
        } else {
            0.0
        };
        Capacity { read_units: 0.0, write_units }
    }
}

fn units(operation: &str, consumed: &Value) -> Capacity {
    let units = consumed["CapacityUnits"].as_f64().unwrap_or_default();
    if READS.contains(&operation) {
        Capacity { read_units: units, write_units: 0.0 }
    } else {
        Capacity { read_units: 0.0, write_units: units }
    }
}
