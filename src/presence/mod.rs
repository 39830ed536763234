//! The core: who is alive, who is late, who is gone.
//!
//! Pure: `std` and `serde` only. No runtime, no socket, no screen and no clock
//! of its own; time is always an argument. Everything here can be tested by
//! calling it.

pub mod command;
pub mod deliveries;
pub mod dialect;
pub mod event;
pub mod flip;
mod keyed;
pub mod known;
pub mod lateness;
pub mod notify;
pub mod past;
pub mod pulse;
pub mod reason;
pub mod registry;
pub mod rhythm;
pub mod row;
pub mod secret;
pub mod settings;
pub mod span;
pub mod trust;
pub mod view;
pub mod viewer;

pub use dialect::{Dialect, Dialects};
pub use event::{Event, EventKind, Who};
pub use flip::Flip;
pub use pulse::Pulse;
pub use reason::{Departure, Reason};
pub use registry::Registry;
pub use row::{Claim, ConnNo, Identity, Profile, RowKey, State};
pub use settings::{Revision, Settings, SettingsError};
