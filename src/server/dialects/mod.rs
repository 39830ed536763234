//! Conversations that are not led in the presence protocol's own lines.

mod netsync;
pub(super) mod websocket;

use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::arrival::Caller;
use super::handle::HubHandle;
use super::http;
use super::link::Link;
#[cfg(feature = "tls")]
use super::secure;
use super::wire::Wire;
use crate::protocol::sniff::Start;
use crate::security::duplex::Stream;

/// Leads a conversation whose first bytes, which `wire` still has, told what it is.
///
/// On the heap: a session of the presence protocol must not grow for it. So is the connection, which makes it of one
/// type: each of these conversations is compiled once, whatever it goes over.
pub(crate) fn lead<S>(
    start: Start,
    wire: Wire<S>,
    link: Arc<Link>,
    caller: Box<Caller>,
    hub: HubHandle,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, head) = wire.into_parts();
    let io: Stream = Box::new(io);
    match start {
        Start::Http => Box::pin(http::lead(io, head, link, caller, hub)),
        #[cfg(feature = "tls")]
        Start::Tls => Box::pin(secure::lead(io, head, link, caller, hub)),
        // Nobody is told in words what is wrong below them: TLS has its own alerts.
        #[cfg(not(feature = "tls"))]
        Start::Tls => Box::pin(std::future::ready(())),
        // What is ours never comes here.
        Start::Netsync | Start::Presence => Box::pin(netsync::lead(io, head, link, caller, hub)),
    }
}
