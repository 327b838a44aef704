//! Whether a library is reached: written only by whoever holds the operation that found it out.

use super::{Hold, Journal, JournalError};
use crate::store::{
    cluster::{self, Reachability},
    library::{self, Library},
};

impl Journal {
    /// Whether the nodes of a cluster pulled from the library.
    pub async fn note_reachability(&self, hold: Hold, found: &Reachability) -> Result<(), JournalError> {
        self.entry(hold, async |conn, _| Ok(cluster::record_reachability(conn, found).await?)).await?;
        Ok(())
    }

    /// Whether the server reached a library, and why not; nothing where it was configured anew since.
    pub async fn note_library(&self, hold: Hold, library: &Library, failure: Option<&str>) -> Result<(), JournalError> {
        let now = self.now();
        self.entry(hold, async |conn, _| {
            let (id, generation) = (library.enterprise_id, library.generation);
            Ok(library::record(conn, id, generation, failure.is_none(), failure, now).await?)
        })
        .await?;
        Ok(())
    }
}
