//! How many WebSockets there may be: a few of people who have not said yet who they are, many of those who have.

use crate::{
    id::UserId,
    shares::{Share, Shares, network},
};
use std::{net::IpAddr, sync::Arc};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections of whom nobody knows yet whose they are. Each of them lasts a few seconds.
const STRANGERS: usize = 100;

/// Of these, from one address. Behind a proxy, that is everybody's.
const OF_ONE_ADDRESS: usize = 50;

/// Connections of one person.
const OF_ONE_PERSON: usize = 50;

/// The places for connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Places {
    strangers: Arc<Semaphore>,
    of_addresses: Shares<IpAddr>,
    all: Arc<Semaphore>,
    of_each: Shares,
}

/// The place of a connection, which is free again when this is dropped.
pub(super) struct Place {
    _one_of_all: OwnedSemaphorePermit,
    _one_of_theirs: Share,
}

/// The place of somebody of whom nobody knows yet who it is.
pub(super) struct Entry {
    _one_of_strangers: OwnedSemaphorePermit,
    _one_of_address: Share<IpAddr>,
}

/// Why there is no place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There are too many connections.
    All,
    /// The person has too many.
    OfThisPerson,
}

impl Places {
    /// So many for people who are known.
    pub(super) fn new(all: usize) -> Self {
        Self {
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            of_addresses: Shares::new(OF_ONE_ADDRESS),
            all: Arc::new(Semaphore::new(all)),
            of_each: Shares::new(OF_ONE_PERSON),
        }
    }

    /// A place until it is known whose the connection is.
    pub(super) fn enter(&self, from: IpAddr) -> Option<Entry> {
        let one_of_address = self.of_addresses.take(network(from))?;
        let one_of_strangers = Arc::clone(&self.strangers).try_acquire_owned().ok()?;
        Some(Entry { _one_of_strangers: one_of_strangers, _one_of_address: one_of_address })
    }

    /// A place of somebody.
    pub(super) fn take(&self, user: UserId) -> Result<Place, Full> {
        let one_of_theirs = self.of_each.take(user).ok_or(Full::OfThisPerson)?;
        let one_of_all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::All)?;
        Ok(Place { _one_of_all: one_of_all, _one_of_theirs: one_of_theirs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    #[test]
    fn one_person_leaves_places_for_others() {
        let [ada, bob] = [1, 2].map(|n| Id::new(Uuid::from_u128(n)));
        let places = Places::new(OF_ONE_PERSON + 1);
        let mut of_ada: Vec<Place> = (0..OF_ONE_PERSON).map(|_| places.take(ada).ok().unwrap()).collect();
        assert_eq!(places.take(ada).err(), Some(Full::OfThisPerson));
        let _of_bob = places.take(bob).ok().unwrap();
        assert_eq!(places.take(bob).err(), Some(Full::All));
        of_ada.pop();
        assert!(places.take(ada).is_ok());
    }

    #[test]
    fn strangers_take_no_place_of_those_who_are_known() {
        let places = Places::new(1);
        let [first, second, third] = [1, 2, 3].map(|n| IpAddr::from([192, 0, 2, n]));
        let mut entered: Vec<_> = (0..OF_ONE_ADDRESS).map(|_| places.enter(first).unwrap()).collect();
        assert!(places.enter(first).is_none(), "one address keeps out itself alone");
        entered.extend((OF_ONE_ADDRESS..STRANGERS).map(|_| places.enter(second).unwrap()));
        assert!(places.enter(third).is_none());
        assert!(places.take(Id::new(Uuid::from_u128(1))).is_ok());
        drop(entered);
        assert!(places.enter(third).is_some());
    }
}
