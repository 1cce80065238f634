//! Reads `infra/template.yaml`, so that the table is defined only there.
//!
//! The local DynamoDB creates its table from the resource `Table`: from those properties that `CreateTable` and
//! `UpdateTimeToLive` take, not from encryption and backups. Intrinsics are not evaluated. Their short forms
//! (`!Ref Name`) become the long ones (`{"Ref": "Name"}`), and one in a property that the table needs is an error.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use serde_saphyr::Tagged;

const OF_THE_PROJECT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/template.yaml"));

/// A CloudFormation or SAM template that defines the table.
#[derive(Debug)]
pub struct Template {
    document: Value,
    table: Table,
}

/// The parts of the table's definition that become requests.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    attribute_definitions: Value,
    key_schema: Value,
    billing_mode: Value,
    local_secondary_indexes: Option<Value>,
    global_secondary_indexes: Option<Value>,
    #[serde(rename = "TimeToLiveSpecification")]
    time_to_live: Value,
}

/// Why a template does not define a table.
#[derive(Debug, thiserror::Error)]
#[error("the template does not define a table: {0}")]
pub struct TemplateError(String);

impl Template {
    /// The project's template, as it was when this crate was compiled; parsed once for all worlds of a process. Panics
    /// if it does not define a table.
    pub fn of_the_project() -> &'static Self {
        static PARSED: LazyLock<Template> = LazyLock::new(|| match Template::parse(OF_THE_PROJECT) {
            Ok(template) => template,
            Err(error) => panic!("infra/template.yaml: {error}"),
        });
        &PARSED
    }

    /// Reads a template with the resource `Table`.
    ///
    /// # Errors
    ///
    /// If it is not YAML, or `Table` is not a table whose needed properties are written out.
    pub fn parse(yaml: &str) -> Result<Self, TemplateError> {
        // Otherwise YAML reads the attribute type N as "no".
        let options = serde_saphyr::options! { strict_booleans: true };
        let Node(document) = serde_saphyr::from_str_with_options(yaml, options)
            .map_err(|error| TemplateError(error.to_string()))?;
        let table = &document["Resources"]["Table"];
        if table["Type"] != "AWS::DynamoDB::Table" {
            return Err(TemplateError(format!("the resource `Table` has the type {}", table["Type"])));
        }
        let table: Table = serde_json::from_value(table["Properties"].clone())
            .map_err(|error| TemplateError(error.to_string()))?;
        let used =
            [&table.attribute_definitions, &table.key_schema, &table.billing_mode, &table.time_to_live];
        let indexes = [&table.local_secondary_indexes, &table.global_secondary_indexes];
        if let Some(name) = used.into_iter().chain(indexes.into_iter().flatten()).find_map(intrinsic) {
            let why = "the test world evaluates no intrinsic; write the value out";
            return Err(TemplateError(format!("{name}: {why}")));
        }
        Ok(Self { document, table })
    }

    /// The whole template, with intrinsics in their long forms.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// The body of the `CreateTable` request for a table with this name.
    pub fn create_table_request(&self, name: &str) -> Value {
        let table = &self.table;
        let mut request = json!({
            "TableName": name,
            "AttributeDefinitions": table.attribute_definitions,
            "KeySchema": table.key_schema,
            "BillingMode": table.billing_mode,
        });
        let indexes = [
            ("LocalSecondaryIndexes", &table.local_secondary_indexes),
            ("GlobalSecondaryIndexes", &table.global_secondary_indexes),
        ];
        for (key, value) in indexes {
            if let Some(value) = value {
                request[key] = value.clone();
            }
        }
        request
    }

    /// The body of the `UpdateTimeToLive` request for a table with this name.
    pub fn time_to_live_request(&self, name: &str) -> Value {
        json!({ "TableName": name, "TimeToLiveSpecification": self.table.time_to_live })
    }
}

