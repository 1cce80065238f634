//! The cursor that a program which follows the changes keeps between its requests.

use std::fmt;

use crate::domain::{DeliveryCursor, Sweep, Within};

/// What a cursor's text starts with. Another format gets another version.
const VERSION: &str = "v1.";

/// A cursor in the hands of a client: a delivery cursor, and the generation of the table that it belongs to.
///
/// Its text has at most 172 of the characters that a URL needs not to encode. Clients must not read anything into it.
/// The number of changes delivered so far, which only serves to count the rest, is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FeedCursor {
    pub(super) generation: u64,
    pub(super) delivery: DeliveryCursor,
}

impl FeedCursor {
    /// The cursor of this generation of the table.
    pub(super) fn new(generation: u64, delivery: DeliveryCursor) -> Self {
        Self { generation, delivery: DeliveryCursor { reported: 0, ..delivery } }
    }

    /// Reads the text of a cursor. `None` if no cursor has exactly this text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (generation, rest) = text.strip_prefix(VERSION)?.split_once('.')?;
        let (delivery, kinds_after) = rest.rsplit_once('.')?;
        let delivery = DeliveryCursor::from_text(&delivery.replace('.', "#"))?;
        let delivery = DeliveryCursor { kinds_after: kinds_after.parse().ok()?, ..delivery };
        let cursor = Self::new(generation.parse().ok()?, delivery);
        (cursor.is_consistent() && cursor.to_string() == text).then_some(cursor)
    }

    /// The highest fence that it names. A pass with this fence has ended when the cursor is made.
    pub(super) fn newest_fence(&self) -> u64 {
        let DeliveryCursor { fence, kinds_after, within, .. } = self.delivery;
        let upto = match within {
            Some(Within::Sweep(sweep)) => sweep.upto,
            Some(Within::Fence(..)) | None => 0,
        };
        fence.max(kinds_after).max(upto)
    }

    /// Whether its fences are in order, as in every cursor that the service makes. DynamoDB rejects a range that ends
    /// before it starts.
    fn is_consistent(&self) -> bool {
        match self.delivery.within {
            Some(Within::Sweep(Sweep { after, upto, last, .. })) => {
                let last = last.map_or(upto, |(fence, _)| fence);
                after < last && last <= upto
            }
            Some(Within::Fence(..)) | None => true,
        }
    }
}

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delivery = self.delivery.to_text().replace('#', ".");
        write!(f, "{VERSION}{}.{delivery}.{}", self.generation, self.delivery.kinds_after)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{IssueNumber, RepositoryId};

    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![0..200_u64, any::<u64>(), Just(u64::MAX)]
    }

    fn within() -> impl Strategy<Value = Option<Within>> {
        let issue = || (number(), number());
        let sweep = (number(), number(), number(), number(), prop::option::of(number()));
        prop_oneof![
            Just(None),
            issue().prop_map(|(repository, issue)| {
                Some(Within::Fence(RepositoryId(repository), IssueNumber(issue)))
            }),
            sweep.prop_filter_map("three different fences", |(a, b, c, repository, issue)| {
                let mut fences = [a, b, c];
                fences.sort_unstable();
                let [after, last, upto] = fences;
                let last = issue.map(|issue| (last, IssueNumber(issue)));
                let sweep = Sweep { after, upto, repository: RepositoryId(repository), last };
                (after < fences[1]).then_some(Some(Within::Sweep(sweep)))
            }),
        ]
    }

    fn cursor() -> impl Strategy<Value = FeedCursor> {
        (number(), number(), number(), within()).prop_map(|(generation, fence, kinds_after, within)| {
            let delivery = DeliveryCursor { fence, within, kinds_after, reported: 0 };
            FeedCursor::new(generation, delivery)
        })
    }

    /// One character, somewhere, replaced, inserted or removed.
    fn mistyped(text: &str, at: prop::sample::Index, with: Option<char>, is_inserted: bool) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at.index(characters.len());
        match with {
            Some(character) if is_inserted => characters.insert(at, character),
            Some(character) => characters[at] = character,
            None => drop(characters.remove(at)),
        }
        characters.into_iter().collect()
    }

    proptest! {
        #[test]
        fn text_of_any_cursor_reads_as_that_cursor(cursor in cursor()) {
            let text = cursor.to_string();
            prop_assert_eq!(FeedCursor::parse(&text), Some(cursor));
            prop_assert!(text.len() <= 172, "{} characters", text.len());
            // RFC 3986, section 2.3: these need no percent-encoding anywhere in a URL.
            prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c)), "{text}");
        }

        #[test]
        fn mistyped_text_is_no_cursor_or_another_one(
            cursor in cursor(),
            at in any::<prop::sample::Index>(),
            with in prop::option::of(prop_oneof![prop::char::range(' ', '~'), any::<char>()]),
            is_inserted in any::<bool>(),
        ) {
            let text = mistyped(&cursor.to_string(), at, with, is_inserted);
            if let Some(read) = FeedCursor::parse(&text) {
                prop_assert_eq!(read.to_string(), text);
            }
        }

        #[test]
        fn arbitrary_text_is_no_cursor(text in ".{0,300}") {
            prop_assert_eq!(FeedCursor::parse(&text), None);
        }
    }

    #[test]
    fn only_the_exact_text_of_a_possible_cursor_is_accepted() {
        let generation = "1763791200000";
        let of = |rest: &str| FeedCursor::parse(&format!("v1.{generation}.{rest}"));
        assert!(of("00000000000000000007.~.7").is_some());
        for rest in [
            "",
            "7.~.7",
            "00000000000000000007.~",
            "00000000000000000007.~.07",
            "00000000000000000007.~.+7",
            "00000000000000000007#~.7",
            "00000000000000000007.~.7.",
            "00000000000000000007.~.7 ",
            "+0000000000000000007.~.7",
            "00000000000000000007.~.18446744073709551616",
            // Ranges that end before they start.
            "00000000000000000007.~.00000000000000000007.00000000000000000007.1.~.7",
            "00000000000000000007.~.00000000000000000007.00000000000000000009.1.00000000000000000010.0000000001.7",
            "00000000000000000007.~.00000000000000000007.00000000000000000009.1.00000000000000000007.0000000001.7",
        ] {
            assert_eq!(of(rest), None, "{rest}");
        }
        let rest = format!("{generation}.00000000000000000007.~.7");
        for text in
            ["", "v1", "v1.", "v2.", &format!("V1.{rest}"), &format!("v2.{rest}"), &format!("v1.0{rest}")]
        {
            assert_eq!(FeedCursor::parse(text), None, "{text}");
        }
    }

    #[test]
    fn newest_fence_is_the_highest_one_in_the_text() {
        let at = |fence, kinds_after, within| {
            let delivery = DeliveryCursor { fence, within, kinds_after, reported: 0 };
            FeedCursor::new(0, delivery).newest_fence()
        };
        let sweep = Sweep { after: 3, upto: 9, repository: RepositoryId(70), last: None };
        assert_eq!(at(5, 4, None), 5);
        assert_eq!(at(5, 6, None), 6);
        assert_eq!(at(5, 4, Some(Within::Fence(RepositoryId(70), IssueNumber(80)))), 5);
        assert_eq!(at(5, 4, Some(Within::Sweep(sweep))), 9);
    }
}
