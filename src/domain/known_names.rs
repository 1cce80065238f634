//! Which repositories names refer to, as far as one execution environment has read it.

use std::collections::HashMap;

use super::{RepositoryId, RepositoryName};

/// The most names that are kept. With more, reading starts again.
const MAX_NAMES: usize = 20_000;

/// Which repositories names refer to. It holds while the version stays: a pass that finds another name makes a new one.
#[derive(Debug, Default)]
pub struct KnownNames {
    version: String,
    ids: HashMap<String, RepositoryId>,
    names: HashMap<RepositoryId, RepositoryName>,
    has_all: bool,
}

impl KnownNames {
    /// Forgets everything if this is another version than before.
    pub fn keep(&mut self, version: &str) {
        if self.version != version {
            *self = Self { version: version.to_owned(), ..Self::default() };
        }
    }

    /// The repository with this name, in any case; `None` if it has not been read.
    pub fn id(&self, name: &RepositoryName) -> Option<RepositoryId> {
        self.ids.get(&name.key()).copied()
    }

    /// A name of this repository; `None` if none has been read.
    pub fn name(&self, id: RepositoryId) -> Option<&RepositoryName> {
        self.names.get(&id)
    }

    /// Whether all names were read, so that a name that is not known refers to no repository.
    pub fn has_all(&self) -> bool {
        self.has_all
    }

    /// Adds a name, if `version` is still current.
    pub fn learn(&mut self, version: &str, name: &RepositoryName, id: RepositoryId) {
        if self.version != version {
            return;
        }
        if self.ids.len() >= MAX_NAMES {
            *self = Self { version: version.to_owned(), ..Self::default() };
        }
        self.ids.insert(name.key(), id);
        self.names.entry(id).or_insert_with(|| name.clone());
    }

    /// Adds how a repository is called on its pages, if `version` is still current.
    pub fn learn_page(&mut self, version: &str, name: &RepositoryName, id: RepositoryId) {
        if self.version == version && self.names.len() < MAX_NAMES {
            self.names.entry(id).or_insert_with(|| name.clone());
        }
    }

    /// Notes that all names were read, if `version` is still current.
    pub fn learned_all(&mut self, version: &str) {
        self.has_all |= self.version == version;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_until_the_version_changes() {
        let name = |text: &str| RepositoryName::parse(text).expect("a name");
        let mut known = KnownNames::default();
        known.keep("1");
        known.learn("1", &name("acme/api"), RepositoryId(7));
        known.learn("0", &name("acme/web"), RepositoryId(8));
        known.learned_all("1");
        known.keep("1");
        assert_eq!((known.id(&name("Acme/API")), known.id(&name("acme/web"))), (Some(RepositoryId(7)), None));
        assert_eq!(known.name(RepositoryId(7)), Some(&name("acme/api")));
        assert!(known.has_all());
        known.keep("2");
        assert_eq!((known.id(&name("acme/api")), known.has_all()), (None, false));
    }
}
