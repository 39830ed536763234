//! The client room: one connection to a server, kept up for ever.
//!
//! [`engine`] is the policy: it looks the server up, connects, and decides what
//! to do when a conversation ends. [`session`] carries one conversation over a
//! stream and [`dialogue`] decides what is said in it; [`heart`] says when to
//! ping and what the answers mean. [`foreign`] is the other client, for servers
//! that speak something else. What happens is shown at the [`desk`], and a
//! screen looks at it through a [`window`].

pub mod backoff;
pub mod connect;
pub mod console;
pub mod desk;
pub mod dialogue;
pub mod engine;
pub mod foreign;
pub mod heart;
pub mod identity;
pub mod messenger;
pub mod notice;
pub mod peers;
pub mod roster;
pub mod session;
pub mod window;

pub use crate::net::addr::{AddrError, ServerAddr};
pub use connect::{Connected, Connector, Dial, Tcp};
pub use desk::JoinState;
pub use engine::{Engine, JoinError, Options, Windows};
pub use identity::Identity;
pub use notice::Notice;
pub use peers::{Peer, Peers};
pub use window::{Panes, Window};
