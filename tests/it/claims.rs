//! Many beats, one pass: who runs it, who joins it, and what a dead or stalled holder leaves.
