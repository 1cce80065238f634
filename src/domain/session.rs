//! A session of the board: a cookie that stands in for a token in a browser, until it expires or the token does.
//!
//! Nothing is stored, and there is no second secret: the token's own digest authenticates the cookie. So a session ends with
//! its token, its rights are those that the token has now, and the cookie does not reveal the token.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;

use super::{AgentToken, AgentTokens};

/// The maximum duration of a session: a working day.
const MAX_DURATION: Duration = Duration::from_secs(12 * 3_600);

/// The version of the value's form. The authentication code covers it.
const VERSION: &str = "v1";

/// A session that begins.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    /// The value of the cookie: `v1.<fingerprint of the token>.<expiry>.<authentication code>`. The expiry is in seconds
    /// since 1970. The code is the HMAC-SHA256, under the token's whole SHA-256, of everything before the last dot, in
    /// URL-safe base64 without padding.
    pub value: String,
    /// When it ends, in whole seconds.
    pub expires_at: Timestamp,
    /// For how many seconds the browser keeps the cookie.
    pub max_age: u64,
}

impl Session {
    /// Begins a session of the holder of this token, which is valid now. It ends after 12 hours, or earlier when the token
    /// expires.
    pub fn begin(token: &AgentToken, now: Timestamp) -> Self {
        let latest = now + MAX_DURATION;
        let expires_at = token.expires_at().map_or(latest, |at| at.min(latest)).as_second();
        let signed = format!("{VERSION}.{}.{expires_at}", token.fingerprint().as_str());
        let code = hmac::sign(&key(token), signed.as_bytes());
        Self {
            value: format!("{signed}.{}", URL_SAFE_NO_PAD.encode(code)),
            expires_at: Timestamp::from_second(expires_at).expect("an earlier instant in whole seconds"),
            max_age: u64::try_from(expires_at - now.as_second()).unwrap_or_default(),
        }
    }

    /// The token of the session with this cookie. `None` if the value is malformed or was changed, if the session is over,
    /// or if its token is not valid any more.
    ///
    /// The comparison of the code takes constant time. The time does reveal whether a fingerprint is that of a valid token,
    /// which is no secret.
    pub fn token_of(value: &str, tokens: &AgentTokens, now: Timestamp) -> Option<AgentToken> {
        let (signed, code) = value.rsplit_once('.')?;
        let [version, fingerprint, expires_at] = signed.split('.').collect::<Vec<_>>().try_into().ok()?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        let token = tokens.with_fingerprint(fingerprint, now)?;
        hmac::verify(&key(&token), signed.as_bytes(), &code).ok()?;
        // The code is right, so this is what `begin` wrote, perhaps in another version of the service.
        let expires_at = Timestamp::from_second(expires_at.parse().ok()?).ok()?;
        (version == VERSION && now < expires_at).then_some(token)
    }
}

