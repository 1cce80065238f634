//! Everything that a heartbeat reads first, in one request.

use crate::domain::{AgentName, IdempotencyKey, KeptRequest};

use super::agents::Agent;
use super::fleet::FleetState;
use super::keys::Key;
use super::table::{Store, StoreError, value_of};

/// The stored state at the start of a heartbeat.
#[derive(Clone, Debug, Default)]
pub struct InitialState {
    /// The fleet's state.
    pub state: FleetState,
    /// The agent's stored state; `None` before its first heartbeat.
    pub agent: Option<Agent>,
    /// The stored request with the same `Idempotency-Key`; `None` without a key or if the key is new.
    pub request: Option<KeptRequest>,
}

impl Store {
    /// Reads the state at the start of a heartbeat, in one consistent request: one read unit each for the fleet's state
    /// and the agent, and one more for the stored request if there is a key.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or an item cannot be read.
    pub async fn initial_state(
        &self,
        agent: &AgentName,
        key: Option<&IdempotencyKey>,
    ) -> Result<InitialState, StoreError> {
        let mut keys = vec![Key::state(), Key::agent(agent)];
        keys.extend(key.map(|key| Key::request(agent, key)));
        let mut items = self.get_all(&keys, true).await?;
        let mut item_of = |place: usize| keys.get(place).and_then(|key| key.take_from(&mut items));
        Ok(InitialState {
            state: item_of(0).map(value_of).transpose()?.unwrap_or_default(),
            agent: item_of(1).map(Agent::read).transpose()?,
            request: item_of(2).map(value_of).transpose()?,
        })
    }
}
