//! What is remembered of each agent: how far it has been told of changes, and how often it beats.

use std::cmp::Ordering;
use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::Timestamp;
use serde::Deserialize;

use crate::domain::{
    AgentName, BeatRate, Fingerprint, IssueNumber, Minute, Position, RepositoryId, Sweep, Within, iso_millis,
};

use super::keys::{Item, Key};
use super::table::{Store, StoreError, number, store_error, text, value_of};

/// What is remembered of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// How far it has been told of changes.
    pub told: Position,
    /// How often it beat in the last minute in which it did.
    pub pace: Option<BeatRate>,
}

/// What an answered beat leaves in its agent's item.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The minute that it came in.
    pub minute: Minute,
    /// How far its agent has been told then.
    pub told: Position,
    /// When it was answered.
    pub at: Timestamp,
    /// The token that it came with, if any. It is for operators: one that no agent's item names any more can go.
    pub token: Option<&'a Fingerprint>,
}

/// What is read of an agent's item. The position is one text that sorts as positions do, so that DynamoDB can compare
/// it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgentItem {
    told: String,
    kinds_after: Option<u64>,
    #[serde(default)]
    reported: u64,
    beat_minute: Option<Minute>,
    beats_in_minute: Option<u64>,
}

/// The item is not as it was known, but so, or gone.
struct Moved(Option<Agent>);

impl Store {
    /// Notes an answered beat in its agent's item, which was `known` to be so: moves the position, forward only, and
    /// counts the beat in the minute that it came in. One write, unless another beat of the agent has moved the item in
    /// between to another minute or beyond this position.
    ///
    /// Beats that end at the same time are all counted, a slower one too, whose position stays behind; one of a minute
    /// before the item's counts for nothing, since nobody asks for that minute any more. Not exact is this: beats under
    /// way at the same moment are seen only by those that come after them, so as many as come at once are answered; one
    /// that dies or cannot write is not counted; and one whose write DynamoDB has carried out without being heard is
    /// counted twice.
    pub async fn put_agent(
        &self,
        name: &AgentName,
        mut known: Option<Agent>,
        beat: Answered<'_>,
    ) -> Result<(), StoreError> {
        // The item's minute goes from before the beat's to the same to a later one, and its position once from behind
        // the beat's to beyond: three surprises at most.
        for _ in 0..4 {
            let Some(update) = Update::noting(&beat, known) else { return Ok(()) };
            match self.update_agent(name, update).await? {
                Ok(()) => return Ok(()),
                Err(Moved(to)) => known = to,
            }
        }
        Err(StoreError::new("UpdateItem", "an agent's item that kept changing"))
    }

    async fn update_agent(&self, name: &AgentName, update: Update) -> Result<Result<(), Moved>, StoreError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(Key::agent(name).attributes()))
            .update_expression(update.expression())
            .condition_expression(update.conditions.join(" AND "))
            .set_expression_attribute_values(Some(update.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = answer else { return Ok(Ok(())) };
        let Some(UpdateItemError::ConditionalCheckFailedException(refused)) = error.as_service_error() else {
            return Err(store_error("UpdateItem")(error));
        };
        Ok(Err(Moved(refused.item().cloned().map(Agent::read).transpose()?)))
    }
}

impl Agent {
    pub(super) fn read(item: Item) -> Result<Self, StoreError> {
        let item: AgentItem = value_of(item)?;
        let told = position_from_text(&item.told)
            .ok_or_else(|| StoreError::new("read", "an agent's position of another shape"))?;
        let kinds_after = item.kinds_after.unwrap_or(told.kinds_after);
        let told = Position { kinds_after, reported: item.reported, ..told };
        let pace =
            item.beat_minute.zip(item.beats_in_minute).map(|(minute, beats)| BeatRate { minute, beats });
        Ok(Self { told, pace })
    }
}

/// An update that is carried out only where the item is as it was known, as far as that matters. Counts are added where
/// they stand, so that of two beats that end at once neither stands in the other's way.
#[derive(Default)]
struct Update {
    set: Vec<&'static str>,
    add: &'static str,
    conditions: Vec<&'static str>,
    values: HashMap<String, AttributeValue>,
}

