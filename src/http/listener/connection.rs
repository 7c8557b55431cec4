//! A connection that counts as one until it is closed, also after it has become a socket of a room.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

/// A stream with its place among the connections.
pub struct Connection<S> {
    stream: S,
    _place: Place,
}

struct Place(#[expect(dead_code, reason = "it is held, not read")] OwnedSemaphorePermit);

impl<S> Connection<S> {
    /// Holds the place as long as the stream is open.
    pub fn new(stream: S, place: OwnedSemaphorePermit) -> Self {
        metrics::gauge!("http_connections").increment(1.0);
        Self { stream, _place: Place(place) }
    }

    /// The stream, which counts no more.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S> AsRef<S> for Connection<S> {
    fn as_ref(&self) -> &S {
        &self.stream
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("http_connections").decrement(1.0);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
