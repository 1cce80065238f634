//! Text that people paste into secrets, variables and lists: what is removed around it, and how a message describes
//! text that cannot be read.

use serde_json::{Map, Value};

/// The maximum length of a JSON entry's name in a message. Longer ones could be tokens: agents' tokens have at least 32
/// characters and GitHub's have 40.
const MAX_ENTRY_NAME: usize = 31;

/// The maximum number of entries' names in a message.
const MAX_ENTRIES: usize = 8;

/// Removes what tools put around a text: a byte-order mark, white space at both ends, and quotation marks. Decodes a
/// JSON string.
pub fn unwrapped(text: &str) -> String {
    let mut text = trimmed(text).to_owned();
    // Twice, because a tool may encode a secret as a JSON string that is already quoted.
    for _ in 0..2 {
        let inner = match serde_json::from_str::<String>(&text) {
            Ok(inner) => inner,
            Err(_) => match without_quotes(&text) {
                Some(inner) => inner.to_owned(),
                None => break,
            },
        };
        text = trimmed(&inner).to_owned();
    }
    text
}

/// The value of a JSON object's only entry: secrets that are stored as key and value look like `{"GITHUB_TOKEN":"…"}`.
/// `None` if there are several entries or the value is not a string.
pub fn only_value(object: &Map<String, Value>) -> Option<String> {
    let mut values = object.values();
    let (Some(Value::String(only)), None) = (values.next(), values.next()) else { return None };
    Some(unwrapped(only))
}

/// Describes a text that should be a token or a document; `None` if it has no known form. The description repeats
/// nothing of the text but the names of JSON entries.
pub fn looks_like(text: &str) -> Option<String> {
    let description = match text.as_bytes() {
        [] => "an empty text",
        [b'{', ..] => return Some(object_looks_like(text)),
        [b'[', ..] => "a JSON list",
        _ if text.contains("-----BEGIN ") => "a key or a certificate in PEM",
        _ if is_header(text) => "an Authorization header instead of the token alone",
        _ if is_assignment(text) => "an assignment NAME=value instead of the value alone",
        _ if text.contains(char::is_whitespace) => "several words or lines",
        _ => return None,
    };
    Some(description.to_owned())
}

/// Describes a JSON object by the names of its entries, as far as a message may repeat them.
fn object_looks_like(text: &str) -> String {
    let object: Map<String, Value> = match serde_json::from_str(text) {
        Ok(object) => object,
        Err(error) => {
            return format!("invalid JSON (line {}, column {})", error.line(), error.column());
        }
    };
    let is_safe = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        !name.is_empty() && name.len() <= MAX_ENTRY_NAME && name.bytes().all(is_plain)
    };
    let names =
        object.keys().map(|name| if is_safe(name) { format!("`{name}`") } else { "another".to_owned() });
    let mut names: Vec<String> = names.collect();
    if names.is_empty() {
        return "a JSON object without entries".to_owned();
    }
    if names.len() > MAX_ENTRIES {
        names.truncate(MAX_ENTRIES);
        names.push("more".to_owned());
    }
    let entries = if object.len() == 1 { "the entry" } else { "the entries" };
    format!("a JSON object with {entries} {}", names.join(", "))
}

fn trimmed(text: &str) -> &str {
    // The byte-order mark, and the zero-width space that web pages add to copied text.
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

fn without_quotes(text: &str) -> Option<&str> {
    const PAIRS: [(char, char); 5] = [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’')];
    PAIRS.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        // `"a", "b"` is a list whose items have their own quotation marks.
        (!inner.contains([*open, *close])).then_some(inner)
    })
}

fn is_header(text: &str) -> bool {
    let scheme = text.split_once(' ').map_or("", |(scheme, _)| scheme);
    ["bearer", "token", "basic", "authorization:"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// Whether a text is an assignment, with or without `export`. A base64 token may end in `=`, but has nothing after it.
fn is_assignment(text: &str) -> bool {
    let text = text.strip_prefix("export ").unwrap_or(text);
    let Some((name, value)) = text.split_once('=') else { return false };
    let is_name = name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_name && !name.is_empty() && !value.trim_matches('=').is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_of_a_pasted_text_is_removed() {
        for text in [
            "token",
            "\u{feff}token\r\n",
            "\u{feff}\"token\"\n",
            "\"token\"",
            "\"token\\n\"",
            "'token'",
            "`token`",
            "“token”",
            " ' token ' ",
            "\"\\\"token\\\"\"",
            "\u{200b}token",
        ] {
            assert_eq!(unwrapped(text), "token", "{text:?}");
        }
    }

    #[test]
    fn quotes_that_belong_to_the_text_stay() {
        for text in ["\"a\", \"b\"", "\"", "to\"ken", "'token", "[\"a\"]", "{\"a\":\"b\"}", ""] {
            assert_eq!(unwrapped(text), text);
        }
    }

    #[test]
    fn unreadable_text_is_described_by_its_form_alone() {
        let long = "x".repeat(32);
        for (text, description) in [
            ("", "an empty text"),
            ("[\"a\"]", "a JSON list"),
            ("{\"a\":1,\"b-c\":2}", "a JSON object with the entries `a`, `b-c`"),
            (&format!("{{\"{long}\":1}}"), "a JSON object with the entry another"),
            ("{\"a\":", "invalid JSON (line 1, column 5)"),
            ("{}", "a JSON object without entries"),
            ("-----BEGIN RSA PRIVATE KEY-----\nx", "a key or a certificate in PEM"),
            ("bearer x", "an Authorization header instead of the token alone"),
            ("GITHUB_TOKEN=x", "an assignment NAME=value instead of the value alone"),
            ("export TOKEN=x", "an assignment NAME=value instead of the value alone"),
            ("two words", "several words or lines"),
        ] {
            assert_eq!(looks_like(text).as_deref(), Some(description), "{text}");
        }
        for plain in ["token", "QUJD==", "a=b", "QUJD="] {
            assert_eq!(looks_like(plain), None, "{plain}");
        }
    }
}
