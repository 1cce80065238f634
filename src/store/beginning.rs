//! What a beat begins with, read at once.

use crate::domain::{AgentName, IdempotencyKey, KeptRequest};

use super::agents::Agent;
use super::fleet::FleetState;
use super::keys::Key;
use super::table::{Store, StoreError, value_of};

/// What the table says when a beat comes.
#[derive(Clone, Debug, Default)]
pub struct Beginning {
    /// The fleet's state.
    pub state: FleetState,
    /// What is remembered of the agent; none before its first beat.
    pub agent: Option<Agent>,
    /// What is kept of the same request; none when it has no key, or one that is new.
    pub request: Option<KeptRequest>,
}

impl Store {
    /// Reads what a beat of this agent begins with, in one request: a read unit for each of two items, and one for what
    /// is kept under its key, if it has one.
    pub async fn begin(
        &self,
        agent: &AgentName,
        key: Option<&IdempotencyKey>,
    ) -> Result<Beginning, StoreError> {
        let mut keys = vec![Key::state(), Key::agent(agent)];
        keys.extend(key.map(|key| Key::request(agent, key)));
        let mut items = self.get_all(&keys, true).await?;
        let mut item_of = |place: usize| keys.get(place).and_then(|key| key.take_from(&mut items));
        Ok(Beginning {
            state: item_of(0).map(value_of).transpose()?.unwrap_or_default(),
            agent: item_of(1).map(Agent::read).transpose()?,
            request: item_of(2).map(value_of).transpose()?,
        })
    }
}
