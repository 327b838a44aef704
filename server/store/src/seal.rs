//! Sealing secrets: XChaCha20-Poly1305 with a key from a file that is made at the first start.

use crate::clock;
use blake2::{
    Blake2bMac,
    digest::{Mac, consts::U32},
};
use chacha20poly1305::{
    Key, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, KeyInit as _, Payload},
};
use std::{
    fmt, io,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A value that is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Seals and opens secrets.
#[derive(Clone)]
pub struct Sealer(Arc<Keyed>);

struct Keyed {
    cipher: XChaCha20Poly1305,
    hash: Blake2bMac<U32>,
}

/// Why something could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The key file could not be read or made.
    #[error("using the key file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others can read the key file.
    #[error("the key file {} can be read by others: its mode is {mode:o}, it must be 600", path.display())]
    Mode {
        /// Which.
        path: PathBuf,
        /// As it is.
        mode: u32,
    },
    /// The file holds no key.
    #[error("the key file {} holds {found} bytes, a key has {KEY_BYTES}", path.display())]
    Length {
        /// Which.
        path: PathBuf,
        /// As it is.
        found: usize,
    },
    /// Sealed with another key, for another row, or damaged.
    #[error("a sealed value cannot be opened: it was sealed with another key, or is damaged")]
    Open,
    /// Longer than can be sealed.
    #[error("a value cannot be sealed")]
    Seal,
}

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself, for the one who needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Sealer {
    /// Takes the key from a file, which is made, for its owner only, where there is none.
    pub fn open(path: &Path) -> Result<Self, SealError> {
        let file = |source| SealError::File { path: path.to_owned(), source };
        let key = match std::fs::read(path) {
            Ok(key) => {
                let mode = std::fs::metadata(path).map_err(file)?.mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(SealError::Mode { path: path.to_owned(), mode });
                }
                Zeroizing::new(key)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                make(path).map_err(file)?;
                Zeroizing::new(std::fs::read(path).map_err(file)?)
            }
            Err(e) => return Err(file(e)),
        };
        if key.len() != KEY_BYTES {
            return Err(SealError::Length { path: path.to_owned(), found: key.len() });
        }
        // Not the key itself: each has one use.
        let root = <Blake2bMac<U32> as Mac>::new_from_slice(&key).map_err(|_| SealError::Seal)?;
        let hash_key = Zeroizing::new(<[u8; 32]>::from(root.chain_update(b"hashes").finalize().into_bytes()));
        let hash = <Blake2bMac<U32> as Mac>::new_from_slice(&*hash_key).map_err(|_| SealError::Seal)?;
        Ok(Self(Arc::new(Keyed { cipher: XChaCha20Poly1305::new(Key::from_slice(&key)), hash })))
    }

    /// Seals a value for one row: `context`, such as the row's id, must be the same when it is opened.
    pub fn seal(&self, context: &[u8], value: &Secret) -> Result<Vec<u8>, SealError> {
        let nonce = clock::random_bytes::<NONCE_BYTES>();
        let payload = Payload { msg: value.expose().as_bytes(), aad: context };
        let sealed = self.0.cipher.encrypt(XNonce::from_slice(&nonce), payload).map_err(|_| SealError::Seal)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what was sealed for the same row.
    pub fn unseal(&self, context: &[u8], sealed: &[u8]) -> Result<Secret, SealError> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or(SealError::Open)?;
        let payload = Payload { msg: sealed, aad: context };
        let value = self.0.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::Open)?;
        String::from_utf8(value).map(Secret::new).map_err(|_| SealError::Open)
    }

    /// A hash, in hexadecimal, that only this key can make: nobody can find out by trying what it is of.
    pub fn hash(&self, value: &[u8]) -> String {
        hex::encode(self.0.hash.clone().chain_update(value).finalize().into_bytes())
    }
}

/// Makes a key file, unless another process is faster. It is never seen in part: a process that dies half-way leaves
/// nothing that a key could be read from.
fn make(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder)?;
    let key = Zeroizing::new(clock::random_bytes::<KEY_BYTES>());
    let part = folder.join(format!(".key-{}", clock::new_uuid().simple()));
    let made = write_new(&part, &*key).and_then(|()| match std::fs::hard_link(&part, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    });
    std::fs::remove_file(&part).or_else(|error| made.is_err().then_some(()).ok_or(error))?;
    made?;
    std::fs::File::open(folder)?.sync_all()
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_value_opens_only_with_its_key_and_for_its_row() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&folder.path().join("key")).unwrap();
        let again = Sealer::open(&folder.path().join("key")).unwrap();
        let other = Sealer::open(&folder.path().join("other")).unwrap();
        let sealed = sealer.seal(b"row 1", &Secret::new("canary")).unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"canary"));
        assert_eq!(again.unseal(b"row 1", &sealed).unwrap().expose(), "canary");
        assert!(matches!(sealer.unseal(b"row 2", &sealed), Err(SealError::Open)));
        assert!(matches!(other.unseal(b"row 1", &sealed), Err(SealError::Open)));
        assert!(matches!(sealer.unseal(b"row 1", &sealed[..10]), Err(SealError::Open)));
        assert_eq!(format!("{:?}", Secret::new("canary")), "(secret)");
    }

    #[test]
    fn a_hash_is_the_same_with_the_same_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&folder.path().join("key")).unwrap();
        let again = Sealer::open(&folder.path().join("key")).unwrap();
        let other = Sealer::open(&folder.path().join("other")).unwrap();
        assert_eq!(sealer.hash(b"canary"), again.hash(b"canary"));
        assert_ne!(sealer.hash(b"canary"), sealer.hash(b"canary 2"));
        assert_ne!(sealer.hash(b"canary"), other.hash(b"canary"));
    }

    #[test]
    fn the_key_file_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Sealer::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Sealer::open(&path), Err(SealError::Mode { mode: 0o644, .. })));
    }

    #[test]
    fn those_who_begin_together_have_one_key_and_leave_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys").join("key");
        let sealers: Vec<Sealer> = std::thread::scope(|scope| {
            let begun: Vec<_> = (0..8).map(|_| scope.spawn(|| Sealer::open(&path).unwrap())).collect();
            begun.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let sealed = sealers[0].seal(b"row", &Secret::new("canary")).unwrap();
        for sealer in &sealers {
            assert_eq!(sealer.unseal(b"row", &sealed).unwrap().expose(), "canary");
        }
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["key"]);
    }

    #[test]
    fn half_a_key_is_none_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_new(&path, b"half").unwrap();
        assert!(matches!(Sealer::open(&path), Err(SealError::Length { found: 4, .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"half");
    }
}
