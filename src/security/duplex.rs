//! Something bytes go in and out of, whatever it is.

use tokio::io::{AsyncRead, AsyncWrite};

/// Something bytes go in and out of.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Such a thing on the heap: a connection that may or may not be secret.
pub type Stream = Box<dyn Duplex>;
