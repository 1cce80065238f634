//! Files with which other programs find a running `dev`. They exist as long as it runs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Failure;

const FILE: &str = ".local/dev.json";

/// A file that is removed when this is dropped, unless another process has replaced it in the meantime.
pub(crate) struct TemporaryFile {
    path: PathBuf,
    text: String,
}

impl TemporaryFile {
    /// Writes the file and creates its folder. Replaces the file of an earlier process.
    pub(crate) fn write(path: PathBuf, text: String) -> Result<Self, Failure> {
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, &text))
            .map_err(|error| Failure::file(&path, error))?;
        Ok(Self { path, text })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The file from which `invoke` reads the address of a running `dev`.
pub(crate) struct Session(#[expect(dead_code, reason = "dropping it removes the file")] TemporaryFile);

impl Session {
    /// Writes the address. Replaces that of an earlier `dev`.
    pub(crate) fn open(url: &str) -> Result<Self, Failure> {
        TemporaryFile::write(FILE.into(), json!({ "url": url }).to_string()).map(Self)
    }

    /// The address of the running `dev`.
    pub(crate) fn url() -> Result<String, Failure> {
        let text = fs::read(FILE).map_err(|_| Failure::NoSession)?;
        let session: Value = serde_json::from_slice(&text).map_err(|_| Failure::NoSession)?;
        session["url"].as_str().map(str::to_owned).ok_or(Failure::NoSession)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_removed_only_by_the_last_process_that_wrote_it() {
        let path =
            std::env::temp_dir().join(format!("agent-heartbeat-temporary-{}/dev.env", std::process::id()));
        let earlier = TemporaryFile::write(path.clone(), "earlier".to_owned()).expect("a file");
        let later = TemporaryFile::write(path.clone(), "later".to_owned()).expect("a file");
        drop(earlier);
        assert_eq!(fs::read_to_string(&path).expect("a file"), "later");
        drop(later);
        assert!(!path.exists());
        fs::remove_dir(path.parent().expect("a folder")).expect("an empty folder");
    }
}
