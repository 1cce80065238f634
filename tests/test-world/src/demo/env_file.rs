//! The environment of the functions as a file, in the form that `cargo lambda watch --env-file` reads.
//!
//! cargo-lambda reads it with the crate `env-file-reader` (its README: `KEY=VALUE` lines, `#` comments, values in
//! quotes). Single quotes can hold everything but a single quote and the two characters `\n`, which become a newline. A
//! shell reads the same file with `.` and expands nothing in single quotes.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use super::Failure;
use super::session::TemporaryFile;

/// The path at which `dev` writes it.
pub(crate) const DEV_ENV: &str = "target/dev.env";

/// Variables of the caller's environment that would misdirect a function. Empty ones count as not set.
const OVERRIDDEN: [&str; 2] = ["GITHUB_GRAPHQL_URL", "AWS_SESSION_TOKEN"];

/// The file, which is removed when this is dropped.
pub(crate) struct EnvFile(TemporaryFile);

impl EnvFile {
    /// Writes these variables. None is a secret, because tokens are in the local Secrets Manager.
    ///
    /// # Errors
    ///
    /// [`Failure::File`] when the file cannot be written or cannot hold one of the values.
    pub(crate) fn write(path: PathBuf, environment: &[(&str, String)]) -> Result<Self, Failure> {
        let text = text(environment).map_err(|error| Failure::file(&path, error))?;
        TemporaryFile::write(path, text).map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

fn text(environment: &[(&str, String)]) -> Result<String, Error> {
    let mut text =
        "# The local world of a running `make dev`, which removes this file when it ends. Use it with:\n\
                    # cargo lambda watch --invoke-port 9001 --env-file target/dev.env\n"
            .to_owned();
    let overridden = OVERRIDDEN.iter().filter(|name| environment.iter().all(|(given, _)| given != *name));
    let overridden = overridden.map(|name| (*name, ""));
    for (name, value) in environment.iter().map(|(name, value)| (*name, value.as_str())).chain(overridden) {
        if value.contains('\'') || value.contains("\\n") {
            let problem = format!(
                r"{name} contains a single quote or `\n`, which cargo-lambda's env files cannot hold"
            );
            return Err(Error::new(ErrorKind::InvalidInput, problem));
        }
        text += &format!("{name}='{value}'\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_special_characters_are_read_back_unchanged() {
        let environment = [
            ("REPOSITORIES", "acme/api acme/web\nacme/docs".to_owned()),
            ("GITHUB_API_URL", "http://127.0.0.1:1/$HOME#a=b\"`c`".to_owned()),
        ];
        let file = EnvFile::write(path("values"), &environment).expect("a file");
        let script =
            r#". "$0" && printf '%s|%s|%s' "$REPOSITORIES" "$GITHUB_API_URL" "${AWS_SESSION_TOKEN?}""#;
        let output =
            std::process::Command::new("sh").args(["-c", script]).arg(file.path()).output().expect("a shell");
        let expected = environment.map(|(_, value)| value + "|").concat();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }

    #[test]
    fn value_that_the_format_cannot_hold_is_refused_with_its_name() {
        for value in ["@it's.txt", r"a\nb"] {
            let refused = EnvFile::write(path("refused"), &[("REPOSITORIES", value.to_owned())]);
            let failure = refused.err().expect("a failure").to_string();
            assert!(failure.contains("REPOSITORIES contains a single quote"), "{failure}");
        }
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("agent-heartbeat-env-file-{}-{name}", std::process::id()))
    }
}
