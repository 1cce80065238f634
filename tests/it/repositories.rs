//! Renames, namesakes, transfers, and repositories that cannot be seen.
