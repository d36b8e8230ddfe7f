//! Checks that read the sources.

mod boundaries;
mod documentation;
mod iam;
