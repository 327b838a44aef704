//! The one way to page: opaque cursors over a unique order, at most 100 at a time, a total that is only counted when
//! it is asked for.

use crate::error::{Error, Result};
use async_graphql::{Context, InputValueError, InputValueResult, Scalar, ScalarType, SimpleObject, Value};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

/// The most items of one page.
pub const MAX_FIRST: i32 = 100;

/// The items of a page where nobody says how many.
pub const DEFAULT_FIRST: i32 = 20;

/// A place in a list or in a stream of events. Opaque: use it as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(pub String);

/// A place in a list or in a stream of events. Opaque: use it as it came.
#[Scalar]
impl ScalarType for Cursor {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) if text.len() <= 1024 => Ok(Self(text)),
            Value::String(_) => Err(InputValueError::custom("a cursor has at most 1024 characters")),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// Where a page is in its list.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub struct PageInfo {
    /// Whether there is more after it.
    pub has_next_page: bool,
    /// Whether it does not begin with the first item.
    pub has_previous_page: bool,
    /// The cursor of its first item.
    pub start_cursor: Option<Cursor>,
    /// The cursor of its last item: `after` of the next page.
    pub end_cursor: Option<Cursor>,
}

/// Which page is asked for. `A` is what the list is ordered by.
#[derive(Debug, Clone)]
pub struct PageRequest<A> {
    /// Of which list: the name of its node type. A cursor of another list is refused.
    pub list: &'static str,
    /// Items at most.
    pub first: i64,
    /// The order key of the item before.
    pub after: Option<A>,
    /// Whether the total is asked for.
    pub count: bool,
}

/// A page of rows, each with its order key.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<(Cursor, T)>,
    /// Whether there is more.
    pub has_next: bool,
    /// Whether there is something before.
    pub has_previous: bool,
    /// All items of the list; 0 if it was not asked for.
    pub total: i64,
}

/// What a list costs, for the limit on the complexity of a request: its length times what is in it.
pub fn cost(first: Option<i32>, of_each: usize) -> usize {
    let first = usize::try_from(first.unwrap_or(DEFAULT_FIRST).clamp(1, MAX_FIRST)).unwrap_or(1);
    first.saturating_mul(of_each).saturating_add(1)
}

impl Cursor {
    /// A cursor of an order key in a list.
    pub fn of(list: &str, key: &impl Serialize) -> Self {
        Self(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&(list, key)).unwrap_or_default()))
    }

    /// The order key of a cursor of this list.
    pub fn key<A: DeserializeOwned>(&self, list: &str) -> Result<A> {
        let bytes = URL_SAFE_NO_PAD.decode(&self.0).ok();
        let parts = bytes.and_then(|bytes| serde_json::from_slice::<(String, A)>(&bytes).ok());
        parts.filter(|(of, _)| of == list).map(|(_, key)| key).ok_or_else(|| {
            Error::invalid("INVALID_CURSOR", ["after"], "this is no cursor of this list; use one that the server gave")
        })
    }
}

impl<A: DeserializeOwned> PageRequest<A> {
    /// Checks the arguments of a list field; `list` is the name of its node type.
    pub fn new(ctx: &Context<'_>, list: &'static str, first: Option<i32>, after: Option<&Cursor>) -> Result<Self> {
        let first = first.unwrap_or(DEFAULT_FIRST);
        if !(0..=MAX_FIRST).contains(&first) {
            let message = format!("a page has 0 to {MAX_FIRST} items, not {first}");
            return Err(Error::invalid("INVALID_PAGE", ["first"], message));
        }
        let after = after.map(|after| after.key(list)).transpose()?;
        Ok(Self { list, first: first.into(), after, count: ctx.look_ahead().field("totalCount").exists() })
    }
}

impl<A> PageRequest<A> {
    /// How many rows to fetch: one more than fit tells whether there are more.
    pub fn limit(&self) -> i64 {
        self.first + 1
    }
}

