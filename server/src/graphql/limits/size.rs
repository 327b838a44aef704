//! How large a document is once its fragments are spread, before anything else looks at it: a few hundred bytes of
//! fragments can stand for millions of fields, and an answer repeats what was asked for under each alias.

use async_graphql::{
    Name,
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};
use std::collections::{HashMap, HashSet};

/// Fields and fragments of a document, with what fragments stand for.
const MAX_SELECTIONS: usize = 2000;

/// Fragments of a document, and how deep they may be in each other: validation goes down all of them.
const MAX_FRAGMENTS: usize = 200;
const NESTED_FRAGMENTS: usize = 32;

/// How often one field may be asked for in one place below the root, under other aliases.
const OF_ONE_FIELD: usize = 10;

/// As [`OF_ONE_FIELD`], at the root: each is another thing to look up or to do.
const OF_ONE_ROOT_FIELD: usize = 50;

/// As [`OF_ONE_FIELD`], of the schema itself, whose lists have no pages.
const OF_ONE_FIELD_OF_SCHEMA: usize = 2;

/// How deep lists of the schema itself may be nested: its types, their fields, the arguments of those.
const LISTS_OF_SCHEMA: usize = 3;

/// The lists of the schema itself.
const SCHEMA_LISTS: [&str; 8] =
    ["types", "directives", "fields", "args", "inputFields", "enumValues", "possibleTypes", "interfaces"];

/// Why a document is too large; none where it is not.
pub(super) fn refusal(document: &ExecutableDocument) -> Option<String> {
    if document.fragments.len() > MAX_FRAGMENTS {
        return Some(format!("it has {} fragments; {MAX_FRAGMENTS} are allowed", document.fragments.len()));
    }
    let mut sizes = Sizes { document, known: HashMap::new(), open: HashSet::new() };
    let mut selections = 0_usize;
    for (_, operation) in document.operations.iter() {
        match sizes.of(&operation.node.selection_set.node) {
            Some(size) => selections = selections.saturating_add(size),
            None => return Some(nested()),
        }
    }
    // Validation looks at those as well that no operation has.
    for name in document.fragments.keys() {
        match sizes.of_fragment(name) {
            Some(size) => selections = selections.max(size),
            None => return Some(nested()),
        }
    }
    if selections > MAX_SELECTIONS {
        return Some(format!("the query asks for {selections} fields; {MAX_SELECTIONS} are allowed"));
    }
    // From here on every fragment can be spread.
    let mut roots = document.operations.iter();
    roots.find_map(|(_, operation)| repeated(document, &operation.node.selection_set.node, OF_ONE_ROOT_FIELD, None))
}

fn nested() -> String {
    format!("a fragment contains itself, or fragments are nested more than {NESTED_FRAGMENTS} deep")
}

/// The sizes of selection sets. Each fragment is measured once.
struct Sizes<'d> {
    document: &'d ExecutableDocument,
    known: HashMap<&'d Name, usize>,
    open: HashSet<&'d Name>,
}

impl<'d> Sizes<'d> {
    /// None where a fragment contains itself.
    fn of(&mut self, set: &'d SelectionSet) -> Option<usize> {
        set.items.iter().try_fold(0_usize, |sum, item| {
            let size = match &item.node {
                Selection::Field(field) => self.of(&field.node.selection_set.node)?,
                Selection::InlineFragment(inline) => self.of(&inline.node.selection_set.node)?,
                Selection::FragmentSpread(spread) => self.of_fragment(&spread.node.fragment_name.node)?,
            };
            Some(sum.saturating_add(size).saturating_add(1))
        })
    }

    fn of_fragment(&mut self, name: &'d Name) -> Option<usize> {
        if let Some(size) = self.known.get(name) {
            return Some(*size);
        }
        // One that does not exist is told by validation.
        let Some(fragment) = self.document.fragments.get(name) else { return Some(0) };
        if self.open.len() >= NESTED_FRAGMENTS || !self.open.insert(name) {
            return None;
        }
        let size = self.of(&fragment.node.selection_set.node)?;
        self.open.remove(name);
        self.known.insert(name, size);
        Some(size)
    }
}

/// A field that is asked for more than `most` times in one place, or too often below it. `lists` are those of the schema
/// itself that the place is in; none outside of it.
fn repeated(document: &ExecutableDocument, set: &SelectionSet, most: usize, lists: Option<usize>) -> Option<String> {
    let mut fields = HashMap::new();
    collect(document, set, &mut fields);
    fields.into_iter().find_map(|(name, subsets)| {
        let name = name.as_str();
        let lists = match lists {
            None => matches!(name, "__schema" | "__type").then_some(0),
            Some(depth) => Some(depth + usize::from(SCHEMA_LISTS.contains(&name))),
        };
        let below = if lists.is_some() { OF_ONE_FIELD_OF_SCHEMA } else { OF_ONE_FIELD };
        let most = if lists == Some(0) { most.min(below) } else { most };
        let aliases: HashSet<&Name> = subsets.iter().map(|(key, _)| *key).collect();
        // Without another alias an answer holds it once; but each time counts where nothing else has a price.
        let times = if lists.is_some() { subsets.len() } else { aliases.len() };
        if times > most {
            return Some(format!("{name} is asked for {times} times in one place; {most} are allowed"));
        }
        if lists.is_some_and(|depth| depth > LISTS_OF_SCHEMA) {
            return Some(format!("lists of the schema are nested more than {LISTS_OF_SCHEMA} deep at {name}"));
        }
        subsets.into_iter().find_map(|(_, subset)| repeated(document, subset, below, lists))
    })
}

