//! The table as `infra/template.yaml` defines it, so that there is one definition.
//!
//! Reads only the resource `Table`, and of it only what `CreateTable` and
//! `UpdateTimeToLive` take; encryption, backups and every other resource are
//! CloudFormation's business. Intrinsics (`!Ref`, `Fn::Sub` …) are not evaluated:
//! one in a part that is used is an error, anywhere else it is of no concern.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};
use serde_saphyr::Tagged;

const OF_THE_PROJECT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../infra/template.yaml"));

/// The table's definition.
#[derive(Debug)]
pub struct Template(TableProperties);

/// Why a template does not define a table, in one message with the place.
#[derive(Debug, thiserror::Error)]
#[error("the template does not define a table: {0}")]
pub struct TemplateError(String);

impl Template {
    /// The project's own, as it was when this crate was compiled. Panics with the
    /// reason when it does not define a table.
    pub fn of_the_project() -> Self {
        match Self::parse(OF_THE_PROJECT) {
            Ok(template) => template,
            Err(error) => panic!("infra/template.yaml: {error}"),
        }
    }

    /// Reads the resource `Table` of a CloudFormation or SAM template.
    pub fn parse(yaml: &str) -> Result<Self, TemplateError> {
        // Otherwise the type N of an attribute reads as "no".
        let options = serde_saphyr::options! { strict_booleans: true };
        let document: Document = serde_saphyr::from_str_with_options(yaml, options)
            .map_err(|error| TemplateError(error.to_string()))?;
        let table = document.resources.table;
        if table.kind != "AWS::DynamoDB::Table" {
            return Err(TemplateError(format!("`Table` is of the type {}", table.kind)));
        }
        Ok(Self(table.properties))
    }

    /// The body of the `CreateTable` request that makes this table under `name`.
    pub fn create_table_request(&self, name: &str) -> Value {
        let mut request = json!({
            "TableName": name,
            "AttributeDefinitions": self.0.attribute_definitions.0,
            "KeySchema": self.0.key_schema.0,
            "BillingMode": self.0.billing_mode.0,
        });
        let indexes = [
            ("LocalSecondaryIndexes", &self.0.local_secondary_indexes),
            ("GlobalSecondaryIndexes", &self.0.global_secondary_indexes),
        ];
        for (key, value) in indexes {
            if let Some(Written(value)) = value {
                request[key] = value.clone();
            }
        }
        request
    }

    /// The body of the `UpdateTimeToLive` request for the table of that name.
    pub fn time_to_live_request(&self, name: &str) -> Value {
        json!({ "TableName": name, "TimeToLiveSpecification": self.0.time_to_live.0 })
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    resources: Resources,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resources {
    table: Table,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Table {
    #[serde(rename = "Type")]
    kind: String,
    properties: TableProperties,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableProperties {
    attribute_definitions: Written,
    key_schema: Written,
    billing_mode: Written,
    local_secondary_indexes: Option<Written>,
    global_secondary_indexes: Option<Written>,
    #[serde(rename = "TimeToLiveSpecification")]
    time_to_live: Written,
}

/// A value written out in the template, without an intrinsic anywhere within.
#[derive(Debug)]
struct Written(Value);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The short form of an intrinsic is a YAML tag, which would otherwise be
        // dropped and leave its argument looking like a value.
        match Tagged::<Node>::deserialize(deserializer)? {
            Tagged(Node(value), None) => Ok(Self(value)),
            Tagged(_, Some(tag)) => Err(intrinsic(&tag)),
        }
    }
}

struct Node(Value);

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(Node)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value written out")
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
        while let Some(Written(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == "Ref" || key.starts_with("Fn::") {
                return Err(intrinsic(&key));
            }
            let Written(value) = map.next_value()?;
            values.insert(key, value);
        }
        Ok(values.into())
    }
}

fn intrinsic<E: de::Error>(name: &str) -> E {
    E::custom(format!("{name}: the local world needs this value written out and evaluates no intrinsic"))
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
        assert_eq!(request["AttributeDefinitions"][3]["AttributeType"], "N");
        assert_eq!(request["LocalSecondaryIndexes"][0]["IndexName"], "OpenIssues");
        assert_eq!(request["LocalSecondaryIndexes"][1]["IndexName"], "Changes");
        assert_eq!(
            template.time_to_live_request("heartbeat")["TimeToLiveSpecification"],
            json!({ "AttributeName": "expiresAt", "Enabled": true })
        );
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
    fn an_intrinsic_matters_only_where_its_value_is_used() {
        with_billing_mode("PAY_PER_REQUEST").expect("the other intrinsics are not looked at");
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
