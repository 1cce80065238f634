//! The path that the routes see: without API Gateway's prefixes and without surplus slashes.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The first segment of every route.
const ROOT: &str = "api";

/// The ASCII characters that are invalid in a path. `%` is not among them: it belongs to characters that are encoded
/// already.
const INVALID_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path of a request for the router, percent-encoded, starting with `/`.
///
/// - The name of an API Gateway `stage` at the start is removed. A stage's root, with its slash, is `/`.
/// - Everything before the first `/api/` is the base path of a custom domain (an API mapping) and is removed, unless it
///   has characters that no mapping can have. A mapping that is itself called `api` is recognized only by `proxied`,
///   the part of the path that a `{proxy+}` resource matched.
/// - Repeated slashes count as one, and a slash at the end is ignored.
///
/// Everything else stays as it was sent: dot segments are not resolved, and nothing is decoded.
pub(super) fn routed(sent: &str, stage: Option<&str>, proxied: Option<&str>) -> String {
    let path = without_stage(sent, stage);
    let path = proxied.and_then(|proxied| without_base_path(path, proxied)).unwrap_or(path);
    let path = encoded(path);
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let root = segments.iter().position(|segment| *segment == ROOT);
    match root.filter(|root| segments[..*root].iter().all(|segment| is_of_a_mapping(segment))) {
        // An empty agent name, for example from an unset variable, is an invalid name rather than another path.
        Some(root) if segments[root..] == [ROOT, "agents", "heartbeat"] && path.contains("agents//") => {
            "/api/agents//heartbeat".to_owned()
        }
        Some(root) => format!("/{}", segments[root..].join("/")),
        None => path,
    }
}

/// Removes the name of the stage, which API Gateway puts before the path, but only if the rest is `/` or starts with `/api/`:
/// a stage may be called `api`. Without its slash the stage stays: from there a relative reference leads out of the stage.
fn without_stage<'a>(path: &'a str, stage: Option<&str>) -> &'a str {
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage));
    rest.filter(|rest| *rest == "/" || rest.starts_with("/api/")).unwrap_or(path)
}

/// The part of the path that API Gateway matched, with its slash, if the path ends with it and it starts with `/api/`.
fn without_base_path<'a>(path: &'a str, proxied: &str) -> Option<&'a str> {
    let slash = path.strip_suffix(proxied)?.len().checked_sub(1)?;
    Some(&path[slash..]).filter(|rest| rest.starts_with("/api/"))
}

/// Whether a base path can have this segment: letters, digits and `$-_.+!*'()`
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-mappings.html>), but no dot segment.
fn is_of_a_mapping(segment: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_.+!*'()".contains(&byte);
    !matches!(segment, "." | "..") && segment.bytes().all(is_allowed)
}

/// Encodes what is invalid in a path and leaves the rest unchanged: some senders decode paths, others do not.
fn encoded(path: &str) -> String {
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{slash}{}", utf8_percent_encode(path, INVALID_IN_PATHS))
}
