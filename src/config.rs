//! The environment, read once and checked whole: a bad configuration reports all its mistakes together.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::domain::{AgentName, RepositoryName, looks_like, unwrapped};

/// What the service is told by its environment. README.md's table describes each variable.
#[derive(Clone, Debug)]
pub struct Config {
    /// `TABLE_NAME`: the DynamoDB table.
    pub table_name: String,
    /// `AGENT_TOKENS_SECRET_ID`: the secret with the agents' tokens.
    pub agent_tokens_secret_id: String,
    /// `GITHUB_CREDENTIALS_SECRET_ID`: the secret with GitHub's token.
    pub github_credentials_secret_id: String,
    /// `REPOSITORIES`, or the file that it names: what is tracked, in the order given; no two alike.
    pub repositories: Vec<RepositoryName>,
    /// `GITHUB_API_URL`: where GitHub's REST API is, without a slash at the end.
    pub github_api_url: Url,
    /// `GITHUB_GRAPHQL_URL`: where GitHub's GraphQL API is.
    pub github_graphql_url: Url,
    /// `GITHUB_SERVER_URL`: where GitHub's web pages are, without a slash at the end. Reported URLs begin with it.
    pub github_server_url: Url,
    /// `SSL_CERT_FILE`: a PEM file of further trusted roots.
    pub ssl_cert_file: Option<PathBuf>,
    /// `EXCLUDED_LABELS`: issues with one of these are never told to agents. In lower case.
    pub excluded_labels: HashSet<String>,
    /// `FRESHNESS_SECONDS`: a pass younger than this serves every beat.
    pub freshness: Duration,
    /// `HEARTBEAT_INTERVAL_SECONDS`: how often agents are to beat where nothing else tells when to come back.
    pub heartbeat_interval: Duration,
    /// `BEATS_PER_MINUTE`: an agent that beats more often is refused until the minute ends.
    pub beats_per_minute: u64,
    /// `AUDIT_INTERVAL_SECONDS`: every repository is audited at least this often.
    pub audit_interval: Duration,
    /// `SCHEDULE_AGENT_NAME`: the name that scheduled beats are recorded under.
    pub schedule_agent_name: AgentName,
    /// `RUN_RETENTION_DAYS`: how long AgentRuns and passes are kept.
    pub run_retention: Duration,
}

/// All that is wrong with the environment, a sentence each that names the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration is wrong: {}", self.0.join("; "))
    }
}

impl std::error::Error for ConfigError {}

impl Config {
    /// Reads the process's environment.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables that `lookup` knows. An empty variable counts as one that is not set.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader { lookup, mistakes: Vec::new() };
        let github_api_url = reader.url("GITHUB_API_URL", "https://api.github.com");
        let github_server_url = reader.url("GITHUB_SERVER_URL", &server_url(&github_api_url));
        let config = Self {
            table_name: reader.required("TABLE_NAME", "the DynamoDB table"),
            agent_tokens_secret_id: reader
                .required("AGENT_TOKENS_SECRET_ID", "the secret with the agents' tokens"),
            github_credentials_secret_id: reader
                .required("GITHUB_CREDENTIALS_SECRET_ID", "the secret with the GitHub token"),
            repositories: reader.repositories(&github_server_url),
            github_server_url,
            github_graphql_url: reader.url("GITHUB_GRAPHQL_URL", &graphql_url(&github_api_url)),
            github_api_url,
            ssl_cert_file: reader.file("SSL_CERT_FILE"),
            excluded_labels: reader.text("EXCLUDED_LABELS").map(|text| labels(&text)).unwrap_or_default(),
            freshness: Duration::from_secs(reader.number("FRESHNESS_SECONDS", 30, 1, 3_600)),
            heartbeat_interval: Duration::from_secs(reader.number(
                "HEARTBEAT_INTERVAL_SECONDS",
                900,
                1,
                86_400,
            )),
            beats_per_minute: reader.number("BEATS_PER_MINUTE", 60, 1, 6_000),
            audit_interval: Duration::from_secs(reader.number(
                "AUDIT_INTERVAL_SECONDS",
                21_600,
                60,
                30 * 86_400,
            )),
            schedule_agent_name: reader.agent_name("SCHEDULE_AGENT_NAME", "scheduler"),
            run_retention: Duration::from_secs(86_400 * reader.number("RUN_RETENTION_DAYS", 90, 1, 3_650)),
        };
        reader.suggest_local_world();
        if reader.mistakes.is_empty() { Ok(config) } else { Err(ConfigError(reader.mistakes)) }
    }
}

