//! The answer, clause by clause.
