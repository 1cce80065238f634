//! The cost of each request, from the engine's `ConsumedCapacity`.
//!
//! The meter requests the capacity and removes it from the answer again, so that the caller gets the answer it would
//! have got without the meter. Only failed conditions are calculated here: DynamoDB bills them and does not report it.

use hyper::body::Bytes;
use serde_json::Value;

use crate::proxy::{Answer, Capacity};

const READS: [&str; 5] = ["GetItem", "BatchGetItem", "Query", "Scan", "TransactGetItems"];
const WRITES: [&str; 5] = ["PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"];

/// How one request is metered.
pub(super) struct Meter {
    request: Value,
    /// The caller did not request the capacity and must not see it.
    hidden: bool,
}

/// Adds `ReturnConsumedCapacity` to a request that can have it and has none.
pub(super) fn attach(operation: &str, body: &mut Bytes) -> Meter {
    let mut request: Value = serde_json::from_slice(body).unwrap_or_default();
    let requested = request["ReturnConsumedCapacity"].as_str().is_some_and(|level| level != "NONE");
    let billed = READS.contains(&operation) || WRITES.contains(&operation);
    let hidden = billed && !requested && request.is_object();
    if hidden {
        request["ReturnConsumedCapacity"] = "TOTAL".into();
        *body = request.to_string().into();
    }
    Meter { request, hidden }
}

impl Meter {
    /// The caller's answer and the cost of the request.
    pub(super) fn read(self, operation: &str, status: u16, body: Bytes) -> Answer {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
            return Answer { status, body, capacity: Capacity::default() };
        };
        if status != 200 {
            return Answer { status, body, capacity: self.failed(&answer) };
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

    /// A failed condition costs as much as the write: one unit for an item of up to 1 KB, which all items with
    /// conditions are, and two for each item of a transaction.
    fn failed(&self, answer: &Value) -> Capacity {
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
