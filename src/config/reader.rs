//! Reads single variables, and says of each mistake which variable has it.

use std::collections::HashSet;
use std::path::PathBuf;

use url::Url;

use crate::domain::{AgentName, RepositoryName, looks_like, unwrapped};

/// A repository as people paste it: `owner/name`, its page's address, or an address to clone it from, on this server.
fn repository(word: &str, server: &Url) -> Result<RepositoryName, String> {
    let host = server.host_str().unwrap_or_default();
    let address = word.split_once("://").map(|(_, rest)| rest).or_else(|| word.strip_prefix("git@"));
    let path = match address {
        None => word,
        Some(address) => {
            let (there, path) = address.split_once(['/', ':']).unwrap_or((address, ""));
            let there = there.strip_prefix("git@").unwrap_or(there);
            if !there.eq_ignore_ascii_case(host) && !there.eq_ignore_ascii_case(&format!("www.{host}")) {
                return Err(format!("it is on another host than {host} (GITHUB_SERVER_URL)"));
            }
            path
        }
    };
    // GitHub lets no repository's name end in `.git`.
    let path = path.trim_end_matches('/');
    let name = path.strip_suffix(".git").unwrap_or(path);
    RepositoryName::parse(name).map_err(|why| match looks_like(word) {
        Some(form) => format!("{why}, but {form}"),
        None => why.to_string(),
    })
}

/// A URL that requests with a token may be sent to.
fn checked_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(Url::has_host).ok_or("is not a URL")?;
    let host = url.host_str().unwrap_or_default();
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has credentials in it: they belong into a secret".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if LOOPBACK.contains(&host) => Ok(url),
        // The token would cross the network unencrypted.
        "http" => Err(format!(
            "is http://{host}: only the loopback ({}) may be asked without encryption, use https://{host}",
            LOOPBACK.join(", ")
        )),
        _ => Err("is not a https URL".to_owned()),
    }
}

/// The hosts that http is enough for.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Reads variables and collects what is wrong with them. A mistake yields some value, so that reading goes on.
pub(super) struct Reader<L> {
    lookup: L,
    pub(super) mistakes: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    /// Reads the variables that `lookup` knows.
    pub(super) fn new(lookup: L) -> Self {
        Self { lookup, mistakes: Vec::new() }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| unwrapped(&value)).filter(|value| !value.is_empty())
    }

    pub(super) fn required(&mut self, name: &str, what: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.mistakes.push(format!("{name} is not set: it names {what}"));
            String::new()
        })
    }

    /// Says where a developer's `cargo lambda watch` gets the required variables from. Only cargo-lambda's runtime API
    /// has a path; Lambda's is a host and a port (AWS's docs on custom runtimes: `AWS_LAMBDA_RUNTIME_API`).
    pub(super) fn suggest_local_world(&mut self) {
        let is_cargo_lambda = || self.text("AWS_LAMBDA_RUNTIME_API").is_some_and(|api| api.contains("/.rt/"));
        if self.text("TABLE_NAME").is_none() && is_cargo_lambda() {
            self.mistakes.push(
                "to run on this machine, use `make dev`, which starts the local services and both functions; or, while \
                 it runs, `cargo lambda watch --invoke-port 9001 --env-file target/dev.env`"
                    .to_owned(),
            );
        }
    }

    pub(super) fn file(&mut self, name: &str) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(name)?);
        // Comments in it may be of any encoding.
        let begin = b"-----BEGIN CERTIFICATE-----";
        let holds_certificates =
            std::fs::read(&path).is_ok_and(|text| text.windows(begin.len()).any(|window| window == begin));
        if !holds_certificates {
            self.mistakes
                .push(format!("{name} is `{}`: that is no PEM file of certificates", path.display()));
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
                    .push(format!("{name} is `{text}`: it takes a whole number from {least} to {most}"));
                default
            }
        }
    }

    pub(super) fn url(&mut self, name: &str, default: &str) -> Url {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        match checked_url(text.trim_end_matches('/')) {
            Ok(url) => url,
            Err(why) => {
                // The text is not repeated: it may hold a password.
                self.mistakes.push(format!("{name} {why}; it takes a URL such as {default}"));
                Url::parse(default).expect("the default is a URL")
            }
        }
    }

    pub(super) fn agent_name(&mut self, name: &str, default: &str) -> AgentName {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        AgentName::parse(&text).unwrap_or_else(|why| {
            self.mistakes.push(format!("{name} is `{text}`: {why}"));
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
                Ok(name) => self.mistakes.push(format!("REPOSITORIES names `{name}` twice")),
                Err(why) => self.mistakes.push(format!("REPOSITORIES, name {place}: {why}")),
            }
        }
        repositories
    }

    /// The text of the file that `REPOSITORIES` names, without its comments and its byte-order mark. Lambda's variables hold 4 KB together,
    /// which a large fleet does not fit into. Its path starts at the working directory: beside the function.
    fn names_in(&mut self, file: &str) -> String {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(cause) => {
                self.mistakes.push(format!(
                    "REPOSITORIES names the file `{file}`, which cannot be read: {cause}; put it beside the function, \
                     or the names into the variable itself"
                ));
                return String::new();
            }
        };
        let text = text.trim_start_matches('\u{feff}');
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let names = lines.collect::<Vec<_>>().join("\n");
        if names.split([',', '\n']).all(|word| word.trim().is_empty()) {
            self.mistakes.push(format!(
                "REPOSITORIES names the file `{file}`, which names no repository: write some into it, as owner/name"
            ));
        }
        names
    }
}
