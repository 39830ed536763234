//! The wire: presence protocol v1, as `docs/protocol.md` describes it.
//!
//! Bytes become lines in [`codec`], lines become messages in [`message`], and
//! every text a peer sends is made harmless once, here, by [`clean`].

pub mod clean;
pub mod code;
pub mod codec;
pub mod entry;
pub mod message;
pub mod netsync;
pub mod notify;
pub mod register;
pub mod sniff;
pub mod websocket;

pub use code::ErrorCode;
pub use codec::{CodecError, LINE_BYTES_MAX, LineCodec};
pub use entry::{Entry, Parted};
pub use message::{Chat, ClientMessage, DecodeError, Ping, ServerMessage, Update, Welcome};
pub use notify::{Notified, Notify, NotifyResult};
pub use register::{Register, Registration};

/// The protocol version this program speaks.
pub const VERSION: u8 = 1;
