//! Reads single variables. Each mistake names its variable.

use std::collections::HashSet;
use std::path::PathBuf;

use url::Url;

use crate::domain::{AgentName, RepositoryName, looks_like, unwrapped};

/// A repository as people paste it: `owner/name`, the URL of its page, or a URL to clone it from, on this server.
fn repository(word: &str, server: &Url) -> Result<RepositoryName, String> {
    let host = server.host_str().unwrap_or_default();
    let address = word.split_once("://").map(|(_, rest)| rest).or_else(|| word.strip_prefix("git@"));
    let path = match address {
        None => word,
        Some(address) => {
            let (there, path) = address.split_once(['/', ':']).unwrap_or((address, ""));
            let there = there.strip_prefix("git@").unwrap_or(there);
            if !there.eq_ignore_ascii_case(host) && !there.eq_ignore_ascii_case(&format!("www.{host}")) {
                return Err(format!("its host is not {host} (see GITHUB_SERVER_URL)"));
            }
            path
        }
    };
    // No repository's name on GitHub ends in `.git`.
    let path = path.trim_end_matches('/');
    let name = path.strip_suffix(".git").unwrap_or(path);
    RepositoryName::parse(name).map_err(|why| match looks_like(word) {
        Some(form) => format!("{why}, but {form}"),
        None => why.to_string(),
    })
}

/// A URL that is safe for requests with a token.
fn checked_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(Url::has_host).ok_or("must be a URL")?;
    let host = url.host_str().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain credentials; store them in a secret".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must not have a query or a fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if LOOPBACK.contains(&host) => Ok(url),
        // The token would cross the network unencrypted.
        "http" => Err(format!(
            "must use https (got http://{host}): http is allowed for loopback hosts only ({})",
            LOOPBACK.join(", ")
        )),
        _ => Err("must be an https URL".to_owned()),
    }
}

/// The hosts that may be called without encryption.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Reads variables and collects mistakes. An invalid variable yields a placeholder, so that reading continues.
pub(super) struct Reader<L> {
    lookup: L,
    pub(super) mistakes: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    pub(super) fn new(lookup: L) -> Self {
        Self { lookup, mistakes: Vec::new() }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| unwrapped(&value)).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&mut self, name: &str, what: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.mistakes.push(format!("{name} is required ({what})"));
            String::new()
        })
    }

    /// Shows developers how `cargo lambda watch` gets the required variables. Only cargo-lambda's runtime API has a
    /// path; Lambda's is a host and a port (AWS's docs on custom runtimes: `AWS_LAMBDA_RUNTIME_API`).
    pub(super) fn suggest_local_world(&mut self) {
        let is_cargo_lambda = || self.text("AWS_LAMBDA_RUNTIME_API").is_some_and(|api| api.contains("/.rt/"));
        if self.text("TABLE_NAME").is_none() && is_cargo_lambda() {
            self.mistakes.push(
                "to run locally, use `make dev`, which starts the local services and both functions; while it runs, you can \
                 also use `cargo lambda watch --invoke-port 9001 --env-file target/dev.env`"
                    .to_owned(),
            );
        }
    }

    pub(super) fn file(&mut self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(name)?);
        // Comments in the file may have any encoding.
        let begin = b"-----BEGIN CERTIFICATE-----";
        let holds_certificates =
            std::fs::read(&path).is_ok_and(|text| text.windows(begin.len()).any(|window| window == begin));
        if !holds_certificates {
            self.mistakes
                .push(format!("{name} must be a PEM file with certificates (got `{}`)", path.display()));
        }
        Some(path)
    }

    pub(super) fn number(&mut self, name: &str, default: u64, least: u64, most: u64) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.mistakes
                    .push(format!("{name} must be an integer from {least} to {most} (got `{text}`)"));
                default
            }
        }
    }

    pub(super) fn url(&mut self, name: &str, default: &str) -> Url {
        self.optional_url(name, default).unwrap_or_else(|| Url::parse(default).expect("the default is a URL"))
    }

    /// A URL; `None` if the variable is not set or is invalid.
    pub(super) fn optional_url(&mut self, name: &str, example: &str) -> Option<Url> {
        let checked = checked_url(self.text(name)?.trim_end_matches('/'));
        // The value is not repeated: it may contain a password.
        checked.map_err(|why| self.mistakes.push(format!("{name} {why}; example: {example}"))).ok()
    }

    pub(super) fn agent_name(&mut self, name: &str, default: &str) -> AgentName {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        AgentName::parse(&text).unwrap_or_else(|why| {
            self.mistakes.push(format!("{name} is invalid (`{text}`): {why}"));
            AgentName::parse(default).expect("the default is a name")
        })
    }

    pub(super) fn repositories(&mut self, server: &Url) -> Vec<RepositoryName> {
        let mut seen = HashSet::new();
        let mut repositories = Vec::new();
        let text = self.text("REPOSITORIES").unwrap_or_default();
        let text = text.strip_prefix('@').map(|file| self.names_in(file.trim())).unwrap_or(text);
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        for (place, word) in (1..).zip(words) {
            match repository(&unwrapped(word), server) {
                Ok(name) if seen.insert(name.key()) => repositories.push(name),
                Ok(name) => self.mistakes.push(format!("REPOSITORIES lists `{name}` twice")),
                Err(why) => self.mistakes.push(format!("REPOSITORIES, entry {place}: {why}")),
            }
        }
        repositories
    }

    /// The text of the file that `REPOSITORIES` names, without comments and byte-order mark. Large fleets need a file
    /// because Lambda limits all variables together to 4 KB. A relative path starts in the function's own folder.
    fn names_in(&mut self, file: &str) -> String {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(cause) => {
                self.mistakes.push(format!(
                    "REPOSITORIES: cannot read the file `{file}`: {cause}; add it to the function's package, or list the \
                     repositories in the variable itself"
                ));
                return String::new();
            }
        };
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let names = lines.collect::<Vec<_>>().join("\n");
        if names.split([',', '\n']).all(|word| word.trim().is_empty()) {
            self.mistakes.push(format!(
                "REPOSITORIES: the file `{file}` lists no repositories; add some as owner/name"
            ));
        }
        names
    }
}
