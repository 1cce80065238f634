//! Responses of the reading routes: JSON with a validator, `304 Not Modified` for a client that has it already, and the
//! link to the next page.

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use crate::domain::Fingerprint;
use crate::views::Reading;

const JSON: &str = "application/json";

/// The tags of the responses that a client already has: its `If-None-Match`.
pub(super) struct KnownTags<'h>(Vec<&'h str>);

impl<'h> KnownTags<'h> {
    pub(super) fn of(headers: &'h HeaderMap) -> Self {
        let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
        Self(lists.flat_map(|list| list.split(',')).map(opaque).collect())
    }

    /// The tags, each with its quotation marks and without its mark of weakness.
    pub(super) fn opaque(&self) -> &[&'h str] {
        &self.0
    }

    /// Whether the client has the response with this tag. `*` means any.
    pub(super) fn has(&self, tag: &str) -> bool {
        self.0.iter().any(|known| *known == "*" || *known == opaque(tag))
    }
}

/// A tag without its mark of weakness: `If-None-Match` compares tags without it (RFC 9110, section 13.1.2).
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// A body in JSON, tagged by its digest.
pub(super) fn shown(headers: &HeaderMap, body: &impl Serialize) -> Response {
    shown_as(JSON, headers, serde_json::to_vec(body).expect("a view serializes to JSON"))
}

/// A body of this media type, tagged by its digest.
pub(super) fn shown_as(kind: &'static str, headers: &HeaderMap, body: Vec<u8>) -> Response {
    let tag = format!("\"{}\"", Fingerprint::of_bytes(&body).as_str());
    if KnownTags::of(headers).has(&tag) { unchanged(&tag) } else { with_tag(of_kind(kind, body), &tag) }
}

/// A page of a list, with the link to the next one.
pub(super) fn page(
    headers: &HeaderMap,
    uri: &Uri,
    body: &impl Serialize,
    next_cursor: Option<&str>,
) -> Response {
    let shown = shown(headers, body);
    if shown.status() == StatusCode::OK { linked(shown, uri, next_cursor) } else { shown }
}

/// A page of a list whose tag may follow from more than its body, with the link to the next one.
pub(super) fn reading<T: Serialize>(
    headers: &HeaderMap,
    uri: &Uri,
    reading: Reading<T>,
    next_cursor: impl Fn(&T) -> Option<&str>,
) -> Response {
    match reading {
        Reading::Unchanged { tag } => unchanged(&tag),
        Reading::Read { tag: Some(tag), .. } if KnownTags::of(headers).has(&tag) => unchanged(&tag),
        Reading::Read { tag: Some(tag), page } => linked(tagged(&tag, &page), uri, next_cursor(&page)),
        Reading::Read { tag: None, page: body } => page(headers, uri, &body, next_cursor(&body)),
    }
}

/// The response to a client that has it already.
fn unchanged(tag: &str) -> Response {
    with_tag(StatusCode::NOT_MODIFIED.into_response(), tag)
}

/// A body with a tag of its own.
fn tagged(tag: &str, body: &impl Serialize) -> Response {
    with_tag(of_kind(JSON, serde_json::to_vec(body).expect("a view serializes to JSON")), tag)
}

/// Adds the link to the next page: a reference by query alone, so that it is right behind any base path.
fn linked(mut response: Response, uri: &Uri, next_cursor: Option<&str>) -> Response {
    let Some(cursor) = next_cursor else { return response };
    let query = uri.query().unwrap_or_default();
    let others = query.split('&').filter(|part| !part.is_empty() && !is_cursor(part));
    let cursor = format!("cursor={cursor}");
    let query = others.chain([cursor.as_str()]).collect::<Vec<_>>().join("&");
    if let Ok(link) = HeaderValue::try_from(format!("<?{query}>; rel=\"next\"")) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

fn is_cursor(part: &str) -> bool {
    part == "cursor" || part.starts_with("cursor=")
}

fn of_kind(kind: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

fn with_tag(mut response: Response, tag: &str) -> Response {
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_tags_are_compared_without_their_weakness() {
        let mut headers = HeaderMap::new();
        headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(r#""a", W/"b""#));
        headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(r#""c""#));
        let known = KnownTags::of(&headers);
        for tag in [r#""a""#, r#"W/"a""#, r#""b""#, r#"W/"c""#] {
            assert!(known.has(tag), "{tag}");
        }
        assert!(!known.has(r#""d""#));
        let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static("*"))]);
        assert!(KnownTags::of(&headers).has(r#""d""#));
    }

    #[test]
    fn link_keeps_the_query_but_for_the_cursor() {
        let link = |uri: &'static str, next| {
            let response = linked(StatusCode::OK.into_response(), &Uri::from_static(uri), next);
            response.headers().get(header::LINK).map(|link| link.to_str().expect("a text").to_owned())
        };
        assert_eq!(link("/api/issues", None), None);
        assert_eq!(link("/api/issues", Some("abc")).as_deref(), Some(r#"<?cursor=abc>; rel="next""#));
        let uri = "/api/issues?label=a%2Cb&cursor=old&limit=5";
        let expected = r#"<?label=a%2Cb&limit=5&cursor=abc>; rel="next""#;
        assert_eq!(link(uri, Some("abc")).as_deref(), Some(expected));
    }
}
