//! Pages of lists: how many items, and where a list continues.
//!
//! A cursor names the last item of its page by a key that never changes. It also holds a digest of everything that
//! determines what the list contains, so that it continues no other list by mistake.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::domain::Fingerprint;

/// The most items of a page.
pub const MAX_LIMIT: u16 = 200;

/// The most agents of a page: one request shows a large fleet.
pub const MAX_AGENTS: u16 = 500;

/// A page ends with the item that makes its items longer than this, in bytes of JSON. A load balancer passes on 1 MB,
/// in which the page is a text with escapes, and Lambda 6 MB.
pub(super) const MAX_BYTES: usize = 500_000;

/// The start of every cursor of this version.
const VERSION: &str = "1";

/// The longest cursor that is read, in characters. Ours are shorter.
const MAX_LENGTH: usize = 256;

/// A cursor as a client sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// Why a cursor cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCursor {
    /// No response of this API contains it.
    #[error("is not a cursor of this list; pass on the nextCursor of a response unchanged")]
    Unknown,
    /// It continues a list with other filters.
    #[error(
        "belongs to a list with other filters or of another configuration; send the same filters with it, or start without a cursor"
    )]
    OtherList,
}

/// The request for one page.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The most items, 1 to [`MAX_LIMIT`], or to [`MAX_AGENTS`].
    pub limit: u16,
    /// Where to continue; `None` for the first page.
    pub cursor: Option<Cursor>,
}

/// What a client gets of a list.
#[derive(Clone, Debug)]
pub enum Reading<T> {
    /// It has the current list already.
    Unchanged {
        /// The list's tag.
        tag: String,
    },
    /// The list.
    Read {
        /// Its tag; `None` if that is the digest of the response's body.
        tag: Option<String>,
        /// The page.
        page: T,
    },
}

/// Where a list continues: after the item with this key, in the form of the list's own.
pub trait Position: Sized {
    /// The key as text.
    fn to_text(&self) -> String;
    /// Reads [`Self::to_text`], and nothing else.
    fn from_text(text: &str) -> Option<Self>;
}

impl PageRequest {
    /// The position after which the list `list` continues; `None` from the start. `list` is the list's name with all
    /// its filters.
    ///
    /// # Errors
    /// [`InvalidCursor`] if the cursor is not one of this list.
    pub fn after<P: Position>(&self, list: &str) -> Result<Option<P>, InvalidCursor> {
        let Some(Cursor(text)) = &self.cursor else { return Ok(None) };
        let bytes = Some(text).filter(|text| text.len() <= MAX_LENGTH);
        let bytes = bytes.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let plain = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(InvalidCursor::Unknown)?;
        let mut parts = plain.splitn(3, ' ');
        let (Some(VERSION), Some(digest), Some(position)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidCursor::Unknown);
        };
        if digest != Fingerprint::of(list).as_str() {
            return Err(InvalidCursor::OtherList);
        }
        P::from_text(position).map(Some).ok_or(InvalidCursor::Unknown)
    }
}

/// The cursor after `position` of the list `list`.
pub(super) fn cursor_after(list: &str, position: &impl Position) -> String {
    let digest = Fingerprint::of(list);
    URL_SAFE_NO_PAD.encode(format!("{VERSION} {} {}", digest.as_str(), position.to_text()))
}

/// Takes the page out of what was read: the items that `show` shows, at most `limit` of them, and about [`MAX_BYTES`].
/// The cursor is that of the last item that was looked at or, if all were, where the list continues after them (`rest`);
/// `None` if nothing is left.
pub(super) fn cut<T, P: Position, V: Serialize>(
    read: Vec<T>,
    rest: Option<P>,
    limit: u16,
    list: &str,
    position: impl Fn(&T) -> P,
    show: impl Fn(&T) -> Option<V>,
) -> (Vec<V>, Option<String>) {
    let mut shown = Vec::new();
    let (mut seen, mut bytes) = (0, 0);
    while shown.len() < usize::from(limit)
        && bytes < MAX_BYTES
        && let Some(item) = read.get(seen)
    {
        if let Some(view) = show(item) {
            bytes += serde_json::to_vec(&view).map_or(0, |json| json.len());
            shown.push(view);
        }
        seen += 1;
    }
    let next = if seen < read.len() { read.get(seen - 1).map(position) } else { rest };
    (shown, next.map(|next| cursor_after(list, &next)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq)]
    struct Number(u64);

    impl Position for Number {
        fn to_text(&self) -> String {
            self.0.to_string()
        }

        fn from_text(text: &str) -> Option<Self> {
            text.parse().ok().map(Self).filter(|number| number.to_text() == text)
        }
    }

    fn after(cursor: String, list: &str) -> Result<Option<Number>, InvalidCursor> {
        PageRequest { limit: 50, cursor: Some(Cursor(cursor)) }.after(list)
    }

    #[test]
    fn cursor_continues_its_own_list_only() {
        let cursor = cursor_after("issues state=open", &Number(7));
        assert_eq!(after(cursor.clone(), "issues state=open"), Ok(Some(Number(7))));
        assert_eq!(after(cursor.clone(), "issues state=all"), Err(InvalidCursor::OtherList));
        assert_eq!(after(format!("{cursor}A"), "issues state=open"), Err(InvalidCursor::Unknown));
        assert_eq!(after(String::new(), "issues state=open"), Err(InvalidCursor::Unknown));
    }

    #[test]
    fn every_mistake_in_a_cursor_has_its_sentence() {
        let sentences = [InvalidCursor::Unknown, InvalidCursor::OtherList].map(|wrong| wrong.to_string());
        insta::assert_snapshot!(sentences.join("\n"), @"
        is not a cursor of this list; pass on the nextCursor of a response unchanged
        belongs to a list with other filters or of another configuration; send the same filters with it, or start without a cursor
        ");
    }

    proptest! {
        #[test]
        fn any_text_is_a_cursor_or_a_mistake(text in any::<String>()) {
            prop_assert!(after(text, "issues").is_err());
        }

        #[test]
        fn position_survives(number in any::<u64>()) {
            prop_assert_eq!(after(cursor_after("issues", &Number(number)), "issues"), Ok(Some(Number(number))));
        }
    }
}
