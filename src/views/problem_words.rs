//! What the codes of problems mean. It reads nothing: a version of the service always says the same.

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ProblemCode;

/// Every code of a problem, explained.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProblemWords {
    /// One entry for each code.
    pub problems: Vec<ProblemWordsView>,
}

/// What a code means, and what to do about it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ExplainedProblem)]
pub struct ProblemWordsView {
    /// The code.
    pub code: ProblemCode,
    /// What it means, as plain text with code in backticks.
    pub meaning: &'static str,
    /// What to do about it, in the same form. It begins with `nothing:` if the service recovers by itself.
    pub way_out: &'static str,
}

/// The words of all codes.
pub fn problem_words() -> ProblemWords {
    let words =
        |code: ProblemCode| ProblemWordsView { code, meaning: code.meaning(), way_out: code.way_out() };
    ProblemWords { problems: ProblemCode::ALL.map(words).to_vec() }
}
