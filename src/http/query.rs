//! Reads the query of a request strictly: a misspelt or malformed filter is a mistake, so it never means "everything".
//!
//! A handler names its parameters and gets their values only if there is no mistake in the whole query:
//!
//! ```text
//! let (labels, state, limit) = query::read(uri.query(), |query| {
//!     (query.all("label", text), query.one("state", one_of(&STATES)), query.limit())
//! })?;
//! ```
//!
//! - The form is `application/x-www-form-urlencoded` (<https://url.spec.whatwg.org/#urlencoded-parsing>): parameters
//!   between `&`, the value after the first `=`, `+` is a space, empty parts are ignored. In addition, percent-encoding
//!   and UTF-8 must be valid.
//! - An unknown parameter is a mistake, and so is a second one of a kind that may be given once.
//! - An empty value is a mistake: `label=$LABEL` with an unset variable would otherwise select something else.
//! - No value is repeated in an answer, and no name that the client made up is in a sentence, because sentences are
//!   logged too.
//!
//! Routes without parameters (the heartbeat, health and the description) do not read their query: clients that add
//! something to it always worked.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::Serialize;
use utoipa::ToSchema;

use crate::views::{Cursor, MAX_LIMIT, PageRequest};

/// The longest query, in bytes, percent-encoded.
const MAX_QUERY: usize = 8 * 1024;

/// The most parameters of a query, repeated ones included.
const MAX_PARAMETERS: usize = 50;

/// The length, in characters, up to which an answer repeats the name of an unknown parameter.
const MAX_REPEATED_NAME: usize = 64;

/// How many items a list has if the client gives no `limit`, and how many it may have.
const DEFAULT_LIMIT: u16 = 50;
const LIMITS: RangeInclusive<u16> = 1..=MAX_LIMIT;

/// Why a query is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidQuery {
    /// It is longer than 8 KiB, or so long that it does not fit into a URI.
    #[error("the query exceeds {MAX_QUERY} bytes")]
    TooLong,
    /// It has more than 50 parameters.
    #[error("the query has more than {MAX_PARAMETERS} parameters")]
    TooManyParameters,
    /// All mistakes in its parameters; at least one.
    #[error("invalid query: {}", summary(.0))]
    Parameters(Vec<ParameterError>),
}

/// A mistake in one query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ParameterError {
    /// The parameter's name, at most 64 characters of it.
    // Borrowed if the route takes the parameter, owned if the client made the name up.
    #[schema(value_type = String)]
    parameter: Cow<'static, str>,
    /// What is wrong with it.
    detail: String,
}

/// A query from which a handler takes its parameters.
pub(super) struct Query {
    /// Names and values in their order. A value is `None` if it is not valid percent-encoded UTF-8.
    given: Vec<(String, Option<String>)>,
    /// The parameters that the handler has taken.
    taken: Vec<&'static str>,
    mistakes: Vec<ParameterError>,
}

/// Reads the parameters that the handler takes within `take`, which must take all that the route has.
///
/// # Errors
///
/// All mistakes of the query, or that the query is too long or has too many parameters.
pub(super) fn read<T>(query: Option<&str>, take: impl FnOnce(&mut Query) -> T) -> Result<T, InvalidQuery> {
    let mut query = Query::parse(query.unwrap_or_default())?;
    let taken = take(&mut query);
    query.finish()?;
    Ok(taken)
}

impl InvalidQuery {
    /// A mistake that can be seen only after reading, for example a cursor of another list.
    pub(super) fn of(parameter: &'static str, detail: impl Into<String>) -> Self {
        Self::Parameters(vec![ParameterError { parameter: Cow::Borrowed(parameter), detail: detail.into() }])
    }

    /// The mistakes in parameters; none if the query was not read.
    pub(super) fn errors(&self) -> &[ParameterError] {
        match self {
            Self::Parameters(errors) => errors,
            Self::TooLong | Self::TooManyParameters => &[],
        }
    }
}

