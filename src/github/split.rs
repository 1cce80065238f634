//! Splits a JSON array of objects into its elements while it arrives. Never more than one element is in memory.
//!
//! It only finds where elements end and does not parse them, so an element that cannot be parsed does not affect the
//! others.

use memchr::memchr2;

/// The longest string that is kept. GitHub allows a body of 262,144 bytes, and a control character takes six in JSON.
const MAX_STRING: usize = 6 * 262_144;

/// The longest element that is kept.
pub(super) const MAX_ELEMENT: usize = 2 * 1024 * 1024;

/// An escape such as `\u0001` is never longer.
const ESCAPE: usize = 6;

/// One element of the array.
pub(super) struct Element<'a> {
    /// Its JSON.
    pub(super) json: &'a mut [u8],
    /// Whether it was too long, so that parts of it are missing.
    pub(super) is_cut: bool,
}

/// Where a text turns out not to be an array of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotSplit {
    /// Whether it may be JSON of another structure.
    pub(super) is_json: bool,
    /// Whether not even the start of an array arrived.
    pub(super) is_at_start: bool,
    /// From 1.
    pub(super) line: usize,
    /// In that line. 0 is before its first character.
    pub(super) column: usize,
}

/// An array that is arriving.
#[derive(Debug)]
pub(super) struct Splitter {
    place: Place,
    /// How many objects and arrays are open within the element.
    depth: usize,
    string: Option<InString>,
    /// The element that is arriving, as far as it is kept.
    element: Vec<u8>,
    is_cut: bool,
    line: usize,
    column: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    FirstElement,
    NextElement,
    Element,
    AfterElement,
    End,
}

#[derive(Debug, Default)]
struct InString {
    length: usize,
    /// Where in the element the last escape began.
    last_escape: Option<usize>,
    is_escape: bool,
    is_cut: bool,
}

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Start,
            depth: 0,
            string: None,
            element: Vec::new(),
            is_cut: false,
            line: 1,
            column: 0,
        }
    }

    /// Reads the bytes that arrived, and calls `each` with every element that they complete.
    pub(super) fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Element<'_>),
    ) -> Result<(), NotSplit> {
        while let Some(first) = bytes.first() {
            let taken = match (self.place, &self.string) {
                (Place::Element, Some(_)) => self.string(bytes),
                (Place::Element, None) => self.object(bytes),
                _ => self.between(*first)?,
            };
            bytes = &bytes[taken..];
            if self.place == Place::Element && self.depth == 0 {
                each(Element { json: &mut self.element, is_cut: self.is_cut });
                self.element.clear();
                self.is_cut = false;
                self.place = Place::AfterElement;
            }
        }
        Ok(())
    }

    /// The end of the text.
    pub(super) fn end(&self) -> Result<(), NotSplit> {
        if self.place == Place::End { Ok(()) } else { Err(self.not_split(false)) }
    }

    /// Reads one byte between two elements, or the first one of an element.
    fn between(&mut self, byte: u8) -> Result<usize, NotSplit> {
        if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            self.count(byte);
            return Ok(1);
        }
        self.place = match (self.place, byte) {
            (Place::Start, b'[') => Place::FirstElement,
            (Place::FirstElement | Place::AfterElement, b']') => Place::End,
            (Place::AfterElement, b',') => Place::NextElement,
            (Place::FirstElement | Place::NextElement, b'{') => {
                self.depth = 1;
                self.keep(&[byte]);
                Place::Element
            }
            (Place::Start, _) if begins_json(byte) => return Err(self.not_split(true)),
            (Place::FirstElement | Place::NextElement, _) if begins_json(byte) => {
                self.column += 1;
                return Err(self.not_split(true));
            }
            _ => {
                self.column += 1;
                return Err(self.not_split(false));
            }
        };
        self.count(byte);
        Ok(1)
    }

    /// Reads an element up to its end or its next string.
    fn object(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for byte in bytes {
            taken += 1;
            self.count(*byte);
            match byte {
                b'"' => self.string = Some(InString::default()),
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => continue,
            }
            if self.string.is_some() || self.depth == 0 {
                break;
            }
        }
        self.keep(&bytes[..taken]);
        taken
    }

    /// Reads a string up to its end or its next escape.
    fn string(&mut self, bytes: &[u8]) -> usize {
        let mut string = self.string.take().unwrap_or_default();
        let taken = if std::mem::take(&mut string.is_escape) {
            self.keep_of(&mut string, &bytes[..1]);
            1
        } else {
            match memchr2(b'"', b'\\', bytes) {
                None => {
                    self.keep_of(&mut string, bytes);
                    bytes.len()
                }
                Some(end) => {
                    self.keep_of(&mut string, &bytes[..end]);
                    if bytes[end] == b'"' {
                        self.keep(&bytes[end..=end]);
                        self.column += end + 1;
                        return end + 1;
                    }
                    if !string.is_cut {
                        string.last_escape = Some(self.element.len());
                    }
                    self.keep_of(&mut string, &bytes[end..=end]);
                    string.is_escape = true;
                    end + 1
                }
            }
        };
        self.column += taken;
        self.string = Some(string);
        taken
    }

    /// Keeps a part of a string while the string is short enough. It never keeps half an escape.
    fn keep_of(&mut self, string: &mut InString, bytes: &[u8]) {
        string.length += bytes.len();
        if !string.is_cut && string.length > MAX_STRING {
            string.is_cut = true;
            self.is_cut = true;
            if let Some(escape) = string.last_escape.filter(|escape| self.element.len() < escape + ESCAPE) {
                self.element.truncate(escape);
            }
        }
        if !string.is_cut {
            self.keep(bytes);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let length = self.element.len() + bytes.len();
        if length > MAX_ELEMENT {
            self.is_cut = true;
            return;
        }
        if length > self.element.capacity() {
            let capacity = (2 * self.element.capacity()).clamp(length, MAX_ELEMENT);
            self.element.reserve_exact(capacity - self.element.len());
        }
        self.element.extend_from_slice(bytes);
    }

    fn count(&mut self, byte: u8) {
        if byte == b'\n' {
            (self.line, self.column) = (self.line + 1, 0);
        } else {
            self.column += 1;
        }
    }

    fn not_split(&self, is_json: bool) -> NotSplit {
        NotSplit { is_json, is_at_start: self.place == Place::Start, line: self.line, column: self.column }
    }
}