/// `RUST_LOG`, which is wanted before anything else is read.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment enters")]
pub fn rust_log() -> Option<String> {
    std::env::var("RUST_LOG").ok()
}

/// Where the GraphQL API is beside a REST API: an Enterprise Server has them at `/api/v3` and `/api/graphql`.
fn graphql_url(api_url: &Url) -> String {
    let api_url = api_url.as_str().trim_end_matches('/');
    format!("{}/graphql", api_url.strip_suffix("/v3").unwrap_or(api_url))
}

/// Where the web pages are that belong to a REST API. GitHub's own API is at `api.github.com`, that of a tenant of its
/// cloud at `api.TENANT.ghe.com`; an Enterprise Server has it below `/api/v3` of its own host. An API on this machine
/// stands in for GitHub's own.
fn server_url(api_url: &Url) -> String {
    if api_url.scheme() == "http" {
        return "https://github.com".to_owned();
    }
    let host = api_url.host_str().unwrap_or_default();
    let port = api_url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let of_cloud = host.strip_prefix("api.").filter(|_| api_url.path() == "/");
    format!("https://{}{port}", of_cloud.unwrap_or(host))
}

/// Label names are separated by commas or newlines only: they may contain spaces.
fn labels(text: &str) -> HashSet<String> {
    let labels = text.split([',', '\n']).map(|label| unwrapped(label).to_lowercase());
    labels.filter(|label| !label.is_empty()).collect()
}

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
struct Reader<L> {
    lookup: L,
    mistakes: Vec<String>,
}

