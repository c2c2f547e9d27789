//! The signals that end a command.

use std::io;

use tracing::info;

/// Waits for Ctrl-C or, on Unix, SIGTERM.
pub async fn requested() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = tokio::signal::ctrl_c() => outcome,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// As [`requested`]; from then on a second signal ends the process at once.
pub async fn requested_once() {
    if let Err(error) = requested().await {
        info!("cannot wait for signals: {error}");
        return std::future::pending().await;
    }
    info!("stopping: what is under way may end; a second signal cuts it");
    tokio::spawn(async {
        if requested().await.is_ok() {
            std::process::exit(1);
        }
    });
}
