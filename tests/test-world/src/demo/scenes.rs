//! What people, agents and time do while a browser looks at the board (`make board`): a small HTTP server, one route a
//! scene. A test can so change GitHub, the agents' tokens and the times in the table.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use jiff::SignedDuration;
use serde_json::{Value, json};
use test_world::{TABLE_NAME, TestWorld};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::failure::Failure;
use super::silence::date_back;
use super::surroundings;

/// A running server of scenes, which ends when this is dropped.
pub(crate) struct Scenes {
    url: String,
    _serving: JoinSet<()>,
}

impl Scenes {
    /// Starts the server on a free port.
    pub(crate) async fn start(world: Arc<TestWorld>) -> Result<Self, Failure> {
        let failed = |error| Failure::PortUnavailable { port: 0, error };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let url = format!("http://{}", listener.local_addr().map_err(failed)?);
        let routes = Router::new().route("/{scene}", post(scene)).with_state(world);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It ends only with its listener.
            drop(axum::serve(listener, routes).await);
        });
        Ok(Self { url, _serving: serving })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Sets a scene; its answer says what a test needs to know of it.
async fn scene(
    State(world): State<Arc<TestWorld>>,
    Path(scene): Path<String>,
    Json(given): Json<Value>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let text = |name: &str| given[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| given[name].as_u64().unwrap_or_default();
    let seconds = SignedDuration::from_secs(given["seconds"].as_i64().unwrap_or_default());
    let repository = text("repository");
    match scene.as_str() {
        // Somebody opens an issue with this title and these labels.
        "open" => {
            let opened = world.github.arrange(|github| {
                let opened = github.open_issue(&repository, &text("title"));
                for label in given["labels"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                    github.add_label(&repository, opened, label);
                }
                opened
            });
            return Ok(Json(json!({ "number": opened })));
        }
        "close" => world.github.arrange(|github| github.close_issue(&repository, number("number"))),
        // Somebody opens that many issues, and deletes them all later.
        "open-many" => {
            let last = world.github.arrange(|github| {
                github.open_issues(&repository, number("count") - 1);
                github.open_issue(&repository, "The last one of many")
            });
            return Ok(Json(json!({ "last": last })));
        }
        "delete-many" => world.github.arrange(|github| {
            for number in number("last") - number("count") + 1..=number("last") {
                github.delete_issue(&repository, number);
            }
        }),
        // Something in the table happened that much earlier.
        "date-back" => date_back(&world, (&text("pk"), &text("sk")), &text("field"), seconds),
        "item" => {
            return Ok(Json(world.dynamodb.item(TABLE_NAME, &text("pk"), &text("sk")).unwrap_or_default()));
        }
        // As many agents as this one, under other names.
        "copy-agent" => {
            let item =
                world.dynamodb.item(TABLE_NAME, "AGENTS", &text("agent")).expect("the agent has an item");
            for n in 1..=number("count") {
                let mut copy = item.clone();
                copy["sk"] = format!("{}-{n:03}", text("name")).into();
                world.dynamodb.put_item(TABLE_NAME, &copy);
            }
        }
        "remove-viewer" => surroundings::list_tokens(&world, false),
        "add-viewer" => surroundings::list_tokens(&world, true),
        unknown => return Err((StatusCode::NOT_FOUND, format!("There is no scene {unknown:?}."))),
    }
    Ok(Json(json!({})))
}