impl<L: Fn(&str) -> Option<String>> Reader<L> {
    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| unwrapped(&value)).filter(|value| !value.is_empty())
    }

    fn required(&mut self, name: &str, what: &str) -> String {
        self.text(name).unwrap_or_else(|| {
            self.mistakes.push(format!("{name} is not set: it names {what}"));
            String::new()
        })
    }

    /// Says where a developer's `cargo lambda watch` gets the required variables from. Only cargo-lambda's runtime API
    /// has a path; Lambda's is a host and a port (AWS's docs on custom runtimes: `AWS_LAMBDA_RUNTIME_API`).
    fn suggest_local_world(&mut self) {
        let is_cargo_lambda = self.text("AWS_LAMBDA_RUNTIME_API").is_some_and(|api| api.contains("/.rt/"));
        if is_cargo_lambda && self.text("TABLE_NAME").is_none() {
            self.mistakes.push(
                "to run on this machine, use `make dev`, which starts the local services and both functions; or, while \
                 it runs, `cargo lambda watch --invoke-port 9001 --env-file target/dev.env`"
                    .to_owned(),
            );
        }
    }

    fn file(&mut self, name: &str) -> Option<PathBuf> {
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

    fn number(&mut self, name: &str, default: u64, least: u64, most: u64) -> u64 {
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

    fn url(&mut self, name: &str, default: &str) -> Url {
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

    fn agent_name(&mut self, name: &str, default: &str) -> AgentName {
        let text = self.text(name).unwrap_or_else(|| default.to_owned());
        AgentName::parse(&text).unwrap_or_else(|why| {
            self.mistakes.push(format!("{name} is `{text}`: {why}"));
            AgentName::parse(default).expect("the default is a name")
        })
    }

    fn repositories(&mut self, server: &Url) -> Vec<RepositoryName> {
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

#[cfg(test)]
mod tests {
    use super::Config;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        Config::read(|name| {
            variables.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned())
        })
        .map_err(|error| error.0)
    }

    const REQUIRED: [(&str, &str); 3] =
        [("TABLE_NAME", "t"), ("AGENT_TOKENS_SECRET_ID", "a"), ("GITHUB_CREDENTIALS_SECRET_ID", "g")];

    #[test]
    fn what_is_not_set_has_its_documented_default() {
        let config = read(&REQUIRED).unwrap();
        assert_eq!(config.repositories, []);
        assert_eq!(config.github_api_url.as_str(), "https://api.github.com/");
        assert_eq!(config.github_graphql_url.as_str(), "https://api.github.com/graphql");
        assert_eq!(config.freshness.as_secs(), 30);
        assert_eq!(config.heartbeat_interval.as_secs(), 900);
        assert_eq!(config.beats_per_minute, 60);
        assert_eq!(config.audit_interval.as_secs(), 21_600);
        assert_eq!(config.schedule_agent_name.as_str(), "scheduler");
        assert_eq!(config.run_retention.as_secs(), 90 * 86_400);
    }

    #[test]
    fn the_graphql_api_is_beside_the_rest_api_unless_it_is_said_to_be_elsewhere() {
        let graphql = |variables: &[(&str, &str)]| {
            read(&[&REQUIRED[..], variables].concat()).unwrap().github_graphql_url.to_string()
        };
        assert_eq!(
            graphql(&[("GITHUB_API_URL", "https://github.example/api/v3")]),
            "https://github.example/api/graphql"
        );
        assert_eq!(graphql(&[("GITHUB_GRAPHQL_URL", "https://g.example/q")]), "https://g.example/q");
    }

    #[test]
    fn all_mistakes_are_reported_at_once_and_name_their_variables() {
        let mistakes = read(&[
            ("TABLE_NAME", " "),
            ("REPOSITORIES", "acme, a/b/c acme/api\nAcme/API"),
            ("GITHUB_API_URL", "https://me:secret@github.example"),
            ("SSL_CERT_FILE", "nowhere.pem"),
            ("GITHUB_GRAPHQL_URL", "http://github.example/graphql"),
            ("FRESHNESS_SECONDS", "soon"),
            ("HEARTBEAT_INTERVAL_SECONDS", "0"),
            ("BEATS_PER_MINUTE", "6001"),
            ("AUDIT_INTERVAL_SECONDS", "0"),
            ("SCHEDULE_AGENT_NAME", "the scheduler"),
            ("RUN_RETENTION_DAYS", "-1"),
        ])
        .unwrap_err();
        insta::assert_snapshot!(mistakes.join("\n"), @r#"
        GITHUB_API_URL has credentials in it: they belong into a secret; it takes a URL such as https://api.github.com
        TABLE_NAME is not set: it names the DynamoDB table
        AGENT_TOKENS_SECRET_ID is not set: it names the secret with the agents' tokens
        GITHUB_CREDENTIALS_SECRET_ID is not set: it names the secret with the GitHub token
        REPOSITORIES, name 1: `acme` is not of the form owner/name
        REPOSITORIES, name 2: `a/b/c` is not of the form owner/name
        REPOSITORIES names `Acme/API` twice
        GITHUB_GRAPHQL_URL is http://github.example: only the loopback (127.0.0.1, localhost, [::1]) may be asked without encryption, use https://github.example; it takes a URL such as https://api.github.com/graphql
        SSL_CERT_FILE is `nowhere.pem`: that is no PEM file of certificates
        FRESHNESS_SECONDS is `soon`: it takes a whole number from 1 to 3600
        HEARTBEAT_INTERVAL_SECONDS is `0`: it takes a whole number from 1 to 86400
        BEATS_PER_MINUTE is `6001`: it takes a whole number from 1 to 6000
        AUDIT_INTERVAL_SECONDS is `0`: it takes a whole number from 60 to 2592000
        SCHEDULE_AGENT_NAME is `the scheduler`: an agent name is 1 to 64 of the characters A-Z a-z 0-9 . _ - and starts with a letter or a digit
        RUN_RETENTION_DAYS is `-1`: it takes a whole number from 1 to 3650
        "#);
    }

    #[test]
    fn missing_environment_under_cargo_lambda_names_the_local_world_and_nowhere_else() {
        let mistakes = |api| read(&[("AWS_LAMBDA_RUNTIME_API", api)]).unwrap_err();
        let under_cargo_lambda = mistakes("http://[::]:9000/.rt/api");
        assert_eq!(under_cargo_lambda.len(), REQUIRED.len() + 1, "{under_cargo_lambda:?}");
        assert!(under_cargo_lambda[3].contains("--env-file target/dev.env"), "{under_cargo_lambda:?}");
        assert!(under_cargo_lambda[3].contains("`make dev`"), "{under_cargo_lambda:?}");
        assert_eq!(mistakes("127.0.0.1:9001").len(), REQUIRED.len());

        // What `make dev` runs has all of it, so that only the mistake itself is told.
        let one_mistake =
            [("AWS_LAMBDA_RUNTIME_API", "http://127.0.0.1:1/.rt/api"), ("BEATS_PER_MINUTE", "0")];
        assert_eq!(read(&[&REQUIRED[..], &one_mistake].concat()).unwrap_err().len(), 1);
    }

    #[test]
    fn repositories_are_separated_by_commas_spaces_or_newlines_and_keep_their_order_and_case() {
        let names = |text| {
            let config = read(&[&REQUIRED[..], &[("REPOSITORIES", text)]].concat()).unwrap();
            config.repositories.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        for text in [
            "acme/web,Acme/api",
            " acme/web , Acme/api, ",
            "acme/web Acme/api",
            "\n  acme/web\r\n  Acme/api\n",
            "acme/web,\n\tAcme/api",
        ] {
            assert_eq!(names(text), ["acme/web", "Acme/api"], "{text:?}");
        }
        for nothing in ["", " ", ",\n"] {
            assert_eq!(names(nothing), [""; 0], "{nothing:?}");
        }
    }

    #[test]
    fn repositories_are_read_as_people_paste_them() {
        let names = |text: &str, api: &str| {
            let variables = [&REQUIRED[..], &[("REPOSITORIES", text), ("GITHUB_API_URL", api)]].concat();
            let config = read(&variables).map_err(|mistakes| mistakes.join("\n"))?;
            Ok::<_, String>(config.repositories.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        let api = "https://api.github.com";
        for text in [
            "https://github.com/acme/api.git",
            "https://github.com/acme/api",
            "https://www.github.com/acme/api/",
            "http://GitHub.com/acme/api",
            "git@github.com:acme/api.git",
            "ssh://git@github.com/acme/api.git",
            "acme/api/",
            "acme/api.git",
            "\"acme/api\"",
            "'acme/api'",
            "\u{feff}acme/api\r\n",
        ] {
            assert_eq!(names(text, api).as_deref(), Ok("acme/api"), "{text:?}");
        }
        assert_eq!(names("\"acme/api,acme/web\"", api).as_deref(), Ok("acme/api acme/web"));
        assert_eq!(names("\"acme/api\", \"acme/web\"", api).as_deref(), Ok("acme/api acme/web"));
        let server = "https://ghe.example/api/v3";
        assert_eq!(names("https://ghe.example/acme/api", server).as_deref(), Ok("acme/api"));
        let mistake = |text| names(text, api).unwrap_err();
        insta::assert_snapshot!(mistake("acme/web https://gitlab.com/acme/api"), @"REPOSITORIES, name 2: it is on another host than github.com (GITHUB_SERVER_URL)");
        insta::assert_snapshot!(mistake("https://github.com/acme/api/issues"), @"REPOSITORIES, name 1: `acme/api/issues` is not of the form owner/name");
        insta::assert_snapshot!(mistake("[\"acme/api\"]"), @r#"REPOSITORIES, name 1: `["acme/api"]` is not of the form owner/name, but a JSON list"#);
        insta::assert_snapshot!(mistake("REPOSITORIES=acme/api"), @"REPOSITORIES, name 1: `REPOSITORIES=acme/api` is not of the form owner/name, but an assignment, NAME=value, whose name does not belong to the token");
        insta::assert_snapshot!(mistake("https://me:secret@github.com/acme/api"), @"REPOSITORIES, name 1: it is on another host than github.com (GITHUB_SERVER_URL)");
    }

    #[test]
    fn each_variable_is_read_without_what_surrounds_it() {
        let config = read(&[
            ("TABLE_NAME", "\u{feff}\"t\"\r\n"),
            ("AGENT_TOKENS_SECRET_ID", "'a'"),
            ("GITHUB_CREDENTIALS_SECRET_ID", " g "),
            ("FRESHNESS_SECONDS", "\"60\""),
            ("EXCLUDED_LABELS", "\"won't fix\", 'on hold'"),
        ])
        .expect("a good configuration");
        assert_eq!((config.table_name, config.agent_tokens_secret_id), ("t".to_owned(), "a".to_owned()));
        assert_eq!(config.freshness.as_secs(), 60);
        assert_eq!(config.excluded_labels, ["won't fix", "on hold"].map(str::to_owned).into_iter().collect());
    }

    #[test]
    fn each_kind_of_github_has_its_pages_beside_its_api_unless_they_are_elsewhere() {
        let server = |variables: &[(&str, &str)]| {
            let config = read(&[&REQUIRED[..], variables].concat()).expect("a good configuration");
            config.github_server_url.to_string().trim_end_matches('/').to_owned()
        };
        for (api, pages) in [
            ("https://api.github.com", "https://github.com"),
            ("https://api.acme.ghe.com", "https://acme.ghe.com"),
            ("https://github.example/api/v3", "https://github.example"),
            ("https://api.example:8443/api/v3", "https://api.example:8443"),
            ("http://127.0.0.1:4010", "https://github.com"),
        ] {
            assert_eq!(server(&[("GITHUB_API_URL", api)]), pages);
            let alias = ("GITHUB_SERVER_URL", "https://alias.example/");
            assert_eq!(server(&[("GITHUB_API_URL", api), alias]), "https://alias.example");
        }
    }

    #[test]
    fn a_github_enterprise_server_is_a_url_with_a_path_and_no_slash_at_its_end() {
        let url = |text| {
            read(&[&REQUIRED[..], &[("GITHUB_API_URL", text)]].concat()).map(|config| config.github_api_url)
        };
        for text in ["https://github.example.com/api/v3", "https://github.example.com/api/v3/"] {
            assert_eq!(url(text).unwrap().as_str(), "https://github.example.com/api/v3");
        }
        for bad in ["github.example.com", "ftp://github.example.com", "https://", "/api/v3"] {
            let mistakes = url(bad).unwrap_err();
            assert_eq!(mistakes.len(), 1);
            assert!(mistakes[0].starts_with("GITHUB_API_URL is "), "{mistakes:?}");
        }
    }

    #[test]
    fn labels_may_contain_spaces_and_are_compared_without_case() {
        let config =
            read(&[&REQUIRED[..], &[("EXCLUDED_LABELS", "Won't fix, on hold\nspam")]].concat()).unwrap();
        assert_eq!(
            config.excluded_labels,
            ["won't fix", "on hold", "spam"].map(str::to_owned).into_iter().collect()
        );
    }

    /// A file of its own for each test, removed when this is dropped.
    struct File(std::path::PathBuf);

    impl File {
        fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
            let path = std::env::temp_dir().join(format!("agent-heartbeat-{}-{name}", std::process::id()));
            std::fs::write(&path, content).unwrap();
            Self(path)
        }

        fn read(&self) -> Result<Vec<String>, Vec<String>> {
            let variable = format!("@{}", self.0.display());
            let config = read(&[&REQUIRED[..], &[("REPOSITORIES", &variable)]].concat())?;
            Ok(config.repositories.iter().map(|name| name.as_str().to_owned()).collect())
        }

        /// What reading it meets, under a name that is the same everywhere.
        fn mistakes(&self) -> String {
            self.read().unwrap_err().join("\n").replace(&self.0.display().to_string(), "FILE")
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn repositories_come_from_a_file_where_the_variable_names_one_and_comments_in_it_are_skipped() {
        let text = "# The core # of it all\nacme/web, Acme/api # both\r\n\n#acme/old\n\tacme/docs";
        assert_eq!(File::with("names", text).read().unwrap(), ["acme/web", "Acme/api", "acme/docs"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_or_names_nothing_is_a_mistake_and_so_is_every_bad_name_in_it() {
        let missing = File::with("missing", "");
        std::fs::remove_file(&missing.0).unwrap();
        insta::assert_snapshot!(missing.mistakes(), @"REPOSITORIES names the file `FILE`, which cannot be read: No such file or directory (os error 2); put it beside the function, or the names into the variable itself");
        insta::assert_snapshot!(File::with("latin-1", b"acme/api # caf\xe9").mistakes(), @"REPOSITORIES names the file `FILE`, which cannot be read: stream did not contain valid UTF-8; put it beside the function, or the names into the variable itself");
        insta::assert_snapshot!(File::with("empty", "# acme/api\n , \n").mistakes(), @"REPOSITORIES names the file `FILE`, which names no repository: write some into it, as owner/name");
        insta::assert_snapshot!(File::with("bad", "acme\nacme/api\nAcme/API").mistakes(), @r"
        REPOSITORIES, name 1: `acme` is not of the form owner/name
        REPOSITORIES names `Acme/API` twice
        ");
    }

    #[test]
    fn an_at_sign_without_a_file_is_a_mistake_beside_the_others() {
        let mistakes = read(&[("TABLE_NAME", "t"), ("REPOSITORIES", "@")]).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(
            mistakes[2].starts_with("REPOSITORIES names the file ``, which cannot be read: "),
            "{mistakes:?}"
        );
    }
}
