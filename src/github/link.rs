//! The address of a listing's next page in GitHub's Link header.

use url::Url;

/// The `next` of a Link header.
pub(super) fn next(text: &str) -> Option<Url> {
    text.split(',').find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| parameter.trim() == r#"rel="next""#);
        is_next.then(|| Url::parse(target).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn next_link_in_any_place_is_found() {
        let header = r#"<https://a/repositories/1/issues?page=1>; rel="prev", <https://a/repositories/1/issues?after=Y3Vy%3D>; rel="next""#;
        assert_eq!(next(header).unwrap().as_str(), "https://a/repositories/1/issues?after=Y3Vy%3D");
        assert_eq!(next(r#"<https://a/?page=1>; rel="first""#), None);
        assert_eq!(next("nonsense"), None);
    }
}
