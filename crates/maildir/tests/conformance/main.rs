//! The `maildir_path` and `null` protocols, on real folders.

mod maildir;
mod null;
mod support;
