//! Reads valid and invalid environments. The snapshots list every sentence about a mistake.

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
fn unset_variable_has_its_documented_default() {
    let config = read(&REQUIRED).unwrap();
    assert_eq!(config.repositories, []);
    assert_eq!(config.github_api_url.as_str(), "https://api.github.com/");
    assert_eq!(config.github_graphql_url.as_str(), "https://api.github.com/graphql");
    assert_eq!(config.freshness.as_secs(), 30);
    assert_eq!(config.heartbeat_interval.as_secs(), 900);
    assert_eq!(config.beats_per_minute, 60);
    assert_eq!(config.reads_per_minute, 600);
    assert_eq!(config.audit_interval.as_secs(), 21_600);
    assert_eq!(config.schedule_agent_name.as_str(), "scheduler");
    assert_eq!(config.run_retention.as_secs(), 90 * 86_400);
    assert_eq!((config.agents_topic_arn, config.api_url), (None, None));
    assert_eq!(config.schedule.as_secs(), 300);
}

#[test]
fn graphql_api_is_beside_the_rest_api_unless_configured() {
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
fn mistakes_are_reported_together_and_name_their_variables() {
    let mistakes = read(&[
        ("TABLE_NAME", " "),
        ("REPOSITORIES", "acme, a/b/c acme/api\nAcme/API"),
        ("GITHUB_API_URL", "https://me:secret@github.example"),
        ("SSL_CERT_FILE", "nowhere.pem"),
        ("GITHUB_GRAPHQL_URL", "http://github.example/graphql"),
        ("FRESHNESS_SECONDS", "soon"),
        ("HEARTBEAT_INTERVAL_SECONDS", "0"),
        ("BEATS_PER_MINUTE", "6001"),
        ("READS_PER_MINUTE", "60001"),
        ("AUDIT_INTERVAL_SECONDS", "0"),
        ("SCHEDULE_AGENT_NAME", "the scheduler"),
        ("RUN_RETENTION_DAYS", "-1"),
        ("API_URL", "http://api.example"),
        ("SCHEDULE_SECONDS", "29"),
    ])
    .unwrap_err();
    insta::assert_snapshot!(mistakes.join("\n"), @r#"
    GITHUB_API_URL must not contain credentials; store them in a secret; example: https://api.github.com
    TABLE_NAME is required (DynamoDB table name)
    AGENT_TOKENS_SECRET_ID is required (id of the secret with the agents' tokens)
    GITHUB_CREDENTIALS_SECRET_ID is required (id of the secret with GitHub's credentials)
    REPOSITORIES, entry 1: `acme` is not of the form owner/name
    REPOSITORIES, entry 2: `a/b/c` is not of the form owner/name
    REPOSITORIES lists `Acme/API` twice
    GITHUB_GRAPHQL_URL must use https (got http://github.example): http is allowed for loopback hosts only (127.0.0.1, localhost, [::1]); example: https://api.github.com/graphql
    SSL_CERT_FILE must be a PEM file with certificates (got `nowhere.pem`)
    FRESHNESS_SECONDS must be an integer from 1 to 3600 (got `soon`)
    HEARTBEAT_INTERVAL_SECONDS must be an integer from 1 to 86400 (got `0`)
    BEATS_PER_MINUTE must be an integer from 1 to 6000 (got `6001`)
    READS_PER_MINUTE must be an integer from 1 to 60000 (got `60001`)
    AUDIT_INTERVAL_SECONDS must be an integer from 60 to 2592000 (got `0`)
    SCHEDULE_AGENT_NAME is invalid (`the scheduler`): an agent name must be 1 to 64 of the characters A-Z a-z 0-9 . _ - and start with a letter or a digit
    RUN_RETENTION_DAYS must be an integer from 1 to 3650 (got `-1`)
    API_URL must use https (got http://api.example): http is allowed for loopback hosts only (127.0.0.1, localhost, [::1]); example: https://abc123.execute-api.eu-central-1.amazonaws.com
    SCHEDULE_SECONDS must be an integer from 30 to 86400 (got `29`)
    "#);
}

#[test]
fn missing_environment_suggests_make_dev_under_cargo_lambda_only() {
    let mistakes = |api| read(&[("AWS_LAMBDA_RUNTIME_API", api)]).unwrap_err();
    let under_cargo_lambda = mistakes("http://[::]:9000/.rt/api");
    assert_eq!(under_cargo_lambda.len(), REQUIRED.len() + 1, "{under_cargo_lambda:?}");
    assert!(under_cargo_lambda[3].contains("--env-file target/dev.env"), "{under_cargo_lambda:?}");
    assert!(under_cargo_lambda[3].contains("`make dev`"), "{under_cargo_lambda:?}");
    assert_eq!(mistakes("127.0.0.1:9001").len(), REQUIRED.len());

    // Functions under `make dev` have the required variables, so only the mistake itself is reported.
    let one_mistake = [("AWS_LAMBDA_RUNTIME_API", "http://127.0.0.1:1/.rt/api"), ("BEATS_PER_MINUTE", "0")];
    assert_eq!(read(&[&REQUIRED[..], &one_mistake].concat()).unwrap_err().len(), 1);
}

#[test]
fn repositories_keep_order_and_case_whatever_separates_them() {
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
    insta::assert_snapshot!(mistake("acme/web https://gitlab.com/acme/api"), @"REPOSITORIES, entry 2: its host is not github.com (see GITHUB_SERVER_URL)");
    insta::assert_snapshot!(mistake("https://github.com/acme/api/issues"), @"REPOSITORIES, entry 1: `acme/api/issues` is not of the form owner/name");
    insta::assert_snapshot!(mistake("[\"acme/api\"]"), @r#"REPOSITORIES, entry 1: `["acme/api"]` is not of the form owner/name, but a JSON list"#);
    insta::assert_snapshot!(mistake("REPOSITORIES=acme/api"), @"REPOSITORIES, entry 1: `REPOSITORIES=acme/api` is not of the form owner/name, but an assignment NAME=value instead of the value alone");
    insta::assert_snapshot!(mistake("https://me:secret@github.com/acme/api"), @"REPOSITORIES, entry 1: its host is not github.com (see GITHUB_SERVER_URL)");
}

#[test]
fn variable_is_read_without_surrounding_quotes_and_spaces() {
    let config = read(&[
        ("TABLE_NAME", "\u{feff}\"t\"\r\n"),
        ("AGENT_TOKENS_SECRET_ID", "'a'"),
        ("GITHUB_CREDENTIALS_SECRET_ID", " g "),
        ("FRESHNESS_SECONDS", "\"60\""),
        ("EXCLUDED_LABELS", "\"won't fix\", 'on hold'"),
    ])
    .expect("a valid configuration");
    assert_eq!((config.table_name, config.agent_tokens_secret_id), ("t".to_owned(), "a".to_owned()));
    assert_eq!(config.freshness.as_secs(), 60);
    assert_eq!(config.excluded_labels, ["won't fix", "on hold"].map(str::to_owned).into_iter().collect());
}

#[test]
fn web_pages_belong_to_the_api_unless_configured() {
    let server = |variables: &[(&str, &str)]| {
        let config = read(&[&REQUIRED[..], variables].concat()).expect("a valid configuration");
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
fn enterprise_server_url_has_a_path_and_no_trailing_slash() {
    let url = |text| {
        read(&[&REQUIRED[..], &[("GITHUB_API_URL", text)]].concat()).map(|config| config.github_api_url)
    };
    for text in ["https://github.example.com/api/v3", "https://github.example.com/api/v3/"] {
        assert_eq!(url(text).unwrap().as_str(), "https://github.example.com/api/v3");
    }
    for bad in ["github.example.com", "ftp://github.example.com", "https://", "/api/v3"] {
        let mistakes = url(bad).unwrap_err();
        assert_eq!(mistakes.len(), 1);
        assert!(mistakes[0].starts_with("GITHUB_API_URL must be "), "{mistakes:?}");
    }
}

#[test]
fn labels_may_contain_spaces_and_ignore_case() {
    let config = read(&[&REQUIRED[..], &[("EXCLUDED_LABELS", "Won't fix, on hold\nspam")]].concat()).unwrap();
    assert_eq!(
        config.excluded_labels,
        ["won't fix", "on hold", "spam"].map(str::to_owned).into_iter().collect()
    );
}

/// A temporary file, removed when this is dropped.
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

    /// The mistakes, with a fixed file name.
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
fn repositories_come_from_a_named_file_without_its_comments() {
    let text = "# The core # of it all\nacme/web, Acme/api # both\r\n\n#acme/old\n\tacme/docs";
    assert_eq!(File::with("names", text).read().unwrap(), ["acme/web", "Acme/api", "acme/docs"]);
}

#[test]
fn unreadable_or_empty_file_and_each_invalid_name_is_a_mistake() {
    let missing = File::with("missing", "");
    std::fs::remove_file(&missing.0).unwrap();
    insta::assert_snapshot!(missing.mistakes(), @"REPOSITORIES: cannot read the file `FILE`: No such file or directory (os error 2); add it to the function's package, or list the repositories in the variable itself");
    insta::assert_snapshot!(File::with("latin-1", b"acme/api # caf\xe9").mistakes(), @"REPOSITORIES: cannot read the file `FILE`: stream did not contain valid UTF-8; add it to the function's package, or list the repositories in the variable itself");
    insta::assert_snapshot!(File::with("empty", "# acme/api\n , \n").mistakes(), @"REPOSITORIES: the file `FILE` lists no repositories; add some as owner/name");
    insta::assert_snapshot!(File::with("bad", "acme\nacme/api\nAcme/API").mistakes(), @r"
    REPOSITORIES, entry 1: `acme` is not of the form owner/name
    REPOSITORIES lists `Acme/API` twice
    ");
}

#[test]
fn at_sign_without_a_file_is_reported_with_the_other_mistakes() {
    let mistakes = read(&[("TABLE_NAME", "t"), ("REPOSITORIES", "@")]).unwrap_err();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    assert!(mistakes[2].starts_with("REPOSITORIES: cannot read the file ``: "), "{mistakes:?}");
}
