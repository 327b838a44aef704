//! So much of something for each person, or each address, at the same time, so that nobody keeps the others out.

use crate::id::UserId;
use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// How much each of them has. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shares<Of: Eq + Hash = UserId> {
    most: usize,
    taken: Arc<Mutex<HashMap<Of, usize>>>,
}

/// One that somebody has. It is given back when this is dropped.
#[derive(Debug)]
pub struct Share<Of: Eq + Hash = UserId> {
    of: Of,
    taken: Arc<Mutex<HashMap<Of, usize>>>,
}

impl<Of: Copy + Eq + Hash> Shares<Of> {
    /// So many for each.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// One more for somebody; none where they have as many as they may.
    pub fn take(&self, of: Of) -> Option<Share<Of>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let theirs = taken.entry(of).or_default();
        if *theirs >= self.most {
            return None;
        }
        *theirs += 1;
        Some(Share { of, taken: Arc::clone(&self.taken) })
    }
}

/// What an address counts for in limits: who has one IPv6 address has all of its network.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

impl<Of: Eq + Hash> Drop for Share<Of> {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(theirs) = taken.get_mut(&self.of) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn each_person_has_their_own() {
        let [ada, bob] = [1, 2].map(|n| UserId::new(Uuid::from_u128(n)));
        let shares = Shares::new(2);
        let (first, second) = (shares.take(ada).unwrap(), shares.take(ada).unwrap());
        assert!(shares.take(ada).is_none());
        assert!(shares.take(bob).is_some());
        drop(first);
        let third = shares.take(ada).unwrap();
        drop((second, third));
        assert!(shares.taken.lock().unwrap().is_empty(), "nobody is remembered for nothing");
    }
}
