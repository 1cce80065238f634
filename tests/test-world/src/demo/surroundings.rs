//! What the caller's environment asks for: which GitHub, which repositories, where the table is kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use test_world::clock::Clock;
use test_world::dynamodb::Storage;
use test_world::github::GitHub;
use test_world::{
    AGENT_TOKEN, AGENT_TOKENS_SECRET_ID, GITHUB_CREDENTIALS_SECRET_ID, TestWorld, VIEWER_TOKEN, github,
};

use super::Failure;
use super::forwarded_port::DEFAULT_PORT;
use super::functions::Functions;

/// Short, so that a second pass is soon possible.
pub(crate) const LOCAL_FRESHNESS: Duration = Duration::from_secs(3);

const MADE_UP: &str = "acme/api acme/web acme/docs";

/// Also tracked if there is a history; it cannot be read in the end.
const LEGACY: &str = "acme/legacy";

/// The tracked repositories.
pub(crate) enum Tracked {
    /// The made-up repositories on the local GitHub.
    MadeUp,
    /// `REPOSITORIES`, on the real GitHub or the one that `GITHUB_API_URL` names.
    OnGitHub { repositories: String, token: Option<String>, api_url: Option<String> },
}

/// Puts the made-up repositories on an empty GitHub.
pub(crate) fn make_up(github: &GitHub) {
    github.arrange(|world| {
        github::seed::demo(world);
        // A large organisation's budget. With a smaller one, a pass must serve for longer than LOCAL_FRESHNESS.
        world.set_budget(15_000, 15_000, world.now());
    });
}

/// Lists the agents' tokens with their rights: the one that serves all agents, one of an agent that never sent a
/// heartbeat, and a viewer's.
pub(crate) fn list_tokens(world: &TestWorld, has_viewer: bool) {
    let mut tokens = json!({ "tokens": [
        { "token": AGENT_TOKEN, "agents": ["*"], "may": ["beat", "read"] },
        { "token": "local-release-token-not-a-secret-012345678", "agents": ["release"] },
    ]});
    if has_viewer {
        let viewer = json!({ "token": VIEWER_TOKEN, "agents": ["*"], "may": ["read"] });
        tokens["tokens"].as_array_mut().expect("it is a list").push(viewer);
    }
    world.secrets.put_secret(AGENT_TOKENS_SECRET_ID, &tokens.to_string());
}

/// The environment, read once.
pub(crate) struct Surroundings {
    pub(crate) tracked: Tracked,
    /// Whether several tokens are stored, and the made-up repositories are as the module `history` needs them.
    pub(crate) has_history: bool,
    cargo_lambda: PathBuf,
    search_path: String,
    port: Option<String>,
    storage: Storage,
    log_level: Option<String>,
}

impl Surroundings {
    /// Reads `REPOSITORIES`, `GITHUB_TOKEN` and `GITHUB_API_URL`, which are the service's own; `CARGO_LAMBDA`, the path
    /// of that tool; `TABLE_FILE`, a file that keeps the table; `PATH`; `PORT`; and `RUST_LOG`.
    pub(crate) fn from_env() -> Result<Self, Failure> {
        #[expect(clippy::disallowed_methods, reason = "the only place that reads this program's environment")]
        let variable = |name| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let tracked = match variable("REPOSITORIES") {
            None => Tracked::MadeUp,
            Some(repositories) => Tracked::OnGitHub {
                repositories,
                token: variable("GITHUB_TOKEN"),
                api_url: variable("GITHUB_API_URL"),
            },
        };
        Ok(Self {
            tracked,
            has_history: false,
            cargo_lambda: variable("CARGO_LAMBDA").map(PathBuf::from).ok_or(Failure::CargoLambdaMissing)?,
            search_path: variable("PATH").unwrap_or_default(),
            port: variable("PORT"),
            storage: variable("TABLE_FILE").map_or(Storage::Memory, |path| Storage::File(path.into())),
            log_level: variable("RUST_LOG"),
        })
    }

