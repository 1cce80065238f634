//! Since when agents could be heard without a gap.

use crate::domain::Listening;

use super::keys::Key;
use super::table::{Store, StoreError};

impl Store {
    /// Since when agents could be heard; the default before the first sweep. One consistent read.
    ///
    /// # Errors
    /// [`StoreError`] if DynamoDB fails or the item cannot be read.
    pub async fn listening(&self) -> Result<Listening, StoreError> {
        Ok(self.get(&Key::watch()).await?.unwrap_or_default())
    }
}
