//! Secrets Manager: named secrets with versions, behind a [`Proxy`].
//!
//! Only `GetSecretValue`, the one operation the service calls; whatever else is
//! asked is an unknown operation. Secrets are put directly, not over HTTP.

use std::collections::HashMap;
use std::sync::Mutex;

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::proxy::{Answer, Call, Capacity, Proxy, Upstream};
use crate::turnstile::Turnstile;

pub use crate::fault::Held;
pub use crate::proxy::{Exchange, Fault, On, Outcome};

/// A running Secrets Manager.
pub type SecretsManager = Proxy<Vault>;

/// The state behind a [`SecretsManager`].
pub struct Vault {
    clock: Clock,
    secrets: Mutex<HashMap<String, Secret>>,
}

/// A secret's versions, the newest last. The last one is `AWSCURRENT`, the one
/// before it `AWSPREVIOUS`; older ones have no stage.
struct Secret {
    arn: String,
    versions: Vec<Version>,
}

struct Version {
    id: String,
    string: String,
    /// In seconds.
    created: f64,
}

impl SecretsManager {
    /// Starts one on a free port, without secrets.
    pub async fn start(clock: Clock) -> Self {
        Self::start_behind(Turnstile::default(), clock).await
    }

    /// Starts one that is reached through this turnstile.
    pub async fn start_behind(turnstile: Turnstile, clock: Clock) -> Self {
        Self::in_front_of(Vault { clock, secrets: Mutex::default() }, turnstile).await
    }

    /// Makes this the secret's `AWSCURRENT` version, and the one before its `AWSPREVIOUS`.
    pub fn put_secret(&self, name: &str, string: &str) {
        self.upstream().put(name, string);
    }

    /// The secret's ARN, by which it can be asked for as well as by its name.
    pub fn arn(name: &str) -> String {
        // AWS appends six characters to a name, so that a secret that is created again has another ARN.
        format!("arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}-a1B2c3")
    }
}

impl Vault {
    fn put(&self, name: &str, string: &str) {
        let mut secrets = self.secrets();
        let secret = secrets
            .entry(name.to_owned())
            .or_insert_with(|| Secret { arn: SecretsManager::arn(name), versions: Vec::new() });
        secret.versions.push(Version {
            id: format!("00000000-0000-4000-8000-{:012}", secret.versions.len() + 1),
            string: string.to_owned(),
            created: self.clock.now().as_duration().as_secs_f64(),
        });
    }

    fn get_secret_value(&self, request: &Value) -> Answer {
        let Some(asked) = request["SecretId"].as_str() else {
            return Answer::exception((400, "InvalidRequestException"), "You must provide SecretId.");
        };
        let secrets = self.secrets();
        let found = secrets.iter().find(|(name, secret)| *name == asked || secret.arn == asked);
        let Some((name, secret)) = found else {
            return not_found("Secrets Manager can't find the specified secret.");
        };
        let (id, stage) = (request["VersionId"].as_str(), request["VersionStage"].as_str());
        // Without either it is the current one; with both, both must be true of it.
        let stage = if id.is_none() { stage.or(Some("AWSCURRENT")) } else { stage };
        let version = secret.staged().find(|(version, stages)| {
            id.is_none_or(|id| id == version.id) && stage.is_none_or(|stage| stages.contains(&stage))
        });
        let Some((version, stages)) = version else {
            return not_found("Secrets Manager can't find the specified secret value for the version.");
        };
        ok(&json!({
            "ARN": secret.arn,
            "Name": name,
            "VersionId": version.id,
            "SecretString": version.string,
            "VersionStages": stages,
            "CreatedDate": version.created,
        }))
    }

    fn secrets(&self) -> std::sync::MutexGuard<'_, HashMap<String, Secret>> {
        self.secrets.lock().expect("nothing panics while it holds this lock")
    }
}