    /// Whether the local GitHub is used, with its made-up repositories.
    pub(crate) fn is_made_up(&self) -> bool {
        matches!(self.tracked, Tracked::MadeUp)
    }

    /// `PORT`, at which `dev` takes invocations. The default is cargo-lambda's.
    ///
    /// # Errors
    ///
    /// [`Failure::InvalidPort`] if it is not a port number.
    pub(crate) fn port(&self) -> Result<u16, Failure> {
        let Some(text) = &self.port else { return Ok(DEFAULT_PORT) };
        text.trim().parse().map_err(|_| Failure::InvalidPort(text.clone()))
    }

    /// The folder to add to `PATH` for `cargo lambda`, if it is not there.
    pub(crate) fn cargo_lambda_to_add(&self) -> Option<&Path> {
        let mut folders = std::env::split_paths(&self.search_path);
        let is_installed = folders.any(|folder| folder.join("cargo-lambda").is_file());
        self.cargo_lambda.parent().filter(|_| !is_installed)
    }

    /// Where the table is kept, for a person.
    pub(crate) fn storage_description(&self) -> String {
        match &self.storage {
            Storage::Memory => "in memory; TABLE_FILE=... keeps it in a file".to_owned(),
            Storage::File(path) => format!("in {}", path.display()),
        }
    }

    /// Starts all servers outside the service.
    pub(crate) async fn start_world(&self) -> Result<TestWorld, Failure> {
        eprintln!("Starting the local world");
        if let Storage::File(path) = &self.storage
            && let Some(folder) = path.parent()
        {
            std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
        }
        let world = TestWorld::start_with(Clock::system(), self.storage.clone()).await;
        if self.has_history {
            list_tokens(&world, true);
        }
        match &self.tracked {
            Tracked::MadeUp => {
                make_up(&world.github);
                if self.has_history {
                    world.github.arrange(github::seed::legacy);
                }
            }
            Tracked::OnGitHub { token: Some(token), .. } => {
                world.secrets.put_secret(GITHUB_CREDENTIALS_SECRET_ID, token);
            }
            Tracked::OnGitHub { token: None, .. } => {}
        }
        Ok(world)
    }

    /// The functions' environment: the tracked repositories and the addresses of all servers.
    pub(crate) fn environment(&self, world: &TestWorld) -> Vec<(&'static str, String)> {
        let mut environment = world.environment();
        match &self.tracked {
            Tracked::MadeUp => {
                let legacy = if self.has_history { LEGACY } else { "" };
                environment.push(("REPOSITORIES", format!("{MADE_UP} {legacy}")));
                environment.push(("FRESHNESS_SECONDS", LOCAL_FRESHNESS.as_secs().to_string()));
                // A proxy could not reach the loopback.
                environment.push(("NO_PROXY", "127.0.0.1".to_owned()));
            }
            Tracked::OnGitHub { repositories, token, api_url } => {
                environment.push(("REPOSITORIES", repositories.clone()));
                if token.is_some() {
                    environment.retain(|(name, _)| *name != "GITHUB_API_URL");
                    environment.extend(api_url.clone().map(|url| ("GITHUB_API_URL", url)));
                }
            }
        }
        environment
    }

    /// Starts these functions, which log at `log_level` unless `RUST_LOG` is set.
    ///
    /// Without a token this always fails, but only after the functions have checked the rest of their configuration, so
    /// that all errors are reported together.
    pub(crate) async fn start_functions(
        &self,
        world: &TestWorld,
        names: &[&'static str],
        log_level: &str,
    ) -> Result<Functions, Failure> {
        let mut environment = self.environment(world);
        environment.push(("RUST_LOG", self.log_level.as_deref().unwrap_or(log_level).to_owned()));
        let started = Functions::start(&self.cargo_lambda, names, &environment).await;
        if matches!(self.tracked, Tracked::OnGitHub { token: None, .. }) {
            if let Err(failure) = started {
                eprintln!("{failure}");
            }
            return Err(Failure::TokenMissing);
        }
        started
    }
}
