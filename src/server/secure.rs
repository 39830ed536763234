//! A connection that begins with a TLS handshake, and goes on like any other inside it.

use std::sync::Arc;

use bytes::BytesMut;

use super::arrival::{self, Caller};
use super::handle::HubHandle;
use super::headed::Headed;
use super::link::Link;
use super::session::Ended;
use crate::protocol::{ErrorCode, clean};
use crate::security::duplex::Stream;

/// Shakes hands, within the time there is to register, and leads the conversation inside; `head` was read already.
pub(super) async fn lead(
    io: Stream,
    head: BytesMut,
    link: Arc<Link>,
    mut caller: Box<Caller>,
    hub: HubHandle,
) {
    let guard = hub.gate().guard();
    let Some(tls) = &guard.tls else { return };
    let shaken = arrival::in_time(&caller, &hub, async {
        let accepted = tls.accept(Headed::new(io, head)).await;
        accepted.map_err(|words| Ended::told(ErrorCode::BadRequest, format!("no TLS: {words}"), None))
    });
    // Nobody is told in words what is wrong below them: TLS has its own alerts.
    let Ok((io, user)) = shaken.await else { return };
    drop(guard);
    caller.origin.secure = true;
    caller.origin.user = user.map(|user| clean::name(&user).into());
    arrival::go_on(io, link, caller, hub).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;
    use crate::security::tls::{ClientTls, ServerTls, Trust, make};
    use crate::server::Socket;

    #[tokio::test]
    async fn the_eye_sees_through_tls_that_something_was_said_and_not_read() {
        let made = make(&["localhost".to_owned()]).unwrap();
        let tls = ServerTls::new(made.certificate.as_bytes(), made.key.as_bytes(), None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let client = tokio::spawn(async move {
            let tcp = TcpStream::connect(addr).await.unwrap();
            ClientTls::new(Trust::Pin(made.pin), None).unwrap().connect("localhost", tcp).await.unwrap()
        });
        let (socket, eye) = Socket::new(listener.accept().await.unwrap().0);
        let (mut server, user) = tls.accept(Headed::new(Box::new(socket), BytesMut::new())).await.unwrap();
        let mut client = client.await.unwrap();
        assert!(user.is_none() && !eye.sees_unread());
        client.write_all(b"ping\n").await.unwrap();
        client.flush().await.unwrap();
        let seen = async {
            while !eye.sees_unread() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), seen).await.unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!((&heard, eye.sees_unread()), (b"ping\n", false));
    }
}
