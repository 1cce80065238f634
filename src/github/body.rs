//! Reads the body of an answer: piece by piece, decompressed here, within limits of what travels and of what is held.
//!
//! A function has 256 MB, and GitHub's longest page of the longest issues is 157 MB of JSON, or 160 KB compressed. So
//! no more of an answer is held than is needed, and what all answers together may take is reserved before they are
//! asked for.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::GzDecoder;
use reqwest::header::CONTENT_ENCODING;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::meter::header;
use super::records::{self, PageReader, Records, Unread};
use super::web::Web;
use super::{Failure, GitHubError};

/// The largest answer, as it travels and decompressed, in bytes: ten of the largest issues.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The largest answer that is held as a whole, in bytes.
pub(super) const MAX_WHOLE: usize = 2 * 1024 * 1024;

/// What is kept of an answer that is looked at for its words alone, in bytes.
const MAX_WORDS: usize = 64 * 1024;

/// What all answers together may take, in bytes.
const MAX_HELD: usize = 32 * 1024 * 1024;

/// A semaphore counts in these units of bytes.
const UNIT: usize = 1024;

/// How much of a body is wanted, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A page of a listing, record by record.
    Page,
    /// All of it.
    Whole,
    /// Its beginning, where a refusal gives its reason.
    Words,
}

/// A body that was read.
#[derive(Debug)]
pub(super) enum Body {
    Page(Result<Records, GitHubError>),
    Bytes(Vec<u8>),
}

/// The room for the bytes of answers.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<Semaphore>);

/// A part of it. Dropping it gives it back.
#[derive(Debug)]
pub struct Held(OwnedSemaphorePermit);

impl Body {
    /// Its bytes; those of a page are not kept.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Page(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_HELD / UNIT)))
    }
}

impl Room {
    /// Waits for the room that an answer may take while it is read.
    pub(super) async fn reserve(&self, wanted: Wanted) -> Held {
        let bytes = match wanted {
            Wanted::Page => records::MAX_HELD,
            Wanted::Whole | Wanted::Words => MAX_WHOLE,
        };
        let permit = Arc::clone(&self.0).acquire_many_owned(units(bytes)).await;
        Held(permit.expect("the semaphore is never closed"))
    }
}

impl Held {
    /// Gives back all but the room for this number of bytes.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let rest = self.0.num_permits().saturating_sub(units(bytes) as usize);
        drop(self.0.split(rest));
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyFailed {
    /// On its way.
    #[error("the answer broke off")]
    Network(reqwest::Error),
    /// For what it is.
    #[error("the answer cannot be decompressed, or is too large")]
    Failed(Failure),
}

/// Reads the body of an answer.
pub(super) async fn read(
    mut answer: reqwest::Response,
    wanted: Wanted,
    web: &Web,
) -> Result<Body, BodyFailed> {
    let is_compressed = header(answer.headers(), CONTENT_ENCODING.as_str())
        .is_some_and(|coding| coding.trim().eq_ignore_ascii_case("gzip"));
    let mut sink = Sink::new(wanted, web);
    let pulled = if is_compressed {
        let mut decoder = GzDecoder::new(&mut sink);
        match pull(&mut answer, &mut decoder).await {
            Ok(1..) => decoder.try_finish().map_err(|_| BodyFailed::Failed(Failure::BrokeOff)),
            pulled => pulled.map(drop),
        }
    } else {
        pull(&mut answer, &mut sink).await.map(drop)
    };
    sink.end(pulled)
}

/// Writes what arrives, and says how many bytes that were.
async fn pull(answer: &mut reqwest::Response, into: &mut impl Write) -> Result<usize, BodyFailed> {
    let mut travelled = 0;
    while let Some(chunk) = answer.chunk().await.map_err(BodyFailed::Network)? {
        travelled += chunk.len();
        if travelled > MAX_ANSWER {
            return Err(BodyFailed::Failed(Failure::TooLarge));
        }
        // Where the reason is not the sink's own, the bytes are not what their header says.
        into.write_all(&chunk).map_err(|_| BodyFailed::Failed(Failure::BrokeOff))?;
    }
    Ok(travelled)
}

/// Where the decompressed bytes go, 32 KB at a time.
struct Sink<'w> {
    into: Into<'w>,
    taken: usize,
    state: State,
}

enum Into<'w> {
    Page(Box<PageReader<'w>>),
    Bytes { bytes: Vec<u8>, wanted: Wanted },
}

enum State {
    Reading,
    /// All that is wanted is there.
    Full,
    TooLarge,
    NotUnderstood(GitHubError),
}

impl<'w> Sink<'w> {
    fn new(wanted: Wanted, web: &'w Web) -> Self {
        let into = match wanted {
            Wanted::Page => Into::Page(Box::new(PageReader::new(web))),
            Wanted::Whole | Wanted::Words => Into::Bytes { bytes: Vec::new(), wanted },
        };
        Self { into, taken: 0, state: State::Reading }
    }

    fn take(&mut self, piece: &[u8]) -> State {
        self.taken += piece.len();
        if self.taken > MAX_ANSWER {
            return State::TooLarge;
        }
        match &mut self.into {
            Into::Page(page) => page.push(piece).map_or_else(State::from, |()| State::Reading),
            Into::Bytes { bytes, wanted: Wanted::Words } => {
                let left = MAX_WORDS - bytes.len();
                bytes.extend_from_slice(&piece[..piece.len().min(left)]);
                if piece.len() < left { State::Reading } else { State::Full }
            }
            Into::Bytes { bytes, .. } if bytes.len() + piece.len() > MAX_WHOLE => State::TooLarge,
            Into::Bytes { bytes, .. } => {
                bytes.extend_from_slice(piece);
                State::Reading
            }
        }
    }

    fn end(self, pulled: Result<(), BodyFailed>) -> Result<Body, BodyFailed> {
        match self.state {
            State::Reading => pulled?,
            State::Full => {}
            State::TooLarge => return Err(BodyFailed::Failed(Failure::TooLarge)),
            State::NotUnderstood(error) => return Ok(Body::Page(Err(error))),
        }
        match self.into {
            Into::Bytes { bytes, .. } => Ok(Body::Bytes(bytes)),
            Into::Page(page) => match page.end() {
                Ok(records) => Ok(Body::Page(Ok(records))),
                Err(Unread::NotUnderstood(error)) => Ok(Body::Page(Err(error))),
                Err(Unread::TooLarge) => Err(BodyFailed::Failed(Failure::TooLarge)),
            },
        }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if matches!(self.state, State::Reading) {
            self.state = self.take(piece);
        }
        match self.state {
            State::Reading => Ok(piece.len()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<Unread> for State {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::TooLarge,
            Unread::NotUnderstood(error) => Self::NotUnderstood(error),
        }
    }
}