impl<T> Page<T> {
    /// Makes a page of rows that were fetched with [`PageRequest::limit`].
    pub fn of<A, K: Serialize>(request: &PageRequest<A>, mut rows: Vec<T>, total: i64, key: impl Fn(&T) -> K) -> Self {
        let first = usize::try_from(request.first).unwrap_or(0);
        let has_next = rows.len() > first;
        rows.truncate(first);
        let items = rows.into_iter().map(|row| (Cursor::of(request.list, &key(&row)), row)).collect();
        Self { items, has_next, has_previous: request.after.is_some(), total }
    }

    /// The same page of other things.
    pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(|(cursor, item)| (cursor, f(item))).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
            total: self.total,
        }
    }

    /// What GraphQL says of it.
    pub fn info(&self) -> PageInfo {
        PageInfo {
            has_next_page: self.has_next,
            has_previous_page: self.has_previous,
            start_cursor: self.items.first().map(|(cursor, _)| cursor.clone()),
            end_cursor: self.items.last().map(|(cursor, _)| cursor.clone()),
        }
    }
}

/// A page of what was read whole. It is put in the order of its keys here: a database may order texts otherwise.
pub fn in_memory<T, K: Serialize + Ord>(page: &PageRequest<K>, mut all: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let limit = usize::try_from(page.limit()).unwrap_or(0);
    all.sort_by_cached_key(&key);
    let is_after = |one: &T| page.after.as_ref().is_none_or(|after| key(one) > *after);
    let rows = all.into_iter().filter(is_after).take(limit).collect();
    Page::of(page, rows, total, key)
}

/// Defines the connection and edge types of a node type, in the form of the Relay specification.
#[macro_export]
macro_rules! connection {
    ($(#[$doc:meta])* $connection:ident, $edge:ident, $node:ty) => {
        $(#[$doc])*
        #[derive(async_graphql::SimpleObject)]
        #[graphql(complex)]
        pub struct $connection {
            /// The items with their cursors.
            pub edges: Vec<$edge>,
            /// Where this page is in its list.
            pub page_info: $crate::graphql::page::PageInfo,
            /// How many items the whole list has.
            pub total_count: i64,
        }

        #[async_graphql::ComplexObject]
        impl $connection {
            /// The items.
            async fn nodes(&self) -> Vec<&$node> {
                self.edges.iter().map(|edge| &edge.node).collect()
            }
        }

        /// An item of a page.
        #[derive(async_graphql::SimpleObject)]
        pub struct $edge {
            /// Its place in the list.
            pub cursor: $crate::graphql::page::Cursor,
            /// The item.
            pub node: $node,
        }

        impl<T: Into<$node>> From<$crate::graphql::page::Page<T>> for $connection {
            fn from(page: $crate::graphql::page::Page<T>) -> Self {
                let page_info = page.info();
                let edges = page.items.into_iter().map(|(cursor, item)| $edge { cursor, node: item.into() }).collect();
                Self { edges, page_info, total_count: page.total }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_is_lost_whatever_order_the_database_has() {
        let rows = || ["b", "Zebra", "a", "ähre", "B"].map(str::to_owned).to_vec();
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let request = PageRequest { list: "Word", first: 2, after, count: true };
            let page = in_memory(&request, rows(), Clone::clone);
            assert_eq!(page.total, 5);
            seen.extend(page.items.iter().map(|(_, row)| row.clone()));
            if !page.has_next {
                break;
            }
            after = page.info().end_cursor.map(|cursor| cursor.key("Word").unwrap());
        }
        let mut expected = rows();
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_cursor_is_of_one_list() {
        let cursor = Cursor::of("Team", &"shop");
        assert_eq!(cursor.key::<String>("Team").unwrap(), "shop");
        assert!(cursor.key::<String>("TeamMember").is_err());
        assert!(cursor.key::<i64>("Team").is_err());
    }
}
