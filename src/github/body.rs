//! Reads the body of an answer piece by piece and decompresses it, within limits for both sizes and for memory.
//!
//! A function has 256 MB. GitHub's longest page of the longest issues is 157 MB of JSON, or 160 KB compressed. So only
//! the needed part of an answer is kept in memory, and memory is reserved before a request is sent, out of one budget
//! for all answers.

use std::io::{self, Write};
use std::sync::Arc;

use flate2::write::GzDecoder;
use reqwest::header::CONTENT_ENCODING;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::meter::header;
use super::records::{self, PageReader, Records, Unread};
use super::web::Web;
use super::{Failure, GitHubError};

/// The largest answer, compressed or decompressed, in bytes: ten of the largest issues.
pub(super) const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The largest answer that is kept in memory as a whole, in bytes.
pub(super) const MAX_WHOLE: usize = 2 * 1024 * 1024;

/// The kept beginning of an answer whose end does not matter, in bytes.
const MAX_BEGINNING: usize = 64 * 1024;

/// The memory for all answers together, in bytes.
const MAX_MEMORY: usize = 32 * 1024 * 1024;

/// The bytes of one permit of the semaphore.
const UNIT: usize = 1024;

/// How much of a body is wanted, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A page of a listing, record by record.
    Page,
    /// All of it.
    Whole,
    /// Its beginning, which has the message of an error.
    Beginning,
}

/// A body that was read. A page that cannot be parsed is still an answer: its `Date` counts.
#[derive(Debug)]
pub(super) enum Body {
    Page(Result<Records, GitHubError>),
    Bytes(Vec<u8>),
}

/// The memory for the bytes of all answers.
#[derive(Clone, Debug)]
pub(super) struct MemoryBudget(Arc<Semaphore>);

/// A part of that memory. Dropping it releases it.
#[derive(Debug)]
pub struct ReservedMemory(OwnedSemaphorePermit);

impl Body {
    /// Its bytes. Those of a page are not kept.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Page(_) => &[],
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_MEMORY / UNIT)))
    }
}

impl MemoryBudget {
    /// Waits for the memory that an answer may take while it is read.
    pub(super) async fn reserve(&self, wanted: Wanted) -> ReservedMemory {
        let bytes = match wanted {
            Wanted::Page => records::MAX_MEMORY,
            Wanted::Whole | Wanted::Beginning => MAX_WHOLE,
        };
        let permit = Arc::clone(&self.0).acquire_many_owned(units(bytes)).await;
        ReservedMemory(permit.expect("the semaphore is never closed"))
    }
}

impl ReservedMemory {
    /// Releases all but this number of bytes.
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
    /// The connection failed.
    #[error("the answer broke off")]
    Network(reqwest::Error),
    /// The body itself is wrong.
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

/// Writes what arrives, and returns how many bytes arrived.
async fn pull(answer: &mut reqwest::Response, into: &mut impl Write) -> Result<usize, BodyFailed> {
    let mut received = 0;
    while let Some(chunk) = answer.chunk().await.map_err(BodyFailed::Network)? {
        received += chunk.len();
        if received > MAX_ANSWER {
            return Err(BodyFailed::Failed(Failure::TooLarge));
        }
        // The sink keeps a failure of its own. Any other means that the body is not gzip as its header says.
        into.write_all(&chunk).map_err(|_| BodyFailed::Failed(Failure::BrokeOff))?;
    }
    Ok(received)
}

/// Receives the decompressed bytes, 32 KB at a time.
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
    /// It has all that is wanted.
    Full,
    TooLarge,
    NotUnderstood(GitHubError),
}

impl<'w> Sink<'w> {
    fn new(wanted: Wanted, web: &'w Web) -> Self {
        let into = match wanted {
            Wanted::Page => Into::Page(Box::new(PageReader::new(web))),
            Wanted::Whole | Wanted::Beginning => Into::Bytes { bytes: Vec::new(), wanted },
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
            Into::Bytes { bytes, wanted: Wanted::Beginning } => {
                let left = MAX_BEGINNING - bytes.len();
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
