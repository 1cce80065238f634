//! What GitHub publishes, read from the cache that `contract/fetch` fills.

use std::path::PathBuf;
use std::{env, fs};

use serde_json::Value;

const PINS: &str = include_str!("../../contract/pins");

/// GitHub's OpenAPI description.
pub(crate) fn description() -> Value {
    read("openapi", "generated/api.github.com.json")
}

/// GitHub's GraphQL schema, in GraphQL's own language.
pub(crate) fn schema() -> String {
    String::from_utf8(read_bytes("graphql-schema", "schema.graphql")).expect("a schema is text")
}

/// The recorded exchanges of a scenario.
pub(crate) fn recording(scenario: &str) -> Vec<Exchange> {
    let path = format!("scenarios/api.github.com/{scenario}/normalized-fixture.json");
    let Value::Array(exchanges) = read("fixtures", &path) else { panic!("{path} is no list of exchanges") };
    exchanges.into_iter().map(Exchange).collect()
}

/// One recorded request and its answer.
pub(crate) struct Exchange(Value);

impl Exchange {
    pub(crate) fn method(&self) -> &str {
        self.text("/method")
    }

    pub(crate) fn path(&self) -> &str {
        self.text("/path")
    }

    pub(crate) fn status(&self) -> u16 {
        let status = self.0["status"].as_u64().expect("an exchange has a status");
        status.try_into().expect("a status has three digits")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0["headers"][name].as_str()
    }

    pub(crate) fn body(&self) -> &Value {
        &self.0["response"]
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).expect("an exchange has a method and a path")
    }
}

fn read(package: &str, path: &str) -> Value {
    serde_json::from_slice(&read_bytes(package, path))
        .unwrap_or_else(|error| panic!("{path} of {package} is broken: {error}"))
}

fn read_bytes(package: &str, path: &str) -> Vec<u8> {
    let version = PINS
        .lines()
        .find_map(|line| line.strip_prefix(package)?.split_whitespace().next())
        .expect("contract/pins names every package");
    let path = cache().join(format!("{package}-{version}")).join(path);
    fs::read(&path).unwrap_or_else(|error| {
        panic!("cannot read {}: {error}\n`make contract` fetches it and runs this test", path.display())
    })
}

/// Where `contract/fetch` puts it.
#[allow(clippy::disallowed_methods, reason = "only the environment says where the user's cache is")]
fn cache() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache");
    cache.unwrap_or_else(home).join("agent-heartbeat/contract")
}
