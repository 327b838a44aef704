//! So much of something for each person at the same time, so that nobody keeps the others out.

use crate::id::UserId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// How much each person has. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shares {
    most: usize,
    taken: Arc<Mutex<HashMap<UserId, usize>>>,
}

/// One that somebody has. It is given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    user: UserId,
    taken: Arc<Mutex<HashMap<UserId, usize>>>,
}

impl Shares {
    /// So many for each.
    pub fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// One more for somebody; none where they have as many as they may.
    pub fn take(&self, user: UserId) -> Option<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_user = taken.entry(user).or_default();
        if *of_user >= self.most {
            return None;
        }
        *of_user += 1;
        Some(Share { user, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_user) = taken.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Id;
    use uuid::Uuid;

    #[test]
    fn each_person_has_their_own() {
        let [ada, bob] = [1, 2].map(|n| Id::new(Uuid::from_u128(n)));
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
