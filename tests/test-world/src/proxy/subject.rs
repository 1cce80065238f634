//! What an AWS request is about, in a few words that are the same each time the same is asked.
//!
//! Leaves out what differs each time: identifiers of runs and passes. Not the log's line for a person, which
//! says how a request ended as well.

use serde_json::Value;

/// The operation, and the keys of the items or the secret it is about: `PutItem REPO#1001 ISSUE#0000000001`.
pub(super) fn of(operation: &str, text: &str) -> String {
    let request: Value = serde_json::from_str(text).unwrap_or_default();
    let mut words = vec![operation.to_owned()];
    words.extend(
        ["SecretId", "IndexName"].iter().filter_map(|name| request[name].as_str()).map(str::to_owned),
    );
    if operation == "Query" {
        let values = request["ExpressionAttributeValues"].as_object().into_iter().flatten();
        words.extend(values.filter_map(|(_, value)| value["S"].as_str()).map(str::to_owned));
    }
    let mut keys = Vec::new();
    collect_keys(&request, &mut keys);
    keys.sort_unstable();
    words.extend(keys);
    words.join(" ")
}

/// The keys of all items in a request, however deep it names them.
fn collect_keys(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let (Some(pk), Some(sk)) = (value["pk"]["S"].as_str(), value["sk"]["S"].as_str()) {
                keys.push(format!("{pk} {}", without_identifier(pk, sk)));
                return;
            }
            fields.values().for_each(|field| collect_keys(field, keys));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_keys(value, keys)),
        _ => {}
    }
}

fn without_identifier<'s>(pk: &str, sk: &'s str) -> &'s str {
    match sk.split_once('#') {
        Some(("RUN", _)) => "RUN",
        _ if pk == "PASSES" => "",
        _ => sk,
    }
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_same_request_is_about_the_same_each_time() {
        let put = r#"{"Item":{"pk":{"S":"AGENT#alpha"},"sk":{"S":"RUN#0193"},"title":{"S":"x"}}}"#;
        assert_eq!(of("PutItem", put), "PutItem AGENT#alpha RUN");
        let query =
            r#"{"IndexName":"Changes","ExpressionAttributeValues":{":from":{"N":"3"},":id":{"S":"REPO#1"}}}"#;
        assert_eq!(of("Query", query), "Query Changes REPO#1");
        let batch = r#"{"RequestItems":{"t":{"Keys":[{"pk":{"S":"b"},"sk":{"S":"2"}},{"pk":{"S":"a"},"sk":{"S":"1"}}]}}}"#;
        assert_eq!(of("BatchGetItem", batch), "BatchGetItem a 1 b 2");
        assert_eq!(of("GetSecretValue", r#"{"SecretId":"tokens"}"#), "GetSecretValue tokens");
    }
}
