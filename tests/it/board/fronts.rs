//! A session through each kind of sender: API Gateway's HTTP APIs and REST APIs, Function URLs and load balancers, behind
//! stages and base paths.

use serde_json::{Value, json};
use test_world::AGENT_TOKEN;

use crate::support::app::TestApp;
use crate::support::browser::Browser;
use crate::support::roles::{Reply, invoke};

/// A sender: its name, and the form of its events.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Front {
    HttpApi,
    FunctionUrl,
    /// Also an HTTP API with payload format 1.0.
    RestApi,
    LoadBalancer,
    /// With multi-value headers.
    LoadBalancerOfAll,
}

const FRONTS: [Front; 5] =
    [Front::HttpApi, Front::FunctionUrl, Front::RestApi, Front::LoadBalancer, Front::LoadBalancerOfAll];

impl Front {
    /// The event of a request with these headers and this body.
    fn event(self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
        let by_name = |value: fn(&str) -> Value| -> Value {
            headers.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect()
        };
        let single = by_name(|text| text.into());
        let multiple = by_name(|text| json!([text]));
        let old_form = json!({"httpMethod": method, "path": path, "body": body, "isBase64Encoded": false});
        let mut event = match self {
            Self::HttpApi | Self::FunctionUrl => {
                let mut event = TestApp::event(if self == Self::HttpApi {
                    "heartbeat.json"
                } else {
                    "heartbeat-function-url.json"
                });
                event["rawPath"] = path.into();
                event["requestContext"]["http"]["path"] = path.into();
                event["requestContext"]["http"]["method"] = method.into();
                (event["body"], event["isBase64Encoded"]) = (body.into(), false.into());
                event["headers"] = single;
                if let Some((_, cookie)) = headers.iter().find(|(name, _)| *name == "cookie") {
                    event["cookies"] = json!([cookie]);
                }
                if self == Self::HttpApi {
                    event["headers"].as_object_mut().expect("headers").remove("cookie");
                }
                return event;
            }
            Self::RestApi | Self::LoadBalancer | Self::LoadBalancerOfAll => old_form,
        };
        if self == Self::RestApi {
            event["requestContext"] = json!({"stage": "prod", "path": format!("/prod{path}")});
        } else {
            event["requestContext"] = json!({"elb": {}});
        }
        if self != Self::LoadBalancerOfAll {
            event["headers"] = single;
        }
        if self != Self::LoadBalancer {
            event["multiValueHeaders"] = multiple;
        }
        event
    }

    /// The cookies that an answer sets, each exactly once, and in no other form than this sender's.
    ///
    /// HTTP APIs and Function URLs take them from `cookies`
    /// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
    /// <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>), REST APIs and load balancers from the headers
    /// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>,
    /// <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html>).
    fn cookies_set(self, answer: &Value) -> Vec<String> {
        let member = match self {
            Self::HttpApi | Self::FunctionUrl => {
                assert!(answer["headers"].get("set-cookie").is_none(), "{answer:#}");
                &answer["cookies"]
            }
            Self::RestApi => {
                assert!(answer["headers"].get("set-cookie").is_none(), "{answer:#}");
                &answer["multiValueHeaders"]["set-cookie"]
            }
            Self::LoadBalancer => &answer["headers"]["set-cookie"],
            Self::LoadBalancerOfAll => &answer["multiValueHeaders"]["set-cookie"],
        };
        if self != Self::HttpApi && self != Self::FunctionUrl {
            assert!(answer.get("cookies").is_none(), "{answer:#}");
        }
        match member {
            Value::String(one) => vec![one.clone()],
            Value::Array(all) => all.iter().map(|one| one.as_str().expect("a text").to_owned()).collect(),
            _ => Vec::new(),
        }
    }
}

async fn answered(app: &TestApp, event: Value) -> Value {
    invoke(app.app.clone(), event.to_string(), None).await
}

#[tokio::test]
async fn session_begins_reads_and_ends_through_each_sender() {
    let app = TestApp::tracking(&["acme/api"]).with("READS_PER_MINUTE", "6000").start().await;
    let body = json!({ "token": AGENT_TOKEN }).to_string();
    let expected = Browser::signed_in(&app, AGENT_TOKEN).await.cookie.expect("a session");
    for front in FRONTS {
        for base in ["", "/fleet", "/fleet/v1"] {
            let headers = [("sec-fetch-site", "same-origin"), ("content-type", "application/json")];
            let path = format!("{base}/api/session");
            let begun = answered(&app, front.event("POST", &path, &headers, &body)).await;
            assert_eq!(begun["statusCode"], 200, "{front:?} {base}: {begun:#}");
            let [set] = &front.cookies_set(&begun)[..] else { panic!("{front:?} {base}: {begun:#}") };
            let cookie = set.split(';').next().expect("a cookie");
            assert_eq!(cookie, expected, "{front:?} {base}");
            let others = format!("a=b; {cookie}; c=d");
            let headers = [("Sec-Fetch-Site", "same-origin"), ("cookie", &others)];
            let path = format!("{base}/api/status");
            let read = answered(&app, front.event("GET", &path, &headers, "")).await;
            assert_eq!(read["statusCode"], 200, "{front:?} {base}: {read:#}");
            assert!(front.cookies_set(&read).is_empty(), "{front:?} {base}: {read:#}");
            let beat = format!("{base}/api/agents/alpha/heartbeat");
            let beat = answered(&app, front.event("POST", &beat, &headers, "")).await;
            assert_eq!(beat["statusCode"], 401, "{front:?} {base}: {beat:#}");
            let path = format!("{base}/api/session");
            let ended = answered(&app, front.event("DELETE", &path, &headers, "")).await;
            assert_eq!(ended["statusCode"], 204, "{front:?} {base}: {ended:#}");
            let [set] = &front.cookies_set(&ended)[..] else { panic!("{front:?} {base}: {ended:#}") };
            assert!(set.starts_with("__Host-board=; ") && set.ends_with("; Max-Age=0"), "{set}");
        }
    }
}

#[tokio::test]
async fn root_leads_to_the_board_also_behind_a_stage() {
    let app = TestApp::tracking(&["acme/api"]).start().await;
    for front in FRONTS {
        for method in ["GET", "HEAD"] {
            let answer = answered(&app, front.event(method, "/", &[], "")).await;
            let reply = Reply::of(&answer);
            assert_eq!((reply.status, reply.headers["location"].as_str()), (307, "api/board"), "{front:?}");
            assert_eq!(answer["body"].as_str().unwrap_or_default(), "");
        }
    }
    for stage in ["prod", "v1.0", "api"] {
        let staged = |path: &str| {
            let mut event = Front::HttpApi.event("GET", path, &[], "");
            event["requestContext"]["stage"] = stage.into();
            event
        };
        let reply = Reply::of(&answered(&app, staged(&format!("/{stage}/"))).await);
        assert_eq!((reply.status, reply.headers["location"].as_str()), (307, "api/board"), "{stage}");
        for path in ["/api/board", "/api/board/", "/api/board/board.css"] {
            let board = Reply::of(&answered(&app, staged(&format!("/{stage}{path}"))).await);
            assert_eq!(board.status, 200, "{stage} {path}: {board:#?}");
        }
        // A relative reference from here would lead out of the stage.
        let bare = Reply::of(&answered(&app, staged(&format!("/{stage}"))).await);
        assert_eq!(bare.status, 404, "{stage}");
    }
}
