//! What DynamoDB does when writes meet a transaction: it refuses them. The engine carries one out after the other, so
//! it never has to.
//!
//! AWS docs, "Managing complex workflows with DynamoDB transactions", section "Transaction conflict handling": a
//! transaction or a write of one item is refused while another transaction on the same item is under way, the
//! first with `TransactionCanceledException` and a reason for each item, the second with
//! `TransactionConflictException`. The code and the message are those of `CancellationReason` in the API reference.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::proxy::Answer;

/// The items that transactions under way are about, by their keys' text.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions(Arc<Mutex<HashSet<String>>>);

/// A transaction under way: over when this is dropped.
pub(super) struct UnderWay {
    of: Transactions,
    items: Vec<String>,
}

impl Transactions {
    /// Lets a request in, or refuses it.
    pub(super) fn enter(&self, operation: &str, body: &[u8]) -> Result<UnderWay, Answer> {
        let items = items(operation, &serde_json::from_slice(body).unwrap_or_default());
        let mut under_way = self.0.lock().expect("nothing panics while it holds this lock");
        let met: Vec<bool> = items.iter().map(|item| under_way.contains(item)).collect();
        if met.contains(&true) {
            return Err(refusal(operation, &met));
        }
        // A write of one item refuses nobody.
        let items = if operation == "TransactWriteItems" { items } else { Vec::new() };
        under_way.extend(items.iter().cloned());
        Ok(UnderWay { of: self.clone(), items })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut under_way = self.of.0.lock().expect("nothing panics while it holds this lock");
        for item in &self.items {
            under_way.remove(item);
        }
    }
}

/// The refusal of a write of which these items are in a transaction under way; without any, of one whose first item is.
pub(super) fn refusal(operation: &str, met: &[bool]) -> Answer {
    const CODE: &str = "com.amazonaws.dynamodb.v20120810#";
    let words = "Transaction is ongoing for the item";
    let met = if met.is_empty() { &[true, false] } else { met };
    let body = match operation {
        "TransactWriteItems" => {
            let codes = met.iter().map(|met| if *met { "TransactionConflict" } else { "None" });
            let reasons: Vec<Value> = codes
                .clone()
                .map(|code| match code {
                    "None" => json!({ "Code": code }),
                    code => json!({ "Code": code, "Message": words }),
                })
                .collect();
            let codes: Vec<&str> = codes.collect();
            let message = format!(
                "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
                codes.join(", ")
            );
            json!({
                "__type": format!("{CODE}TransactionCanceledException"),
                "Message": message,
                "CancellationReasons": reasons,
            })
        }
        _ => json!({ "__type": format!("{CODE}TransactionConflictException"), "message": words }),
    };
    Answer { status: 400, body: body.to_string().into(), capacity: Default::default() }
}

/// The keys of the items that a write is about.
fn items(operation: &str, request: &Value) -> Vec<String> {
    let key = |of: &Value| {
        let key = if of["Item"].is_object() { &of["Item"] } else { &of["Key"] };
        format!("{} {} {}", of["TableName"], key["pk"], key["sk"])
    };
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => vec![key(request)],
        "TransactWriteItems" => {
            let actions = request["TransactItems"].as_array().into_iter().flatten();
            let actions = actions.filter_map(|action| action.as_object()?.values().next());
            actions.map(key).collect()
        }
        _ => Vec::new(),
    }
}