/// The name of the first intrinsic in a value, at any depth.
fn intrinsic(value: &Value) -> Option<&str> {
    match value {
        Value::Object(members) => members.iter().find_map(|(name, value)| {
            let is_one = name == "Ref" || name.starts_with("Fn::");
            if is_one { Some(name.as_str()) } else { intrinsic(value) }
        }),
        Value::Array(values) => values.iter().find_map(intrinsic),
        _ => None,
    }
}

/// A value of the document. The short form of an intrinsic is a YAML tag, which would otherwise be dropped and leave
/// its argument looking like a value.
struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Tagged(Untagged(value), tag) = Tagged::deserialize(deserializer)?;
        let name = tag.as_deref().and_then(|tag| tag.strip_prefix('!')).filter(|name| !name.starts_with('!'));
        Ok(Self(match name {
            None => value,
            Some(name @ ("Ref" | "Condition")) => json!({ name: value }),
            Some(name) => json!({ format!("Fn::{name}"): value }),
        }))
    }
}

struct Untagged(Value);

impl<'de> Deserialize<'de> for Untagged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UntaggedVisitor).map(Self)
    }
}

struct UntaggedVisitor;

impl<'de> Visitor<'de> for UntaggedVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Node(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let Node(value) = map.next_value()?;
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_table_has_its_keys_indexes_and_time_to_live() {
        let template = Template::of_the_project();
        let request = template.create_table_request("heartbeat");
        assert_eq!(request["TableName"], "heartbeat");
        assert_eq!(request["KeySchema"][1], json!({ "AttributeName": "sk", "KeyType": "RANGE" }));
        assert_eq!(
            request["AttributeDefinitions"][3],
            json!({ "AttributeName": "changeOrder", "AttributeType": "S" })
        );
        assert_eq!(request["LocalSecondaryIndexes"][0]["IndexName"], "OpenIssues");
        assert_eq!(request["LocalSecondaryIndexes"][1]["IndexName"], "Changes");
        assert_eq!(
            template.time_to_live_request("heartbeat")["TimeToLiveSpecification"],
            json!({ "AttributeName": "expiresAt", "Enabled": true })
        );
    }

    #[test]
    fn intrinsics_are_read_in_their_long_forms() {
        let template = with_billing_mode("PAY_PER_REQUEST").expect("a table");
        let resources = &template.document()["Resources"];
        assert_eq!(
            resources["Function"]["Properties"],
            json!({ "Role": { "Fn::GetAtt": "Role.Arn" }, "Name": { "Fn::Sub": "${AWS::StackName}-api" } })
        );
        assert_eq!(resources["Table"]["Properties"]["TableName"], json!({ "Ref": "Name" }));
    }

    fn with_billing_mode(billing_mode: &str) -> Result<Template, TemplateError> {
        Template::parse(&format!(
            r#"
Resources:
  Function:
    Type: AWS::Serverless::Function
    Properties: {{ Role: !GetAtt Role.Arn, Name: !Sub "${{AWS::StackName}}-api" }}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: !Ref Name
      AttributeDefinitions: [{{ AttributeName: pk, AttributeType: S }}]
      KeySchema: [{{ AttributeName: pk, KeyType: HASH }}]
      BillingMode: {billing_mode}
      TimeToLiveSpecification: {{ AttributeName: expiresAt, Enabled: true }}
"#
        ))
    }

    #[test]
    fn intrinsic_is_an_error_only_where_its_value_is_used() {
        with_billing_mode("PAY_PER_REQUEST").expect("unused intrinsics are ignored");
        for form in [
            "!Ref Mode",
            "!If [Busy, PROVISIONED, PAY_PER_REQUEST]",
            "{ Ref: Mode }",
            "{ Fn::Sub: \"${Mode}\" }",
        ] {
            let error = with_billing_mode(form).expect_err(form).to_string();
            assert!(error.contains("evaluates no intrinsic"), "{form}: {error}");
        }
    }
}
