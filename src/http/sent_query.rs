//! The query that the routes see: one percent-encoded text with the client's meaning, whatever form an event has it in.
//! What else is wrong with it is for `query.rs` to say.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// The ASCII characters that are invalid in a query (RFC 3986, section 3.4). `%` is not among them: it belongs to
/// characters that are encoded already, or the client made a mistake, which `query.rs` reports.
const INVALID: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The same within a name or a value.
const INVALID_IN_PARTS: &AsciiSet = &INVALID.add(b'&').add(b'=');

/// The same in a name or a value that the sender decoded.
const INVALID_IN_DECODED_PARTS: &AsciiSet = &INVALID_IN_PARTS.add(b'%').add(b'+');

/// How a sender passes names and values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Parts {
    /// Percent-encoded as the client sent them.
    AsSent,
    /// Decoded: `+` and `%20` are a space, `%2B` is `+`.
    Decoded,
}

/// The query of an event that has it as one text; empty if there is none.
///
/// # Errors
///
/// [`Refusal::Event`] if it is no text.
pub(super) fn of_text(query: &Value) -> Result<String, Refusal> {
    match query {
        Value::Null => Ok(String::new()),
        Value::String(query) => Ok(utf8_percent_encode(query, INVALID).to_string()),
        _ => Err(Refusal::Event),
    }
}

/// The query of an event that has parameters by name: `all` their values, or only the `last` value of each. Empty if
/// there are none. The values of one name keep their order; an event does not have the order of different names.
///
/// # Errors
///
/// [`Refusal::Event`] if these are no parameters by name, or a value is no text.
pub(super) fn of_parameters(all: &Value, last: &Value, parts: Parts) -> Result<String, Refusal> {
    let named = match parameters(all)? {
        Some(named) => Some(named),
        None => parameters(last)?,
    };
    let invalid = match parts {
        Parts::AsSent => INVALID_IN_PARTS,
        Parts::Decoded => INVALID_IN_DECODED_PARTS,
    };
    let mut query = Vec::new();
    for (name, values) in named.into_iter().flatten() {
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        for value in values {
            let value = value.as_str().ok_or(Refusal::Event)?;
            let [name, value] = [name, value].map(|part| utf8_percent_encode(part, invalid));
            query.push(format!("{name}={value}"));
        }
    }
    Ok(query.join("&"))
}

/// The parameters of one member of an event, if it has any.
fn parameters(member: &Value) -> Result<Option<&Map<String, Value>>, Refusal> {
    match member {
        Value::Null => Ok(None),
        Value::Object(named) => Ok(Some(named).filter(|named| !named.is_empty())),
        _ => Err(Refusal::Event),
    }
}
