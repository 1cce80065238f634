//! Repairs JSON whose strings are not valid Unicode: GitHub stores some of what people send as it is.

/// Replaces bytes that are not UTF-8 with question marks, and lone surrogates with U+FFFD. The length stays the same.
/// Returns whether anything was replaced.
pub(super) fn mend(json: &mut [u8]) -> bool {
    mend_bytes(json) | mend_surrogates(json)
}

fn mend_bytes(json: &mut [u8]) -> bool {
    let (mut start, mut is_mended) = (0, false);
    while let Err(error) = str::from_utf8(&json[start..]) {
        let wrong = start + error.valid_up_to();
        let length = error.error_len().unwrap_or(json.len() - wrong);
        json[wrong..wrong + length].fill(b'?');
        (start, is_mended) = (wrong + length, true);
    }
    is_mended
}

fn mend_surrogates(json: &mut [u8]) -> bool {
    let (mut at, mut is_mended) = (0, false);
    while let Some(next) = memchr::memchr(b'\\', &json[at..]) {
        at += next;
        match (surrogate(&json[at..]), json.get(at + 6..).and_then(surrogate)) {
            (Some(Surrogate::Leading), Some(Surrogate::Trailing)) => at += 12,
            (Some(_), _) => {
                json[at..at + 6].copy_from_slice(br"\ufffd");
                (at, is_mended) = (at + 6, true);
            }
            // The escape and what it escapes, which may be another backslash.
            (None, _) => at += 2,
        }
        if at >= json.len() {
            break;
        }
    }
    is_mended
}

enum Surrogate {
    Leading,
    Trailing,
}

/// The surrogate that a text begins with.
fn surrogate(json: &[u8]) -> Option<Surrogate> {
    let digits = json.strip_prefix(br"\u")?.get(..4)?;
    match u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()? {
        0xD800..=0xDBFF => Some(Surrogate::Leading),
        0xDC00..=0xDFFF => Some(Surrogate::Trailing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::mend;

    fn mended(json: &[u8]) -> (bool, Option<String>) {
        let mut json = json.to_vec();
        let is_mended = mend(&mut json);
        (is_mended, serde_json::from_slice(&json).ok())
    }

    #[test]
    fn json_that_is_no_unicode_reads_as_unicode_and_other_json_stays() {
        let cases: [(&[u8], bool, &str); 9] = [
            (br#""plain""#, false, "plain"),
            ("\"\u{1f600}\"".as_bytes(), false, "\u{1f600}"),
            (br#""\ud83d\ude00""#, false, "\u{1f600}"),
            (br#""\ud83d""#, true, "\u{fffd}"),
            (br#""\ude00\ud83d""#, true, "\u{fffd}\u{fffd}"),
            (br#""\ud83d\ud83d\ude00""#, true, "\u{fffd}\u{1f600}"),
            (br#""\\ud83d""#, false, r"\ud83d"),
            (b"\"a\xffb\"", true, "a?b"),
            (b"\"a\xf0\x9f\x98\"", true, "a???"),
        ];
        for (json, is_mended, text) in cases {
            assert_eq!(mended(json), (is_mended, Some(text.to_owned())));
        }
        assert_eq!(mended(br#""\u12"#), (false, None));
        assert_eq!(mended(br"\"), (false, None));
    }
}
