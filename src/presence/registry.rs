//! The only owner of rows.

/// Every client that is or was here.
#[derive(Debug, Default)]
pub struct Registry;