impl Secret {
    fn staged(&self) -> impl Iterator<Item = (&Version, &'static [&'static str])> {
        let stages: [&[&str]; 2] = [&["AWSCURRENT"], &["AWSPREVIOUS"]];
        let newest_first = self.versions.iter().rev().enumerate();
        newest_first.map(move |(age, version)| (version, stages.get(age).copied().unwrap_or_default()))
    }
}

impl Upstream for Vault {
    const NAME: &'static str = "Secrets Manager";
    const CONTENT_TYPE: &'static str = "application/x-amz-json-1.1";
    const THROTTLED: (u16, &'static str) = (400, "ThrottlingException");
    const FAILED: (u16, &'static str) = (500, "InternalServiceError");

    async fn answer(&self, call: Call) -> Answer {
        if call.operation != "GetSecretValue" {
            let message = format!("The local Secrets Manager does not know {:?}.", call.operation);
            return Answer::exception((400, "UnknownOperationException"), &message);
        }
        match serde_json::from_slice(&call.body) {
            Ok(request) => self.get_secret_value(&request),
            Err(_) => Answer::exception((400, "SerializationException"), "The body is not JSON."),
        }
    }
}

fn ok(body: &Value) -> Answer {
    Answer { status: 200, body: Bytes::from(body.to_string()), capacity: Capacity::default() }
}

fn not_found(message: &str) -> Answer {
    Answer::exception((400, "ResourceNotFoundException"), message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::caller;

    async fn get(secrets: &SecretsManager, request: Value) -> (u16, Value) {
        caller::call(secrets.url(), "secretsmanager.GetSecretValue", &request).await.expect("an answer")
    }

    #[tokio::test]
    async fn a_rotation_moves_the_stages() {
        let secrets = SecretsManager::start(Clock::manual(jiff::Timestamp::UNIX_EPOCH)).await;
        secrets.put_secret("tokens", "first");
        secrets.put_secret("tokens", "second");
        let (_, current) = get(&secrets, json!({ "SecretId": "tokens" })).await;
        assert_eq!(
            (&current["SecretString"], &current["VersionStages"]),
            (&json!("second"), &json!(["AWSCURRENT"]))
        );
        let previous = json!({ "SecretId": SecretsManager::arn("tokens"), "VersionStage": "AWSPREVIOUS" });
        assert_eq!(get(&secrets, previous).await.1["SecretString"], "first");

        secrets.put_secret("tokens", "third");
        let (status, gone) =
            get(&secrets, json!({ "SecretId": "tokens", "VersionStage": "AWSPENDING" })).await;
        assert_eq!((status, &gone["__type"]), (400, &json!("ResourceNotFoundException")));
        let (_, by_id) =
            get(&secrets, json!({ "SecretId": "tokens", "VersionId": current["VersionId"] })).await;
        assert_eq!(by_id["VersionStages"], json!(["AWSPREVIOUS"]));
    }

    #[tokio::test]
    async fn refusals_bear_the_services_names() {
        let secrets = SecretsManager::start(Clock::system()).await;
        secrets.fault(On::operation("GetSecretValue"), Fault::InternalError);
        secrets.fault(On::operation("GetSecretValue"), Fault::AccessDenied);
        let mut answers = Vec::new();
        for _ in 0..3 {
            let (status, body) = get(&secrets, json!({ "SecretId": "none" })).await;
            answers.push((status, body["__type"].as_str().unwrap_or_default().to_owned()));
        }
        let (status, body) =
            caller::call(secrets.url(), "secretsmanager.ListSecrets", &json!({})).await.expect("an answer");
        answers.push((status, body["__type"].as_str().unwrap_or_default().to_owned()));
        let expected = [
            (500, "InternalServiceError"),
            (400, "AccessDeniedException"),
            (400, "ResourceNotFoundException"),
            (400, "UnknownOperationException"),
        ];
        assert_eq!(answers, expected.map(|(status, code)| (status, code.to_owned())));
        assert_eq!(secrets.requests().len(), 4);
    }
}