/// The fields of a selection set, those of its fragments included.
fn collect<'d>(
    document: &'d ExecutableDocument,
    set: &'d SelectionSet,
    into: &mut HashMap<&'d Name, Vec<(&'d Name, &'d SelectionSet)>>,
) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) => {
                into.entry(&field.node.name.node)
                    .or_default()
                    .push((&field.node.response_key().node, &field.node.selection_set.node));
            }
            Selection::InlineFragment(inline) => collect(document, &inline.node.selection_set.node, into),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    collect(document, &fragment.node.selection_set.node, into);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    fn refused(query: &str) -> Option<String> {
        refusal(&parse_query(query).unwrap())
    }

    fn times(count: usize, one: impl Fn(usize) -> String) -> String {
        (0..count).map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn fragments_count_for_what_they_stand_for() {
        let doubling = |levels: usize| {
            let each = |n: usize| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }}", n + 1);
            format!("{{ ...f0 }} {} fragment f{levels} on Query {{ a }}", times(levels, each))
        };
        assert_eq!(refused(&doubling(5)), None);
        assert!(refused(&doubling(12)).unwrap().contains("are allowed"));
        assert!(refused(&doubling(30)).unwrap().contains("are allowed"));
        // Longer than any client has them, and than the stack of a thread.
        assert!(refused(&doubling(5000)).is_some());
        for round in ["fragment a on Query { ...a }", "fragment a on Query { x { ...b } } fragment b on X { ...a }"] {
            assert!(refused(&format!("{{ ...a }} {round}")).unwrap().starts_with("a fragment contains itself"));
            assert!(refused(&format!("{{ x }} {round}")).unwrap().starts_with("a fragment contains itself"));
        }
        assert_eq!(refused("{ ...unknown }"), None, "validation tells of it");
        // Those that nothing spreads are looked at all the same.
        let idle = |count| times(count, |n| format!("fragment f{n} on Query {{ ...f{} }}", n + 1));
        assert!(refused(&format!("{{ x }} {}", idle(100))).unwrap().contains("nested"));
        assert!(refused(&format!("{{ x }} {}", idle(201))).unwrap().contains("201 fragments"));
    }

    #[test]
    fn a_field_is_asked_for_a_few_times_in_one_place() {
        let many = |count| format!("{{ a {{ {} }} }}", times(count, |n| format!("x{n}: b")));
        assert_eq!(refused(&many(OF_ONE_FIELD)), None);
        assert!(refused(&many(OF_ONE_FIELD + 1)).unwrap().starts_with("b is asked for 11 times"));
        let roots = |count| format!("{{ {} }}", times(count, |n| format!("x{n}: b")));
        assert_eq!(refused(&roots(OF_ONE_ROOT_FIELD)), None);
        assert!(refused(&roots(OF_ONE_ROOT_FIELD + 1)).is_some());
        let each = |n: usize| format!("fragment f{n} on A {{ b x{n}: c }}");
        let spread = format!("{{ a {{ {} }} }} {}", times(60, |n| format!("...f{n}")), times(60, each));
        assert!(refused(&spread).unwrap().starts_with("c is asked for 60 times"), "b is in the answer once");
        let other = format!("{{ a {{ {} }} }}", times(100, |n| format!("f{n}")));
        assert_eq!(refused(&other), None);
    }

    #[test]
    fn the_schema_is_read_as_tools_read_it_and_not_multiplied() {
        let tools = "{ __schema { queryType { name } types { ...T } directives { name args { ...I } } } }
            fragment T on __Type { kind name fields(includeDeprecated: true) { name args { ...I } type { ...R } }
              inputFields { ...I } interfaces { ...R } enumValues { name } possibleTypes { ...R } }
            fragment I on __InputValue { name type { ...R } defaultValue }
            fragment R on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";
        assert_eq!(refused(tools), None);
        assert_eq!(refused("{ a: __type(name: \"A\") { name } b: __type(name: \"B\") { name } }"), None);
        for query in [
            "{ __schema { types { fields { type { fields { type { fields { name } } } } } } }".to_owned() + " }",
            format!("{{ __schema {{ types {{ {} }} }} }}", times(3, |n| format!("x{n}: description"))),
            format!("{{ {} }}", times(3, |n| format!("x{n}: __schema {{ types {{ name }} }}"))),
        ] {
            assert!(refused(&query).is_some(), "{query}");
        }
    }
}
