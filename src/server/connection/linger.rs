//! Closing a connection whose client is still sending.
//!
//! A socket that is closed with bytes unread makes the kernel reset the connection, and a client
//! that has not yet read its answer loses it (RFC 9112, section 9.6). So our side is shut down,
//! and what the client goes on to send is read and dropped until it has seen the answer.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::Stream;

/// A client silent for this long has its answer.
const SILENCE: Duration = Duration::from_secs(5);
/// However much it sends, no longer than this.
const LONGEST: Duration = Duration::from_secs(30);

/// Closes `stream` once the client has.
pub async fn close(mut stream: Stream) {
    if stream.shutdown().await.is_ok() {
        // At the end of the time the connection is reset, which is all that is left to do.
        let _ = tokio::time::timeout(LONGEST, read_to_end(&stream)).await;
    }
}

async fn read_to_end(stream: &Stream) {
    let mut dropped = vec![0; 64 * 1024];
    while let Ok(Ok(())) = tokio::time::timeout(SILENCE, stream.readable()).await {
        match stream.try_read(&mut dropped) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
