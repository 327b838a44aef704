//! Writing files so that they are whole and there after a loss of power. Everything here blocks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes a folder and those above it, each recorded in its parent.
pub(super) fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().ok_or(io::ErrorKind::NotFound)?;
    make_dir(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_dir(parent)
}

/// Writes a file under its final name, by way of a temporary one on the same disk.
pub(super) fn write(temporary: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let written = File::create_new(temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let moved = written.and_then(|()| rename(temporary, target));
    if moved.is_err() {
        // Not there if it was not made; removed at the next start at the latest.
        let _ = fs::remove_file(temporary);
    }
    moved
}

/// Gives a synchronised file its final name.
pub(super) fn rename(temporary: &Path, target: &Path) -> io::Result<()> {
    let parent = target.parent().ok_or(io::ErrorKind::NotFound)?;
    make_dir(parent)?;
    fs::rename(temporary, target)?;
    sync_dir(parent)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    // An empty parent stands for the working folder.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}
