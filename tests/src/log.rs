//! What the server logs during the tests, kept in memory so that a test can look for what must not be there.

use std::{
    io,
    sync::{Mutex, Once, PoisonError},
};
use tracing_subscriber::{EnvFilter, fmt};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static BEGUN: Once = Once::new();

/// Keeps all log lines of this process from now on, those of debugging included.
pub fn keep() {
    BEGUN.call_once(|| {
        let filter = EnvFilter::new("info,ropeway=debug,ropeway_clusters=debug,ropeway_library=debug,kube_client=off");
        let begun = fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Lines).try_init();
        begun.expect("nobody else logs in this process");
    });
}

/// The log lines so far that hold a text.
pub fn lines_with(text: &str) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&lines).lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