impl Query {
    /// The value of a parameter that may be given once; `None` if it is not given, or if there is a mistake in it.
    /// The error of `parse` becomes the mistake's detail, for example `must be a whole number from 1 to 200`.
    pub(super) fn one<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let times = self.given.iter().filter(|(given, _)| given == name).count();
        if times > 1 {
            self.taken.push(name);
            self.mistake(Cow::Borrowed(name), format!("must be given once, not {times} times"));
            return None;
        }
        self.all(name, parse).pop()
    }

    /// The values of a parameter that may be repeated, in their order, without those that are a mistake.
    pub(super) fn all<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        self.taken.push(name);
        let given = self.given.iter().filter(|(given, _)| given == name);
        let parsed = given.map(|(_, value)| match value.as_deref() {
            None => Err("must be valid percent-encoded UTF-8".to_owned()),
            Some("") => Err("must not be empty; leave the parameter out instead".to_owned()),
            Some(value) => parse(value).map_err(|error| error.to_string()),
        });
        let mut values = Vec::new();
        for parsed in parsed.collect::<Vec<_>>() {
            match parsed {
                Ok(value) => values.push(value),
                Err(detail) => self.mistake(Cow::Borrowed(name), detail),
            }
        }
        values
    }

    /// How many items the client wants of a list: 1 to 200, and 50 if it does not say.
    pub(super) fn limit(&mut self) -> u16 {
        self.one("limit", whole_number(LIMITS)).unwrap_or(DEFAULT_LIMIT)
    }

    /// The page that the client wants of a list with at most [`MAX_LIMIT`] items. Only the list that issued the cursor can tell whether it is valid; see
    /// [`InvalidQuery::of`].
    pub(super) fn page(&mut self) -> PageRequest {
        self.page_up_to(MAX_LIMIT)
    }

    /// The page that the client wants of a list with at most `max` items: 50 if it does not say.
    pub(super) fn page_up_to(&mut self, max: u16) -> PageRequest {
        let cursor = self.one("cursor", text).map(Cursor);
        let limit = self.one("limit", whole_number(1..=max)).unwrap_or(DEFAULT_LIMIT);
        PageRequest { limit, cursor }
    }

    fn parse(query: &str) -> Result<Self, InvalidQuery> {
        if query.len() > MAX_QUERY {
            return Err(InvalidQuery::TooLong);
        }
        let parts: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
        if parts.len() > MAX_PARAMETERS {
            return Err(InvalidQuery::TooManyParameters);
        }
        let mut parsed = Self { given: Vec::new(), taken: Vec::new(), mistakes: Vec::new() };
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match decoded(name) {
                Some(name) => parsed.given.push((name, decoded(value))),
                None => parsed.mistake(
                    Cow::Owned(shortened(name)),
                    "the name of a parameter must be valid percent-encoded UTF-8".to_owned(),
                ),
            }
        }
        Ok(parsed)
    }

    /// The mistakes, if there are any. What the handler has not taken is unknown.
    fn finish(mut self) -> Result<(), InvalidQuery> {
        let taken = if self.taken.is_empty() { "none".to_owned() } else { self.taken.join(", ") };
        let detail = format!("unknown parameter; this route takes {taken}");
        for (name, _) in std::mem::take(&mut self.given) {
            if !self.taken.contains(&name.as_str()) {
                self.mistake(Cow::Owned(shortened(&name)), detail.clone());
            }
        }
        if self.mistakes.is_empty() { Ok(()) } else { Err(InvalidQuery::Parameters(self.mistakes)) }
    }

    /// Notes a mistake, once however often the client makes it.
    fn mistake(&mut self, parameter: Cow<'static, str>, detail: String) {
        let mistake = ParameterError { parameter, detail };
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }
}

/// Any value, as it is.
pub(super) fn text(value: &str) -> Result<String, Infallible> {
    Ok(value.to_owned())
}

/// A whole number within these limits, in digits only.
pub(super) fn whole_number<N: FromStr + PartialOrd + Display>(
    limits: RangeInclusive<N>,
) -> impl Fn(&str) -> Result<N, String> {
    move |value| {
        let digits = Some(value).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| limits.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", limits.start(), limits.end()))
    }
}

/// One of these names, for what it stands.
pub(super) fn one_of<T: Clone>(names: &[(&'static str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |value| {
        let named = names.iter().find(|(name, _)| *name == value).map(|(_, meaning)| meaning.clone());
        let names = || names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        named.ok_or_else(|| format!("must be one of {}", names()))
    }
}

/// The text that a part of the query encodes; `None` if it is not valid percent-encoded UTF-8.
fn decoded(part: &str) -> Option<String> {
    let is_encoded =
        |behind: &str| behind.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    let with_spaces = part.replace('+', " ");
    let text = percent_decode_str(&with_spaces).decode_utf8().ok()?;
    part.split('%').skip(1).all(is_encoded).then(|| text.into_owned())
}

/// A name of the client's, fit for an answer: short and without control characters.
fn shortened(name: &str) -> String {
    let visible = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
    name.chars().take(MAX_REPEATED_NAME).map(visible).collect()
}

/// The first mistake as a sentence, and how many others there are.
fn summary(mistakes: &[ParameterError]) -> String {
    let first = mistakes.first().map(|mistake| match &mistake.parameter {
        Cow::Borrowed(name) => format!("{name} {}", mistake.detail),
        Cow::Owned(_) => mistake.detail.clone(),
    });
    let first = first.unwrap_or_default();
    match mistakes.len() {
        0 | 1 => first,
        2 => format!("{first} (and 1 more mistake, see errors)"),
        all => format!("{first} (and {} more mistakes, see errors)", all - 1),
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
