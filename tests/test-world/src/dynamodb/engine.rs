//! The embedded engine, reached through its own HTTP server, which alone renders
//! requests and errors as DynamoDB does. Opens nothing to the outside.

use std::net::Ipv4Addr;
use std::sync::Arc;

use dynoxide::Database;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::conflicts::Transactions;
use super::{Storage, conflicts, meter};
use crate::clock::Clock;
use crate::proxy::{Answer, Call, Upstream};

/// The engine behind a [`DynamoDb`](super::DynamoDb).
pub struct Engine {
    database: Database,
    url: String,
    client: Client<HttpConnector, Full<Bytes>>,
    transactions: Transactions,
    _running: watch::Sender<()>,
}

impl Engine {
    pub(super) async fn start(clock: Clock, storage: Storage) -> Self {
        let database = match storage {
            Storage::Memory => Database::memory_with_clock(Arc::new(EngineClock(clock))),
            Storage::File(path) => Database::new(&path.to_string_lossy()),
        };
        let database = database.unwrap_or_else(|error| panic!("the database cannot be opened: {error}"));
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port on the loopback");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (running, mut stopped) = watch::channel(());
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), async move {
            // Nothing is ever sent, so this ends when the sender is dropped.
            let _ = stopped.changed().await;
        }));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self {
            database,
            url: format!("http://{address}/"),
            client,
            transactions: Transactions::default(),
            _running: running,
        }
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    async fn forward(&self, mut call: Call) -> Result<(u16, Bytes), hyper_util::client::legacy::Error> {
        // They speak of the body as it came and of the connection it came by.
        for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::HOST] {
            call.headers.remove(name);
        }
        let mut request = Request::new(Full::new(call.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.parse().expect("made of an address");
        *request.headers_mut() = call.headers;
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await;
        Ok((status, body.map(http_body_util::Collected::to_bytes).unwrap_or_default()))
    }
}

impl Upstream for Engine {
    const NAME: &'static str = "DynamoDB";
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.0";
    const THROTTLED: (u16, &'static str) =
        (400, "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException");
    const FAILED: (u16, &'static str) = (500, "com.amazonaws.dynamodb.v20120810#InternalServerError");

    fn conflict(operation: &str) -> Answer {
        conflicts::refusal(operation, &[])
    }

    async fn answer(&self, mut call: Call) -> Answer {
        let operation = call.operation.clone();
        let _under_way = match self.transactions.enter(&operation, &call.body) {
            Ok(under_way) => under_way,
            Err(refused) => return refused,
        };
        let metered = meter::attach(&operation, &mut call.body);
        match self.forward(call).await {
            Ok((status, body)) => metered.read(&operation, status, body),
            Err(error) => Answer::exception(Self::FAILED, &format!("The engine cannot be reached: {error}.")),
        }
    }
}

/// The local world's time as the engine takes it.
struct EngineClock(Clock);

impl dynoxide::storage_backend::Clock for EngineClock {
    fn now_unix_secs(&self) -> u64 {
        u64::try_from(self.0.now().as_second()).unwrap_or_default()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.0.now().as_duration().as_secs_f64()
    }
}
