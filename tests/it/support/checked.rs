//! JSON that allows only the fields it can have. Indexing a `serde_json::Value` with an unknown name returns null, so
//! `assert!(item["claim"].is_null())` would pass whatever the service does.
//!
//! The allowed fields come from the service itself: what its types serialize and deserialize, what the API's
//! description declares, and what its source logs. An item, an answer or a log line with an unknown field panics too,
//! so this list cannot become outdated.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Deref, DerefMut, Index, IndexMut};
use std::sync::{Arc, LazyLock};

use agent_heartbeat::domain::{Attempt, AuditProgress, ChangeCounts, Declaration, TrackedRepository};
use agent_heartbeat::heartbeat::AgentHeartbeatResponse;
use agent_heartbeat::store::{ConfiguredName, FleetState, PassRecord, WatchState};
use agent_heartbeat::telemetry::{Count, Measure};
use serde::Serialize;
use serde_json::Value;
use utoipa::PartialSchema as _;

use crate::support::{logged, samples};

/// Names of fields.
pub type Names = Arc<BTreeSet<String>>;

/// A JSON object of a known kind.
#[derive(Clone)]
pub struct Checked {
    value: Value,
    what: &'static str,
    /// `None` if every field is allowed.
    names: Option<Names>,
}

impl Checked {
    /// An object with at most these fields; null stands for a missing object.
    pub fn new(value: Value, what: &'static str, names: Names) -> Self {
        let unknown = value.as_object().into_iter().flatten().find(|(name, _)| !names.contains(*name));
        assert!(unknown.is_none(), "{what} has a field that tests do not know: {unknown:?} of {value:#}");
        Self { value, what, names: Some(names) }
    }

    /// JSON that no type of the service describes.
    pub fn anything(value: Value) -> Self {
        Self { value, what: "anything", names: None }
    }

    /// An item of the table, by its keys.
    pub fn item(item: Value) -> Self {
        let key = |name: &str| item[name].as_str().unwrap_or_default().split('#').next().unwrap_or_default();
        Self::item_of(key("pk"), key("sk"), item.clone())
    }

    /// An item whose keys have these prefixes, or null.
    pub fn item_of(pk: &str, sk: &str, item: Value) -> Self {
        let kinds = &*ITEMS;
        let is_of = |kind: &&Kind| kind.pk == pk && kind.sk.is_none_or(|kind| kind == sk);
        let Kind { what, names, .. } =
            kinds.iter().find(is_of).unwrap_or_else(|| panic!("no kind of item: {pk} {sk}"));
        Self::new(item, what, Arc::clone(names))
    }

    /// The answer to a heartbeat.
    pub fn answer(answer: Value) -> Self {
        static NAMES: LazyLock<Names> = LazyLock::new(|| {
            let schema = serde_json::to_value(AgentHeartbeatResponse::schema()).expect("JSON");
            properties(&schema)
        });
        Self::new(answer, "a heartbeat's answer", Arc::clone(&NAMES))
    }

    /// A line of the log, or one with metrics.
    pub fn line(line: Value) -> Self {
        if line["_aws"].is_object() {
            return Self::new(line, "a line with metrics", Arc::clone(&METRICS));
        }
        let is_ours = line["target"].as_str().is_some_and(|target| target.starts_with("agent_heartbeat"));
        match line["message"].as_str().and_then(logged::fields_of) {
            Some(names) if is_ours => Self::new(line, "a line of the log", names),
            _ => Self::anything(line),
        }
    }

    /// Whether it is a line with metrics.
    pub fn is_metrics(&self) -> bool {
        self.value["_aws"].is_object()
    }

    /// A field's value; `None` if the field is missing.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.check(name);
        self.value.get(name)
    }

    /// Whether the field is there. The name may be one that no object has.
    pub fn has(&self, name: &str) -> bool {
        self.value.get(name).is_some()
    }

    /// The plain value.
    pub fn into_value(self) -> Value {
        self.value
    }

    fn check(&self, name: &str) {
        let Some(names) = &self.names else { return };
        assert!(names.contains(name), "{} has no field `{name}`; it has {names:?}", self.what);
    }
}

/// The fields of an object's schema.
pub fn properties(schema: &Value) -> Names {
    let properties = schema["properties"].as_object().expect("an object's schema");
    Arc::new(properties.keys().cloned().collect())
}

