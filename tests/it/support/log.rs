//! The service's log as it is written on Lambda: one line of JSON for each event.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::checked::Checked;

/// Collects the log of this thread until it is dropped.
pub struct Log {
    written: Written,
    _until_dropped: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn begin() -> Self {
        let written = Written::default();
        let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(written.clone());
        let heard = Targets::new().with_default(LevelFilter::INFO);
        let heard = heard.with_target("agent_heartbeat", LevelFilter::TRACE);
        let subscriber = tracing_subscriber::registry().with(lines).with(heard);
        Self { written, _until_dropped: tracing::subscriber::set_default(subscriber) }
    }

    /// The whole log.
    pub fn text(&self) -> String {
        String::from_utf8(self.written.0.lock().expect("a whole line").clone()).expect("a text")
    }

    /// The lines of this level.
    pub fn lines(&self, level: &str) -> Vec<Checked> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let mut lines: Vec<Checked> = lines.map(Checked::line).collect();
        lines.retain(|line| line["level"] == level);
        lines
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a whole line").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
