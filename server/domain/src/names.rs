//! Names in the cluster: deriving those of new components, and recognizing those of siblings.

use crate::{
    key::ComponentKey,
    model::{Slug, cluster_name},
};
use std::collections::{BTreeMap, BTreeSet};

/// The names of new components: each gets its own, none of those that are taken in the namespace. The same components
/// get the same names, in whatever order they come.
pub fn allocate<'a>(
    application: &Slug,
    components: impl IntoIterator<Item = (ComponentKey, &'a Slug)>,
    taken: &BTreeSet<String>,
) -> BTreeMap<ComponentKey, String> {
    let mut taken = taken.clone();
    let components: BTreeMap<ComponentKey, &Slug> = components.into_iter().collect();
    components
        .into_iter()
        .map(|(key, slug)| {
            let name = cluster_name(application, slug, |name| taken.contains(name));
            taken.insert(name.clone());
            (key, name)
        })
        .collect()
}

/// Every host name under which components of one namespace reach each other: the plain name, and those that end with
/// the namespace and the cluster's usual domain.
pub fn host_names<'a>(
    components: impl IntoIterator<Item = (ComponentKey, &'a str)>,
    namespace: &str,
) -> BTreeMap<String, ComponentKey> {
    let mut names = BTreeMap::new();
    for (key, name) in components {
        for suffix in [
            String::new(),
            format!(".{namespace}"),
            format!(".{namespace}.svc"),
            format!(".{namespace}.svc.cluster.local"),
        ] {
            names.insert(format!("{name}{suffix}"), key);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key(number: u128) -> ComponentKey {
        ComponentKey(Uuid::from_u128(number))
    }

    #[test]
    fn new_components_never_share_a_name_nor_take_one_that_is_in_use() {
        let (shop, db, web): (Slug, Slug, Slug) =
            ("shop".parse().unwrap(), "db".parse().unwrap(), "web".parse().unwrap());
        let taken = BTreeSet::from(["shop-web".to_owned()]);
        let names = allocate(&shop, [(key(2), &db), (key(1), &db), (key(3), &web)], &taken);
        assert_eq!(names[&key(1)], "shop-db");
        assert!(names[&key(2)].starts_with("shop-db-"), "{names:?}");
        assert!(names[&key(3)].starts_with("shop-web-"), "{names:?}");
        assert_eq!(names, allocate(&shop, [(key(3), &web), (key(1), &db), (key(2), &db)], &taken));
    }

    #[test]
    fn a_sibling_is_recognized_by_all_of_its_host_names() {
        let names = host_names([(key(1), "shop-db")], "team");
        let all: Vec<_> = names.keys().map(String::as_str).collect();
        assert_eq!(all, ["shop-db", "shop-db.team", "shop-db.team.svc", "shop-db.team.svc.cluster.local"]);
    }
}
