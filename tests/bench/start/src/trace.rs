//! The files and hosts that a start must not open: the system's certificates and the instance's metadata service.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::environment::{Environment, Function};
use crate::outside::Outside;

/// Where operating systems store their certificates.
const CERTIFICATE_FOLDERS: [&str; 3] = ["/etc/ssl", "/usr/share/ca-certificates", "/etc/pki"];

/// Where AWS's SDKs look for credentials and a region if none are configured.
const METADATA_ADDRESS: &str = "169.254.169.254";

/// What one init opened.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Touched {
    /// Files opened, or searched, below [`CERTIFICATE_FOLDERS`].
    pub(crate) certificate_files: usize,
    /// Connections to [`METADATA_ADDRESS`], including failed ones.
    pub(crate) metadata_connections: usize,
}

/// Starts the function once under `strace`, and returns what its init opened. `strace` is a path.
pub(crate) async fn init(strace: &str, function: &Function, outside: &Outside, file: &Path) -> Touched {
    let trace = file.to_str().expect("the path was given as text");
    // An earlier benchmark's trace must not be read instead of this one's.
    let _ = std::fs::remove_file(file);
    // The tracer is the grandchild (-D), so that the process killed in the end is the function.
    let tracer = [strace, "-D", "-f", "-qq", "-e", "trace=open,openat,openat2,connect", "-o", trace];
    let mut command: Vec<String> = tracer.map(str::to_owned).into();
    command.extend(function.command.iter().cloned());
    let variables = outside.variables();
    let mut environment = Environment::start(&Function { command }, &variables).await;
    environment.is_ready().await;
    environment.end().await;
    let lines = lines(file).await;
    // A trace without what must be in it proves nothing.
    let root = variables.iter().find(|(name, _)| name == "SSL_CERT_FILE").expect("it is set");
    assert!(lines.contains(&root.1), "{trace} does not show that SSL_CERT_FILE was opened");
    assert!(lines.contains("127.0.0.1"), "{trace} shows no connection");
    let of = |parts: &[&str], call: &str| {
        let is_one = |line: &&str| line.contains(call) && parts.iter().any(|part| line.contains(part));
        lines.lines().filter(is_one).count()
    };
    Touched {
        certificate_files: of(
            &CERTIFICATE_FOLDERS.map(|folder| format!("\"{folder}/")).each_ref().map(String::as_str),
            "open",
        ),
        metadata_connections: of(&[METADATA_ADDRESS], "connect("),
    }
}

/// The trace, once its last line shows the end of the process.
async fn lines(file: &Path) -> String {
    for _ in 0..500 {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if text.trim_end().ends_with("+++ killed by SIGKILL +++") {
            return text;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{}: the trace has no end", file.display());
}
