//! Environments, good ones and bad ones, and what is read of them.

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
    let one_mistake = [("AWS_LAMBDA_RUNTIME_API", "http://127.0.0.1:1/.rt/api"), ("BEATS_PER_MINUTE", "0")];
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
    let config = read(&[&REQUIRED[..], &[("EXCLUDED_LABELS", "Won't fix, on hold\nspam")]].concat()).unwrap();
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