/// The key of a token's sessions. The cookie and the table show 64 bits of the digest, and never the other 192.
fn key(token: &AgentToken) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, token.digest())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::Right;

    const TOKEN: &str = "viewers-token-not-a-secret-0123456789";
    const OTHER: &str = "the-other-token-not-a-secret-0123456789";
    const NOW: &str = "2026-11-22T06:00:00.75Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn tokens(entries: serde_json::Value) -> AgentTokens {
        AgentTokens::read(&json!({ "tokens": entries }).to_string())
    }

    fn viewers() -> AgentTokens {
        tokens(json!([
            {"token": OTHER, "agents": ["alpha"]},
            {"token": TOKEN, "agents": ["*"], "may": ["read"]},
        ]))
    }

    fn begun(tokens: &AgentTokens) -> Session {
        Session::begin(&tokens.find(TOKEN, at(NOW)).expect("a valid token"), at(NOW))
    }

    fn is_valid(value: &str, tokens: &AgentTokens, now: &str) -> bool {
        let token = Session::token_of(value, tokens, at(now));
        token.is_some_and(|token| token.fingerprint() == crate::domain::Fingerprint::of(TOKEN))
    }

    /// The code is that of `openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf %s "$TOKEN" | sha256sum | cut -c1-64)`.
    #[test]
    fn value_has_the_documented_form() {
        let session = begun(&viewers());
        assert_eq!(session.expires_at, at("2026-11-22T18:00:00Z"));
        assert_eq!(session.max_age, 43_200);
        assert_eq!(
            session.value,
            "v1.5aba8051811ede88.1795370400.p8sLbzBaydhYgjjahXzaH05docFX1xZtVNGjvmbj6V4"
        );
    }

    #[test]
    fn session_lasts_twelve_hours() {
        let (tokens, session) = (viewers(), begun(&viewers()));
        assert!(is_valid(&session.value, &tokens, NOW));
        assert!(is_valid(&session.value, &tokens, "2026-11-22T17:59:59.999Z"));
        assert!(!is_valid(&session.value, &tokens, "2026-11-22T18:00:00Z"));
    }

    #[test]
    fn session_ends_no_later_than_its_token_expires() {
        let expiring = |at: &str| tokens(json!([{"token": TOKEN, "agents": ["*"], "expiresAt": at}]));
        let session = begun(&expiring("2026-11-22T07:00:00.5Z"));
        assert_eq!((session.expires_at, session.max_age), (at("2026-11-22T07:00:00Z"), 3_600));
        let longer = begun(&expiring("2026-12-22T06:00:00Z"));
        assert_eq!((longer.expires_at, longer.max_age), (at("2026-11-22T18:00:00Z"), 43_200));
        // The token may get an earlier expiry after sign-in.
        let sooner = expiring("2026-11-22T06:30:00Z");
        assert!(is_valid(&longer.value, &sooner, "2026-11-22T06:29:59Z"));
        assert!(!is_valid(&longer.value, &sooner, "2026-11-22T06:30:00Z"));
    }

    #[test]
    fn session_has_the_rights_that_its_token_has_now() {
        let session = begun(&viewers());
        let found = |entry| Session::token_of(&session.value, &tokens(json!([entry])), at(NOW));
        let found = found(json!({"token": TOKEN, "agents": ["alpha"], "may": ["beat"]})).expect("its token");
        assert!(found.may(Right::Beat) && !found.may(Right::Read));
        assert!(Session::token_of(&session.value, &tokens(json!([])), at(NOW)).is_none());
    }

    #[test]
    fn changed_value_is_no_session() {
        let (tokens, value) = (viewers(), begun(&viewers()).value);
        let parts: Vec<&str> = value.split('.').collect();
        let with = |place: usize, part: &str| {
            let mut parts = parts.clone();
            parts[place] = part;
            parts.join(".")
        };
        let others = Session::begin(&tokens.find(OTHER, at(NOW)).expect("a valid token"), at(NOW)).value;
        let others: Vec<&str> = others.split('.').collect();
        for changed in [
            with(0, "v2"),
            with(0, "V1"),
            with(0, ""),
            with(1, others[1]),
            with(1, &parts[1].to_uppercase()),
            with(1, ""),
            with(2, "1795370401"),
            with(2, &format!("+{}", parts[2])),
            with(2, &format!("0{}", parts[2])),
            with(2, "9223372036854775807"),
            with(2, "-1"),
            with(3, others[3]),
            with(3, &format!("{}=", parts[3])),
            with(3, &parts[3][1..]),
            with(3, ""),
            format!("{value}.{value}"),
            format!("{value}."),
            format!(".{value}"),
            format!(" {value}"),
            parts[..3].join("."),
            TOKEN.to_owned(),
            String::new(),
            "...".to_owned(),
        ] {
            assert_ne!(changed, value);
            assert!(Session::token_of(&changed, &tokens, at(NOW)).is_none(), "{changed}");
        }
    }

    #[test]
    fn each_changed_character_ends_the_session() {
        let (tokens, value) = (viewers(), begun(&viewers()).value);
        for place in 0..value.len() {
            for other in ["A", "0", "a", "_", "."] {
                let mut changed = value.clone();
                changed.replace_range(place..=place, other);
                assert_eq!(is_valid(&changed, &tokens, NOW), changed == value, "{changed}");
            }
        }
    }
}
