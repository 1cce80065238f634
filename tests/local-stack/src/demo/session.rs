//! How `invoke` finds what `dev` runs: a file with its address, there for as long as `dev` runs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Failure;

const FOLDER: &str = ".local";
const FILE: &str = ".local/dev.json";

/// The file; it goes when this is dropped.
pub(crate) struct Session(());

impl Session {
    /// Writes the address of a running `dev`, over that of an earlier one.
    pub(crate) fn open(url: &str) -> Result<Self, Failure> {
        let text = json!({ "url": url }).to_string();
        fs::create_dir_all(FOLDER)
            .and_then(|()| fs::write(FILE, text))
            .map_err(|error| Failure::file(Path::new(FILE), error))?;
        Ok(Self(()))
    }

    /// The address of the running `dev`.
    pub(crate) fn url() -> Result<String, Failure> {
        let text = fs::read(FILE).map_err(|_| Failure::NoSession)?;
        let session: Value = serde_json::from_slice(&text).map_err(|_| Failure::NoSession)?;
        session["url"].as_str().map(str::to_owned).ok_or(Failure::NoSession)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Another `dev` may have cleared it away already.
        let _ = fs::remove_file(FILE);
    }
}
