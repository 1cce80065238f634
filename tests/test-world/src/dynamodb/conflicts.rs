//! DynamoDB rejects writes that conflict with a running transaction. The engine executes transactions one after the
//! other and has no conflicts, so they are simulated here.
//!
//! AWS docs, "Managing complex workflows with DynamoDB transactions", section "Transaction conflict handling": a
//! transaction or a write of one item is rejected while another transaction on the same item is running, the
//! first with `TransactionCanceledException` and a reason for each item, the second with
//! `TransactionConflictException`. The code and the message are those of `CancellationReason` in the API reference.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::proxy::Answer;

/// The keys of the items of all running transactions.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions(Arc<Mutex<HashSet<String>>>);

/// A running request. Dropping it ends its transaction.
pub(super) struct Running {
    of: Transactions,
    items: Vec<String>,
}

impl Transactions {
    /// Admits a request.
    ///
    /// # Errors
    ///
    /// DynamoDB's conflict error, if a running transaction has one of its items.
    pub(super) fn enter(&self, operation: &str, body: &[u8]) -> Result<Running, Answer> {
        let items = items(operation, &serde_json::from_slice(body).unwrap_or_default());
        let mut running = self.0.lock().expect("nothing panics while it holds this lock");
        let conflicting: Vec<bool> = items.iter().map(|item| running.contains(item)).collect();
        if conflicting.contains(&true) {
            return Err(conflict(operation, &conflicting));
        }
        // A write of one item causes no conflicts.
        let items = if operation == "TransactWriteItems" { items } else { Vec::new() };
        running.extend(items.iter().cloned());
        Ok(Running { of: self.clone(), items })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.of.0.lock().expect("nothing panics while it holds this lock");
        for item in &self.items {
            running.remove(item);
        }
    }
}

/// The conflict error of a write: for each item, whether it conflicts. If `conflicting` is empty, the first of two
/// does.
pub(super) fn conflict(operation: &str, conflicting: &[bool]) -> Answer {
    const CODE: &str = "com.amazonaws.dynamodb.v20120810#";
    let message = "Transaction is ongoing for the item";
    let conflicting = if conflicting.is_empty() { &[true, false] } else { conflicting };
    let body = match operation {
        "TransactWriteItems" => {
            let codes =
                conflicting.iter().map(|conflicts| if *conflicts { "TransactionConflict" } else { "None" });
            let reasons: Vec<Value> = codes
                .clone()
                .map(|code| match code {
                    "None" => json!({ "Code": code }),
                    code => json!({ "Code": code, "Message": message }),
                })
                .collect();
            let codes: Vec<&str> = codes.collect();
            let summary = format!(
                "Transaction cancelled, please refer cancellation reasons for specific reasons [{}]",
                codes.join(", ")
            );
            json!({
                "__type": format!("{CODE}TransactionCanceledException"),
                "Message": summary,
                "CancellationReasons": reasons,
            })
        }
        _ => json!({ "__type": format!("{CODE}TransactionConflictException"), "message": message }),
    };
    Answer { status: 400, body: body.to_string().into(), capacity: Default::default() }
}

/// The keys of the items of a write, as text.
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
