//! Rows as plain JSON, for tests to arrange and check.
//!
//! Numbers are JSON numbers, sets are sorted arrays, bytes are arrays of numbers. The service's own requests use
//! DynamoDB's typed form.

use std::collections::HashMap;

use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::get_item::GetItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::scan::ScanRequest;
use dynoxide::{AttributeValue, Item};
use serde_json::Value;

use super::{DynamoDb, Exchange, request};

impl DynamoDb {
    /// Every item of the table, sorted by `pk`, then `sk`.
    pub fn items(&self, table: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut exclusive_start_key = None;
        loop {
            let page =
                ScanRequest { table_name: table.to_owned(), exclusive_start_key, ..ScanRequest::default() };
            let page = self.upstream().database().scan(page).expect("the table exists");
            items.extend(page.items.unwrap_or_default());
            exclusive_start_key = page.last_evaluated_key;
            if exclusive_start_key.is_none() {
                break;
            }
        }
        let mut items: Vec<Value> = items.iter().map(plain_item).collect();
        items.sort_by_cached_key(|item| {
            ["pk", "sk"].map(|key| item[key].as_str().unwrap_or_default().to_owned())
        });
        items
    }

    /// The item with this key, if there is one.
    pub fn item(&self, table: &str, pk: &str, sk: &str) -> Option<Value> {
        self.typed_item(table, pk, sk).as_ref().map(plain_item)
    }

    /// Writes an item, replacing the one with its `pk` and `sk`.
    ///
    /// An attribute with an unchanged value keeps its type, and a set stays a set. Any other array becomes a list.
    pub fn put_item(&self, table: &str, item: &Value) {
        let key = |name: &str| item[name].as_str().expect("an item has the string keys pk and sk");
        let before = self.typed_item(table, key("pk"), key("sk")).unwrap_or_default();
        let fields = item.as_object().expect("an item is a JSON object");
        let item =
            fields.iter().map(|(name, value)| (name.clone(), typed(value, before.get(name)))).collect();
        let put = PutItemRequest { table_name: table.to_owned(), item, ..PutItemRequest::default() };
        self.upstream().database().put_item(put).expect("the engine takes the item");
    }

    /// Deletes the item with this key, if there is one.
    pub fn delete_item(&self, table: &str, pk: &str, sk: &str) {
        let delete = DeleteItemRequest {
            table_name: table.to_owned(),
            key: key(pk, sk),
            ..DeleteItemRequest::default()
        };
        self.upstream().database().delete_item(delete).expect("the engine deletes the item");
    }

    /// Executes a write once more, as a late copy of it: a caller that gets no answer sends the request again, and both
    /// copies arrive. The answer is ignored, and so are reads.
    pub fn replay_write(&self, write: &Exchange) {
        let (database, body) = (self.upstream().database(), write.request.clone());
        let _ = match write.operation.as_str() {
            "PutItem" => database.put_item(request(body)).map(drop),
            "UpdateItem" => database.update_item(request(body)).map(drop),
            "DeleteItem" => database.delete_item(request(body)).map(drop),
            "TransactWriteItems" => database.transact_write_items(request(body)).map(drop),
            "BatchGetItem" | "GetItem" | "Query" => Ok(()),
            other => panic!("a late copy of {other} is not simulated"),
        };
    }

    fn typed_item(&self, table: &str, pk: &str, sk: &str) -> Option<Item> {
        let get =
            GetItemRequest { table_name: table.to_owned(), key: key(pk, sk), ..GetItemRequest::default() };
        self.upstream().database().get_item(get).expect("the table exists").item
    }
}

fn key(pk: &str, sk: &str) -> Item {
    [("pk", pk), ("sk", sk)]
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())))
        .into()
}

fn plain_item(item: &Item) -> Value {
    item.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.clone().into(),
        AttributeValue::N(number) => plain_number(number),
        AttributeValue::BOOL(flag) => (*flag).into(),
        AttributeValue::NULL(_) => Value::Null,
        AttributeValue::B(bytes) => bytes.clone().into(),
        AttributeValue::L(values) => values.iter().map(plain).collect(),
        AttributeValue::M(values) => plain_item(values),
        AttributeValue::SS(texts) => {
            let mut texts = texts.clone();
            texts.sort();
            texts.into()
        }
        AttributeValue::NS(numbers) => {
            let mut numbers: Vec<Value> = numbers.iter().map(|number| plain_number(number)).collect();
            numbers.sort_by(|a, b| a.as_f64().partial_cmp(&b.as_f64()).expect("DynamoDB has no NaN"));
            numbers.into()
        }
        AttributeValue::BS(sets) => {
            let mut sets = sets.clone();
            sets.sort();
            sets.into()
        }
    }
}

fn plain_number(number: &str) -> Value {
    serde_json::from_str(number).expect("a DynamoDB number is a JSON number")
}

/// DynamoDB's form of a plain value, given the attribute's value before.
fn typed(value: &Value, before: Option<&AttributeValue>) -> AttributeValue {
    if let Some(before) = before
        && plain(before) == *value
    {
        return before.clone();
    }
    let texts = |values: &[Value]| values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
    let numbers =
        |values: &[Value]| values.iter().map(|value| value.is_number().then(|| value.to_string())).collect();
    match (value, before) {
        (Value::Array(values), Some(AttributeValue::SS(_))) => {
            AttributeValue::SS(Option::expect(texts(values), "a set of strings holds strings"))
        }
        (Value::Array(values), Some(AttributeValue::NS(_))) => {
            AttributeValue::NS(Option::expect(numbers(values), "a set of numbers holds numbers"))
        }
        (Value::Null, _) => AttributeValue::NULL(true),
        (Value::Bool(flag), _) => AttributeValue::BOOL(*flag),
        (Value::Number(number), _) => AttributeValue::N(number.to_string()),
        (Value::String(text), _) => AttributeValue::S(text.clone()),
        (Value::Array(values), _) => {
            AttributeValue::L(values.iter().map(|value| typed(value, None)).collect())
        }
        (Value::Object(fields), _) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), typed(value, None)));
            AttributeValue::M(fields.collect::<HashMap<_, _>>())
        }
    }
}
