//! Ids and names of repositories.

use std::fmt;

use serde::{Deserialize, Serialize};

/// GitHub's numeric id of a repository. It survives renames, and a new repository
/// with an old name has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RepositoryId(pub u64);

impl fmt::Display for RepositoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A repository's `owner/name`. GitHub's names are case-insensitive: compare by [`RepositoryName::key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

/// The text is not a repository's name. Holds the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form owner/name")]
pub struct InvalidRepositoryName(pub String);

impl RepositoryName {
    /// Parses `owner/name`: an owner of letters, digits and hyphens (underscores for managed users), at most 39
    /// characters; a name of letters, digits, `.`, `_` and `-`, at most 100. These are GitHub's own limits.
    ///
    /// # Errors
    /// [`InvalidRepositoryName`] if the text has another form.
    pub fn parse(text: &str) -> Result<Self, InvalidRepositoryName> {
        let plain = |part: &str, extra: &[u8], max_length: usize| {
            !part.is_empty()
                && part.len() <= max_length
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        match text.split_once('/') {
            Some((owner, name))
                if plain(owner, b"-_", 39) && plain(name, b"._-", 100) && name != "." && name != ".." =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidRepositoryName(text.to_owned())),
        }
    }

    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the slash.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The part after the slash.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }

    /// The name in lower case: equal for all spellings of one repository.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RepositoryName {
    type Error = InvalidRepositoryName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<RepositoryName> for String {
    fn from(name: RepositoryName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::RepositoryName;

    #[test]
    fn repository_name_is_owner_slash_name() {
        for good in ["acme/api", "Acme-1/.github", "o/n_a.b-c"] {
            assert!(RepositoryName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "acme", "acme/", "/api", "a/b/c", "acme/..", "ac me/api", "acme/api?x", "äcme/api"] {
            assert!(RepositoryName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn invalid_repository_name_has_its_sentence() {
        let invalid = RepositoryName::parse("acme").unwrap_err();
        insta::assert_snapshot!(invalid, @"`acme` is not of the form owner/name");
    }
}