/// A kind of item: its key prefixes and its fields.
struct Kind {
    what: &'static str,
    pk: &'static str,
    sk: Option<&'static str>,
    names: Names,
}

/// All kinds, as `store/keys.rs` lists them. The store adds fields to those of a type.
static ITEMS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let keys = |sample: &Value| sample.as_object().expect("an object").keys().cloned().collect();
    let kind = |what, pk, sk, fields: BTreeSet<String>, added: &[&str]| {
        let added = added.iter().chain(&["pk", "sk"]).map(|name| (*name).to_owned());
        Kind { what, pk, sk, names: Arc::new(fields.into_iter().chain(added).collect()) }
    };
    vec![
        kind("STATE", "FLEET", Some("STATE"), own(fields_of::<FleetState>()), &[]),
        kind("WATCH", "FLEET", Some("WATCH"), own(fields_of::<WatchState>()), &[]),
        kind("UNSENT", "FLEET", Some("UNSENT"), own(&["id", "owner", "ownedUntil", "transitions"]), &[]),
        kind("COUNTS", "FLEET", Some("COUNTS"), own(fields_of::<ChangeCounts>()), &["fence", "seq"]),
        kind("REPO#", "FLEET", Some("REPO"), own(fields_of::<TrackedRepository>()), &["fence", "seq"]),
        kind("NAME#", "FLEET", Some("NAME"), own(fields_of::<ConfiguredName>()), &["fence"]),
        kind("AUDIT", "REPO", Some("AUDIT"), own(fields_of::<AuditProgress>()), &["fence", "seq"]),
        kind(
            "UNTRACKED",
            "UNTRACKED",
            None,
            own(fields_of::<TrackedRepository>()),
            &["fence", "seq", "expiresAt"],
        ),
        kind("ISSUE#", "REPO", Some("ISSUE"), keys(&samples::issue()), &["openNumber", "changeOrder"]),
        kind("PASSES", "PASSES", None, own(fields_of::<PassRecord>()), &["expiresAt"]),
        // No type has this item's fields: it is only ever updated.
        kind(
            "AGENTS",
            "AGENTS",
            None,
            own(fields_of::<Declaration>()),
            &[
                "told",
                "kindsAfter",
                "reported",
                "beatMinute",
                "beatsInMinute",
                "beatsPerHour",
                "expiresAt",
                "lastBeatAt",
                "lastRunId",
                "lastStatus",
                "tokenFingerprint",
                "pf",
                "sf",
            ],
        ),
        kind("RUN#", "AGENT", Some("RUN"), keys(&samples::run()), &["attempt", "expiresAt"]),
        kind("KEY#", "AGENT", Some("KEY"), own(fields_of::<Attempt>()), &["answer"]),
    ]
});

/// The fields that a metrics line can have.
static METRICS: LazyLock<Names> = LazyLock::new(|| {
    let names = Count::ALL.iter().map(|count| count.name()).chain(Measure::ALL.iter().map(|one| one.name()));
    Arc::new(names.chain(["_aws", "TableName", "requestId"]).map(str::to_owned).collect())
});

impl Index<&str> for Checked {
    type Output = Value;

    fn index(&self, name: &str) -> &Value {
        self.check(name);
        &self.value[name]
    }
}

impl IndexMut<&str> for Checked {
    fn index_mut(&mut self, name: &str) -> &mut Value {
        self.check(name);
        &mut self.value[name]
    }
}

impl Deref for Checked {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl DerefMut for Checked {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.value
    }
}

