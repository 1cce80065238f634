//! The commands that read what is stored, one for each view.

use std::fmt::Write;

use test_world::VIEWER_TOKEN;

/// What to request, behind the service's address. The agent `alpha` sends the sample events.
const PATHS: [&str; 11] = [
    "/api/status",
    "/api/agents",
    "/api/agents/alpha",
    "/api/agents/alpha/runs",
    "/api/passes",
    "/api/repositories",
    "/api/repositories/acme/api",
    "/api/issues?status=ready&assignee=none",
    "/api/repositories/acme/api/issues/1",
    "/api/changes",
    "/api/metrics",
];

/// One line for each view, after one that sets the variables which they use. `url` is the service's address. Without the
/// made-up repositories, the views of one repository and one issue are left out.
pub(crate) fn commands(url: &str, is_made_up: bool) -> String {
    let mut commands = format!("  export URL={url} TOKEN={VIEWER_TOKEN}\n");
    for path in PATHS.iter().filter(|path| is_made_up || !path.contains("/acme/")) {
        writeln!(commands, "  curl -H \"Authorization: Bearer $TOKEN\" \"$URL{path}\"")
            .expect("writing to a string cannot fail");
    }
    commands
}
