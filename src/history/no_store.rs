//! Stands in for the file in a build without the feature `history`: there never is one.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::flip::Flip;
use super::{Answer, Plan, Trouble};

/// One life of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) began_ms: u64,
    pub(super) number: Option<i64>,
}

/// A file that cannot be.
#[derive(Debug)]
pub(super) struct Store(Infallible);

impl Store {
    pub(super) fn open(_: &Path, _: &Plan, _: Run, _: u64) -> Result<(Self, bool), Trouble> {
        Err(Trouble::strange("this build keeps no history file"))
    }

    pub(super) fn run(&self) -> i64 {
        match self.0 {}
    }

    pub(super) fn write(&mut self, _: &[Flip], _: u64) -> Result<(), Trouble> {
        match self.0 {}
    }

    pub(super) fn prune(&mut self, _: u64, _: bool) -> Result<bool, Trouble> {
        match self.0 {}
    }

    pub(super) fn past(&self, _: &[Arc<str>], _: u64) -> Result<Answer, Trouble> {
        match self.0 {}
    }

    pub(super) fn end(self, _: u64) -> Result<(), Trouble> {
        match self.0 {}
    }
}

pub(super) fn set_aside(_: &Path) -> std::io::Result<PathBuf> {
    Err(std::io::ErrorKind::Unsupported.into())
}
