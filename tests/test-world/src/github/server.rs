//! Handles a request: logs it, applies faults and holds, and answers it from the state.

use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};

use super::answer::{Answer, Sender};
use super::faults::{self, Fault};
use super::graphql::{self, Partial};
use super::log::{Log, Request, fingerprint};
use super::pace::Pages;
use super::script::Script;
use super::target::{IncomingRequest, Part, Target};
use super::wire::Cutter;
use super::world::World;
use crate::scheduler::Scheduler;

/// What the server and its handles share. Lock several in this order.
pub(super) struct Shared {
    pub(super) url: String,
    pub(super) world: Mutex<World>,
    pub(super) script: Mutex<Script>,
    pub(super) log: Mutex<Log>,
    pub(super) pages: Pages,
    pub(super) scheduler: Scheduler,
}

/// Locks even a poisoned mutex: the failure of the test that poisoned it says more.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Concurrent requests arrive within this real time.
const ARRIVAL_SPREAD: Duration = Duration::from_millis(20);

/// How an answer is sent.
enum Sending {
    Whole(Answer),
    Half(Answer),
    Endless(Answer, &'static str),
    Cut,
}

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = IncomingRequest::new(method, &uri, body);
    let token = token(&headers);
    let logged = Request {
        method: request.method.to_string(),
        path: request.path_and_query(),
        repository: shared.name_of(&request),
        token: token.as_deref().map(fingerprint),
        api_version: text(&headers, "x-github-api-version"),
        status: None,
        graphql: request.graphql.as_ref().map(|query| query.logged()),
    };
    let what = format!("GitHub {} {}", logged.method, logged.path);
    let entry = lock(&shared.log).add(logged);
    if matches!(request.target, Target::Repository(_, Part::Issues)) {
        let now = lock(&shared.world).clock().now();
        // Before the scheduler admits the request: the world is not idle while an admitted request runs.
        shared.pages.wait(now).await;
    }
    let passage = shared.scheduler.enter(|| what).await;
    let api_version = text(&headers, "x-github-api-version");
    let sender = Sender {
        token: token.as_deref(),
        has_user_agent: headers.contains_key(header::USER_AGENT),
        api_version: api_version.as_deref(),
    };
    let sending = shared.answer(&request, &sender).await;
    passage.executed().await;
    match sending {
        Sending::Whole(answer) => {
            lock(&shared.log).answered(entry, &answer);
            respond(compressed(answer, &headers), Body::from)
        }
        Sending::Endless(answer, text) => {
            lock(&shared.log).answered(entry, &answer);
            let mut response = respond(answer, |body| endless(body, text));
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response
        }
        Sending::Half(answer) => {
            lock(&shared.log).answered(entry, &answer);
            respond(answer, |body| half(body, cutter))
        }
        Sending::Cut => {
            cutter.cut();
            // Never sent: the connection is cut.
            Response::default()
        }
    }
}

impl Shared {
    fn name_of(&self, request: &IncomingRequest) -> Option<String> {
        let world = lock(&self.world);
        request.repository_id(&world).map(|id| world.repositories[&id].full_name.clone())
    }