impl Update {
    /// What notes a beat in an item that is known to be so; none when nothing is left to note.
    fn noting(beat: &Answered<'_>, known: Option<Agent>) -> Option<Self> {
        let told = position_as_text(beat.told);
        let is_behind = known.is_none_or(|known| position_as_text(known.told) <= told);
        let minute = known.and_then(|known| known.pace).map(|pace| pace.minute);
        let mut update = Self::default();
        match minute.cmp(&Some(beat.minute)) {
            Ordering::Less => {
                update.set.push("beatMinute = :minute, beatsInMinute = :one");
                update.holds("(attribute_not_exists(beatMinute) OR beatMinute < :minute)");
                update.values([(":minute", number(beat.minute.0)), (":one", number(1))]);
            }
            Ordering::Equal => {
                update.add = "ADD beatsInMinute :one";
                update.holds("beatMinute = :minute");
                update.values([(":minute", number(beat.minute.0)), (":one", number(1))]);
            }
            Ordering::Greater if is_behind => {}
            Ordering::Greater => return None,
        }
        if is_behind {
            update.set.push("told = :told, kindsAfter = :kinds, reported = :reported, lastBeatAt = :at");
            update.holds("(attribute_not_exists(told) OR told <= :told)");
            update.values([(":told", text(told)), (":kinds", number(beat.told.kinds_after))]);
            update.values([(":reported", number(beat.told.reported)), (":at", text(iso_millis(beat.at)))]);
            if let Some(token) = beat.token {
                update.set.push("tokenFingerprint = :token");
                update.values([(":token", text(token.as_str()))]);
            }
        } else {
            // An item with a count alone could not be read.
            update.holds("attribute_exists(told)");
        }
        Some(update)
    }

    fn holds(&mut self, condition: &'static str) {
        self.conditions.push(condition);
    }

    fn values<const N: usize>(&mut self, values: [(&str, AttributeValue); N]) {
        self.values.extend(values.map(|(name, value)| (name.to_owned(), value)));
    }

    fn expression(&self) -> String {
        let set = if self.set.is_empty() { String::new() } else { format!("SET {} ", self.set.join(", ")) };
        set + self.add
    }
}

/// `<fence>#<repository>#<issue>`, or `<fence>#~` when all of the fence was told: `~` sorts after the digits. A sweep adds
/// to the latter `#<after>#<upto>#<repository>`, where the repository's id has no leading zeros, as in its own item's
/// key, and to that `#<fence>#<issue>`, or `#~` when all of that repository was told.
fn position_as_text(Position { fence, within, .. }: Position) -> String {
    match within {
        None => format!("{fence:020}#~"),
        Some(Within::Fence(repository, issue)) => format!("{fence:020}#{:020}#{:010}", repository.0, issue.0),
        Some(Within::Sweep(Sweep { after, upto, repository, last })) => {
            let last = last.map_or("~".to_owned(), |(fence, issue)| format!("{fence:020}#{:010}", issue.0));
            format!("{fence:020}#~#{after:020}#{upto:020}#{repository}#{last}")
        }
    }
}

fn position_from_text(text: &str) -> Option<Position> {
    let number = |part: &str| part.parse::<u64>().ok();
    let parts: Vec<&str> = text.split('#').collect();
    let (fence, within) = match parts[..] {
        [fence, "~"] => (fence, None),
        [fence, repository, issue] => {
            let (repository, issue) = (number(repository)?, number(issue)?);
            (fence, Some(Within::Fence(RepositoryId(repository), IssueNumber(issue))))
        }
        [fence, "~", after, upto, repository, ref last @ ..] => {
            let last = match *last {
                ["~"] => None,
                [fence, issue] => Some((number(fence)?, IssueNumber(number(issue)?))),
                _ => return None,
            };
            let (after, upto, repository) =
                (number(after)?, number(upto)?, RepositoryId(number(repository)?));
            (fence, Some(Within::Sweep(Sweep { after, upto, repository, last })))
        }
        _ => return None,
    };
    let position = Position { fence: number(fence)?, within, kinds_after: 0, reported: 0 };
    Some(Position { kinds_after: position.complete_fence(), ..position })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_sort_as_text_as_they_do_as_positions() {
        let at = |fence, within: Option<Within>| {
            let position = Position { fence, within, kinds_after: 0, reported: 0 };
            Position { kinds_after: position.complete_fence(), ..position }
        };
        let issue = |repository, issue| Some(Within::Fence(RepositoryId(repository), IssueNumber(issue)));
        let sweep = |repository, last: Option<(u64, u64)>| {
            let last = last.map(|(fence, issue)| (fence, IssueNumber(issue)));
            Some(Within::Sweep(Sweep { after: 8, upto: 30, repository: RepositoryId(repository), last }))
        };
        let ascending = [
            at(0, None),
            at(9, issue(2, 10)),
            at(9, issue(10, 2)),
            at(9, None),
            at(9, sweep(10, Some((11, 7)))),
            at(9, sweep(10, Some((12, 3)))),
            at(9, sweep(10, None)),
            at(9, sweep(101, Some((10, 1)))),
            at(9, sweep(2, None)),
            at(10, issue(1, 1)),
            at(30, None),
        ];
        let texts = ascending.map(position_as_text);
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts.map(|text| position_from_text(&text)), ascending.map(Some));
    }
}
