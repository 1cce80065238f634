//! The board: its files, and the sessions with which it reads.

mod cookies;
mod description;
mod files;
mod fronts;
mod sessions;
mod sign_in;
