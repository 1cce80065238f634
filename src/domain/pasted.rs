//! Text as people paste it into secrets, variables and lists: one rule for what is removed around it, and one for naming
//! what it looks like where it cannot be read.

use serde_json::{Map, Value};

/// No name of a JSON entry is repeated that could be a token: agents' tokens have 32 characters and GitHub's 40.
const MAX_ENTRY_NAME: usize = 31;

/// The most names of entries that a message repeats.
const MAX_ENTRIES: usize = 8;

/// The text itself, without what tools put around it: a byte-order mark, white space at both ends, and quotation marks. A
/// JSON string reads as the text that it encodes.
pub fn unwrapped(text: &str) -> String {
    let mut text = trimmed(text).to_owned();
    // Twice: a tool that encodes a secret as a JSON string may be given one that is quoted already.
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

/// The value of the only entry of a JSON object, as a secret has it that was stored in the form of keys and values:
/// `{"GITHUB_TOKEN":"…"}`. `None` where there are several entries, or the value is not a text.
pub fn only_value(object: &Map<String, Value>) -> Option<String> {
    let mut values = object.values();
    let (Some(Value::String(only)), None) = (values.next(), values.next()) else { return None };
    Some(unwrapped(only))
}

/// What a text looks like that was to be one token or one document: `None` where it looks like nothing known. Repeats
/// nothing of the text but the names of JSON entries.
pub fn looks_like(text: &str) -> Option<String> {
    let said = match text.as_bytes() {
        [] => "an empty text",
        [b'{', ..] => return Some(object_looks_like(text)),
        [b'[', ..] => "a JSON list",
        _ if text.contains("-----BEGIN ") => "a key or a certificate in PEM",
        _ if is_header(text) => "an Authorization header, whose scheme does not belong to the token",
        _ if is_assignment(text) => "an assignment, NAME=value, whose name does not belong to the token",
        _ if text.contains(char::is_whitespace) => "several words or lines",
        _ => return None,
    };
    Some(said.to_owned())
}

/// The names of an object's entries, as a message may repeat them.
fn object_looks_like(text: &str) -> String {
    let object: Map<String, Value> = match serde_json::from_str(text) {
        Ok(object) => object,
        Err(error) => {
            return format!(
                "JSON that breaks off or is wrong at line {}, column {}",
                error.line(),
                error.column()
            );
        }
    };
    let is_telling = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        !name.is_empty() && name.len() <= MAX_ENTRY_NAME && name.bytes().all(is_plain)
    };
    let names =
        object.keys().map(|name| if is_telling(name) { format!("`{name}`") } else { "another".to_owned() });
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
    // The byte-order mark, and the zero-width space that web pages put beside what is copied from them.
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'))
}

fn without_quotes(text: &str) -> Option<&str> {
    const PAIRS: [(char, char); 5] = [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’')];
    PAIRS.iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(*open)?.strip_suffix(*close)?;
        // `"a", "b"` is a list, each item of which has its own.
        (!inner.contains([*open, *close])).then_some(inner)
    })
}

fn is_header(text: &str) -> bool {
    let scheme = text.split_once(' ').map_or("", |(scheme, _)| scheme);
    ["bearer", "token", "basic", "authorization:"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// `export` may stand before it. A token in base64 may end in `=`, but has nothing after that.
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
    fn what_tools_put_around_a_text_is_removed() {
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
    fn unreadable_text_is_named_by_its_form_alone() {
        let long = "x".repeat(32);
        for (text, said) in [
            ("", "an empty text"),
            ("[\"a\"]", "a JSON list"),
            ("{\"a\":1,\"b-c\":2}", "a JSON object with the entries `a`, `b-c`"),
            (&format!("{{\"{long}\":1}}"), "a JSON object with the entry another"),
            ("{\"a\":", "JSON that breaks off or is wrong at line 1, column 5"),
            ("{}", "a JSON object without entries"),
            ("-----BEGIN RSA PRIVATE KEY-----\nx", "a key or a certificate in PEM"),
            ("bearer x", "an Authorization header, whose scheme does not belong to the token"),
            ("GITHUB_TOKEN=x", "an assignment, NAME=value, whose name does not belong to the token"),
            ("export TOKEN=x", "an assignment, NAME=value, whose name does not belong to the token"),
            ("two words", "several words or lines"),
        ] {
            assert_eq!(looks_like(text).as_deref(), Some(said), "{text}");
        }
        for plain in ["token", "QUJD==", "a=b", "QUJD="] {
            assert_eq!(looks_like(plain), None, "{plain}");
        }
    }
}