impl PartialEq for Checked {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq<Value> for Checked {
    fn eq(&self, other: &Value) -> bool {
        self.value == *other
    }
}

impl fmt::Debug for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

impl Serialize for Checked {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

/// The fields that a type's derived `Deserialize` names.
fn fields_of<T: serde::de::DeserializeOwned>() -> &'static [&'static str] {
    let mut fields = None;
    let _ = T::deserialize(Asked(&mut fields));
    fields.expect("a struct without flattened fields")
}

/// Records the requested fields and deserializes nothing.
struct Asked<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> serde::Deserializer<'de> for Asked<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = Some(fields);
        Err(serde::de::Error::custom("only the names are needed"))
    }

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("not a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::support::source_files::SourceTree;

    use std::collections::BTreeMap;

    use agent_heartbeat::domain::{IssueChange, Problem};
    use serde_json::json;

    use super::*;

    fn panics(read: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(read).is_err()
    }

    #[test]
    fn item_asked_for_a_field_that_it_cannot_have_panics() {
        let state = || Checked::item(json!({"pk": "FLEET", "sk": "STATE", "fence": 1}));
        assert_eq!((&state()["fence"], &state()["claimOwner"]), (&json!(1), &Value::Null));
        assert!(panics(|| drop(state()["claim"].clone())));
        assert!(panics(|| drop(state().get("claim").cloned())));
        assert!(panics(|| state()["claim"] = Value::Null));
        assert!(panics(|| drop(Checked::item(json!({"pk": "FLEET", "sk": "STATE", "claim": 1})))));
    }

    #[test]
    fn each_kind_of_item_knows_its_fields_and_no_others() {
        for (pk, sk, field) in [
            ("FLEET", "STATE", "claimUntil"),
            ("FLEET", "REPO", "settled"),
            ("FLEET", "NAME", "why"),
            ("REPO", "AUDIT", "candidates"),
            ("REPO", "ISSUE", "changeKindFence"),
            ("PASSES", "", "githubRequests"),
            ("AGENTS", "", "told"),
            ("AGENT", "RUN", "finishedAt"),
            ("AGENT", "KEY", "until"),
        ] {
            let item = Checked::item_of(pk, sk, Value::Null);
            assert!(item[field].is_null(), "{pk} {sk}");
            assert!(panics(|| drop(item["no_such_field"].clone())), "{pk} {sk}");
        }
    }

    /// Nested fields that may be read, by the field above them: in items, and in answers.
    fn nested(value: &Value, parent: &str, known: &mut BTreeMap<String, BTreeSet<String>>) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| nested(value, parent, known)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    known.entry(parent.to_owned()).or_default().insert(name.clone());
                    nested(value, name, known);
                }
            }
            _ => {}
        }
    }

    /// `"a"` of `"a"]["b"]…` or of `"a"][0]["b"]…`, with `b`.
    fn chained(source: &str) -> Vec<(&str, &str)> {
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let keys: Vec<&str> = source.split("[\"").skip(1).collect();
        let pairs = keys.iter().zip(keys.iter().skip(1)).filter_map(|(first, second)| {
            let (parent, between) = first.split_once("\"]")?;
            let between = between.trim();
            let is_next = between.is_empty()
                || between.strip_prefix('[').and_then(|text| text.strip_suffix(']')).is_some_and(is_number);
            let (child, _) = second.split_once("\"]")?;
            is_next.then_some((parent, child))
        });
        pairs.collect()
    }

    #[test]
    fn field_below_a_field_is_asked_for_by_a_name_that_it_can_have() {
        let mut known = BTreeMap::new();
        samples::all().iter().for_each(|sample| nested(sample, "", &mut known));
        for (parent, schema) in [("problems", Problem::schema()), ("touched", IssueChange::schema())] {
            let names = properties(&serde_json::to_value(schema).expect("JSON"));
            known.insert(parent.to_owned(), (*names).clone());
        }
        known.remove("");
        assert_eq!(known["held"], BTreeSet::from(["absent".to_owned(), "of".to_owned()]));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
        let mut asked = 0;
        for file in SourceTree::read(&folder).files() {
            for (parent, child) in chained(&file.text) {
                if let Some(names) = known.get(parent) {
                    let path = file.path.display();
                    assert!(names.contains(child), "{path} reads {child} of {parent}, which has {names:?}");
                    asked += 1;
                }
            }
        }
        assert!(asked > 10, "they were found: {asked}");
        assert_eq!(chained("x[\"a\"][12][\"b\"] + y[\"c\"][\"d\"]"), [("a", "b"), ("c", "d")]);
    }

    #[test]
    fn answer_metric_and_log_line_asked_for_an_unknown_field_panic() {
        let answer = Checked::answer(json!({"status": "ok"}));
        assert!(answer["freshAt"].is_null());
        assert!(panics(|| drop(answer["fresh_at"].clone())));
        let metrics = Checked::line(json!({"_aws": {}, "BeatsOk": 1}));
        assert!(metrics["BeatsCoalesced"].is_null());
        assert!(panics(|| drop(metrics["BeatsJoined"].clone())));
        let line = json!({"target": "agent_heartbeat::http::refusal", "message": "A request was refused."});
        let line = Checked::line(line);
        assert!(line["http.status"].is_null());
        assert!(panics(|| drop(line["http.code"].clone())));
    }
}
