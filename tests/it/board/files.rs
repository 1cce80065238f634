//! The board's files, as browsers get them.

use test_world::AGENT_TOKENS_SECRET_ID;

use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::roles::{Reply, invoke};

/// Paths, types and contents.
const FILES: [(&str, &str, &str); 7] = [
    ("/api/board", "text/html; charset=utf-8", include_str!("../../../src/board/board.html")),
    ("/api/board/", "text/html; charset=utf-8", include_str!("../../../src/board/board.html")),
    ("/api/board.css", "text/css; charset=utf-8", include_str!("../../../src/board/board.css")),
    ("/api/board/board.css", "text/css; charset=utf-8", include_str!("../../../src/board/board.css")),
    ("/api/board.js", "text/javascript; charset=utf-8", include_str!("../../../src/board/board.js")),
    ("/api/board/board.js", "text/javascript; charset=utf-8", include_str!("../../../src/board/board.js")),
    ("/fleet/v1/api/board", "text/html; charset=utf-8", include_str!("../../../src/board/board.html")),
];

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

#[tokio::test]
async fn files_are_public_and_have_their_types() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    let browser = Browser::new(&app);
    for (path, media_type, content) in FILES {
        let answer = invoke(app.app.clone(), browser.request("GET", path).to_string(), None).await;
        let reply = Reply::of(&answer);
        assert_eq!((reply.status, reply.headers["content-type"].as_str()), (200, media_type), "{path}");
        assert_eq!(answer["body"], content, "{path}");
        let answer = invoke(app.app.clone(), browser.request("HEAD", path).to_string(), None).await;
        let head = Reply::of(&answer);
        assert_eq!((head.status, head.headers["content-type"].as_str()), (200, media_type), "{path}");
        assert_eq!(answer["body"].as_str().unwrap_or_default(), "", "{path}");
    }
    assert_eq!(app.secret_reads(AGENT_TOKENS_SECRET_ID), 0);
    assert_eq!(app.world.dynamodb.requests(), []);
}

#[tokio::test]
async fn page_has_a_policy_of_its_own_and_its_files_have_the_strictest() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for (path, media_type, _) in FILES {
        let headers = Browser::new(&app).get(path).await.headers;
        let is_page = media_type.starts_with("text/html");
        let policy = if is_page { POLICY } else { "default-src 'none'; frame-ancestors 'none'" };
        assert_eq!(headers["content-security-policy"], policy, "{path}");
        let opener = headers.get("cross-origin-opener-policy").map(String::as_str);
        assert_eq!(opener, is_page.then_some("same-origin"), "{path}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("cross-origin-resource-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("strict-transport-security", "max-age=31536000"),
        ] {
            assert_eq!(headers[name], value, "{path}");
        }
    }
}
