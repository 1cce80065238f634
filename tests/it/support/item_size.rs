//! The size by which DynamoDB bills an item.

use serde_json::Value;

/// The size of an item in bytes, by the rules of
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>: names and strings as
/// UTF-8; a number one byte for two significant digits and one more; a flag or null one byte; a list or map three bytes,
/// and one for each element. A write unit is 1,024 bytes.
pub fn item_size(item: &Value) -> usize {
    item.as_object().expect("an item").iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::String(text) => text.len(),
        Value::Number(number) => {
            let digits = number.to_string().trim_matches(['-', '0']).len();
            digits.div_ceil(2) + 1
        }
        Value::Array(values) => 3 + values.iter().map(|value| 1 + value_size(value)).sum::<usize>(),
        Value::Object(fields) => {
            3 + fields.iter().map(|(name, value)| 1 + name.len() + value_size(value)).sum::<usize>()
        }
    }
}