    async fn answer(&self, request: &IncomingRequest, sender: &Sender<'_>) -> Sending {
        let matched = {
            let world = lock(&self.world);
            lock(&self.script).take(request, &world)
        };
        for gate in matched.gates {
            gate.pass().await;
        }
        for edit in matched.edits {
            edit(&mut lock(&self.world));
        }
        match matched.fault {
            None => Sending::Whole(self.correct_answer(request, sender, None)),
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                Sending::Whole(self.correct_answer(request, sender, None))
            }
            Some(Fault::Endless(text)) => Sending::Endless(self.correct_answer(request, sender, None), text),
            Some(Fault::HalfPage) => Sending::Half(self.correct_answer(request, sender, None)),
            Some(Fault::Partial(partial)) => {
                Sending::Whole(self.correct_answer(request, sender, Some(&partial)))
            }
            Some(Fault::Changed(change)) => {
                Sending::Whole(change.of(self.correct_answer(request, sender, None)))
            }
            Some(Fault::Status(status)) => self.instead(request, sender, faults::of_status(status)),
            Some(Fault::EmptyList) => self.instead(request, sender, faults::empty_list()),
            Some(Fault::Answer { status, headers, body }) => {
                self.instead(request, sender, faults::exactly(status, headers, body))
            }
            Some(Fault::Garbage) => Sending::Whole(faults::garbage()),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::GivesUp(after)) => {
                let (clock, at) = {
                    let world = lock(&self.world);
                    (world.clock.clone(), world.clock.now() + after)
                };
                // Concurrent queries time out at the same time.
                tokio::time::sleep(ARRIVAL_SPREAD).await;
                clock.advance_to(at);
                Sending::Whole(graphql::timed_out())
            }
            Some(Fault::Cut) => Sending::Cut,
        }
    }

    fn correct_answer(
        &self,
        request: &IncomingRequest,
        sender: &Sender<'_>,
        partial: Option<&Partial>,
    ) -> Answer {
        let mut world = lock(&self.world);
        let answer = match world.admit(sender, request) {
            Ok(points) => Answer { points, ..world.answer(request, sender.token, &self.url, partial) },
            Err(refusal) => refusal,
        };
        world.sign(answer, sender, request)
    }

    /// Answers with a fault. The request counts on the budget like any other.
    fn instead(&self, request: &IncomingRequest, sender: &Sender<'_>, fault: Answer) -> Sending {
        let mut world = lock(&self.world);
        let answer = match world.admit(sender, request) {
            Ok(points) => Answer { points, ..fault },
            Err(refusal) => refusal,
        };
        Sending::Whole(world.sign(answer, sender, request))
    }
}

fn token(headers: &HeaderMap) -> Option<String> {
    let authorization = text(headers, "authorization")?;
    let (scheme, token) = authorization.split_once(' ')?;
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token");
    known.then(|| token.trim().to_owned())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn respond(answer: Answer, body: impl FnOnce(Vec<u8>) -> Body) -> Response {
    let length = answer.body.len();
    let mut response = Response::new(body(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).expect("a status of an answer or a fault has three digits");
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name).expect("a header of an answer or a fault has a valid name");
        let value = value.try_into().expect("a header of an answer or a fault has a valid value");
        response.headers_mut().insert(name, value);
    }
    response
}

/// Compresses an answer for clients that accept gzip, as GitHub does.
fn compressed(mut answer: Answer, request_headers: &HeaderMap) -> Answer {
    let accepts_gzip =
        text(request_headers, "accept-encoding").is_some_and(|codings| codings.contains("gzip"));
    let is_coded = answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
    if !accepts_gzip || is_coded || answer.body.is_empty() {
        return answer;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&answer.body).expect("memory takes all");
    answer.body = encoder.finish().expect("memory takes all");
    answer.with("content-encoding", "gzip")
}

/// A body without an end.
fn endless(mut body: Vec<u8>, text: &'static str) -> Body {
    body.pop();
    let again = Bytes::from(text.repeat((64 * 1024 / text.len()).max(1)));
    let rest = stream::repeat_with(move || Ok::<_, std::io::Error>(again.clone()));
    Body::from_stream(stream::once(async { Ok(Bytes::from(body)) }).chain(rest))
}

/// The first half of a body, then a reset.
fn half(mut body: Vec<u8>, cutter: Cutter) -> Body {
    body.truncate(body.len() / 2);
    let end = stream::once(async move {
        // Sends the half before cutting the connection.
        tokio::task::yield_now().await;
        cutter.cut();
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    });
    Body::from_stream(stream::once(async { Ok(Bytes::from(body)) }).chain(end))
}
