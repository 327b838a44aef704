//! Writing files so that they are whole and there after a loss of power. Everything here blocks.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A folder, and what of it is known to outlive a loss of power.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
    /// Folders that are recorded in their parents. That one is there does not say so: another writer may have made it a
    /// moment ago, or a process that ended before it was recorded.
    recorded: Mutex<HashSet<PathBuf>>,
}

impl Disk {
    /// Makes the folder where it is missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        make_root(root)?;
        Ok(Self { root: root.to_owned(), recorded: Mutex::default() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a folder and those above it, each recorded in its parent.
    pub(super) fn make_dir(&self, path: &Path) -> io::Result<()> {
        if path == self.root || self.is_recorded(path) {
            return Ok(());
        }
        let parent = path.parent().ok_or(io::ErrorKind::NotFound)?;
        self.make_dir(parent)?;
        create_dir(path)?;
        sync_dir(parent)?;
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        Ok(())
    }

    /// Writes a file under its final name, by way of a temporary one on the same disk.
    pub(super) fn write(&self, temporary: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
        let written = File::create_new(temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        let moved = written.and_then(|()| self.rename(temporary, target));
        if moved.is_err() {
            // Not there if it was not made; removed at the next start at the latest.
            let _ = fs::remove_file(temporary);
        }
        moved
    }

    /// Gives a synchronised file its final name.
    pub(super) fn rename(&self, temporary: &Path, target: &Path) -> io::Result<()> {
        let parent = target.parent().ok_or(io::ErrorKind::NotFound)?;
        self.make_dir(parent)?;
        fs::rename(temporary, target)?;
        sync_dir(parent)
    }

    /// Makes sure of a file that is there under its final name: who gave it that may not have come to its end.
    pub(super) fn record(&self, target: &Path) -> io::Result<()> {
        let parent = target.parent().ok_or(io::ErrorKind::NotFound)?;
        self.make_dir(parent)?;
        sync_dir(parent)
    }

    fn is_recorded(&self, path: &Path) -> bool {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }
}

/// Makes the folder of everything. What is above one that is there is somebody else's.
fn make_root(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().ok_or(io::ErrorKind::NotFound)?;
    make_root(parent)?;
    create_dir(path)?;
    sync_dir(parent)
}

fn create_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    // An empty parent stands for the working folder.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_there_before_is_recorded_too() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().join("data").join("registry");
        fs::create_dir_all(root.join("a")).expect("folders");
        let disk = Disk::open(&root).expect("a folder");
        let deep = root.join("a").join("b").join("c");
        disk.make_dir(&deep).expect("made");
        assert!(deep.is_dir());
        for folder in [&deep, &root.join("a").join("b"), &root.join("a")] {
            assert!(disk.is_recorded(folder), "{}", folder.display());
        }
        assert!(!disk.is_recorded(&root), "what is above is not ours to record");
        // A file in the place of a folder is no folder.
        fs::write(root.join("file"), "").expect("a file");
        assert!(disk.make_dir(&root.join("file").join("x")).is_err());
    }
}