fn begins_json(byte: u8) -> bool {
    matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn split(pieces: &[&[u8]]) -> Result<Vec<String>, NotSplit> {
        let mut splitter = Splitter::new();
        let mut elements = Vec::new();
        for piece in pieces {
            splitter.push(piece, |element| {
                assert!(!element.is_cut);
                elements.push(String::from_utf8(element.json.to_vec()).expect("a text"));
            })?;
        }
        splitter.end()?;
        Ok(elements)
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
            "[\\\\\"{}\\[\\],:\u{1}\n]*".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    fn object() -> impl Strategy<Value = serde_json::Value> {
        prop::collection::btree_map("[a-z\"\\\\{]*", json(), 0..4)
            .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into())
    }

    proptest! {
        // A failing case is printed with its seed; no file of it is written into the tree.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn array_in_any_pieces_is_split_into_its_elements(
            objects in prop::collection::vec(object(), 0..5), is_pretty in any::<bool>(), size in 1..40_usize,
        ) {
            let text = match is_pretty {
                true => serde_json::to_string_pretty(&objects).unwrap(),
                false => serde_json::to_string(&objects).unwrap(),
            };
            let expected: Vec<&RawValue> = serde_json::from_str(&text).unwrap();
            let expected: Vec<&str> = expected.into_iter().map(RawValue::get).collect();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(split(&pieces).unwrap(), expected);
        }

        #[test]
        fn bytes_of_any_kind_never_panic_and_are_split_only_where_they_are_an_array(
            text in "[\\[\\]{},:\"\\\\ax1 \n]{0,40}", size in 1..10_usize,
        ) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            if serde_json::from_str::<Vec<serde_json::Map<String, serde_json::Value>>>(&text).is_ok() {
                prop_assert!(split(&pieces).is_ok());
            } else if let Ok(elements) = split(&pieces) {
                let is_object = |element: &String| serde_json::from_str::<serde_json::Value>(element).is_ok();
                prop_assert!(!elements.iter().all(is_object), "{text}");
            }
        }
    }

    #[test]
    fn text_that_is_no_array_of_objects_says_where_that_shows() {
        let wrong = |text: &str| {
            let NotSplit { is_json, line, column, .. } = split(&[text.as_bytes()]).unwrap_err();
            (is_json, line, column)
        };
        assert_eq!(wrong(""), (false, 1, 0));
        assert_eq!(wrong("<html>"), (false, 1, 1));
        assert_eq!(wrong("{}"), (true, 1, 0));
        assert_eq!(wrong("[1]"), (true, 1, 2));
        assert_eq!(wrong("[{},\n {\"a\":"), (false, 2, 6));
        assert_eq!(wrong("[{}] x"), (false, 1, 6));
    }

    #[test]
    fn element_of_any_length_is_held_up_to_its_limit_and_ends_as_json() {
        let escapes = "\\u0001".repeat(600_000);
        let text = format!(r#"[{{"body":"{escapes}","number":7}},{{"number":8}}]"#);
        for size in [1_000, 1_001, 1_002, 1_003, 1_004, 1_005] {
            let mut splitter = Splitter::new();
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                splitter
                    .push(piece, |element| {
                        let json: serde_json::Value = serde_json::from_slice(element.json).unwrap();
                        seen.push((json["number"].as_u64(), element.is_cut));
                    })
                    .unwrap();
                assert!(splitter.element.capacity() <= MAX_ELEMENT);
            }
            assert_eq!(seen, [(Some(7), true), (Some(8), false)]);
        }
    }
}
