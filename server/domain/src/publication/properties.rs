//! What holds of every publication.

use super::{
    tests::{CANARY, decided, key, shop},
    *,
};
use crate::model::GenerateRule;
use proptest::prelude::*;
use uuid::Uuid;

/// How a secret may stand in an application.
#[derive(Debug, Clone)]
struct Hidden {
    name: &'static str,
    place: u8,
    component: bool,
    text: u32,
    repeated: bool,
    decision: Option<u8>,
}

fn hidden() -> impl Strategy<Value = Hidden> {
    let name = prop::sample::select(vec!["PASSWORD", "TOKEN", "HOST", "url", "api-key"]);
    (name, 0_u8..4, any::<bool>(), 0_u32..3, any::<bool>(), prop::option::of(0_u8..3)).prop_map(
        |(name, place, component, text, repeated, decision)| Hidden {
            name,
            place,
            component,
            text,
            repeated,
            decision,
        },
    )
}

/// The shop with secrets in it, and the plain texts that may not be published.
fn with_secrets(all: &[Hidden]) -> (PublicationInput, BTreeSet<String>) {
    let mut input = shop();
    let mut public = BTreeSet::new();
    let mut canaries = BTreeSet::new();
    for (index, hidden) in all.iter().enumerate() {
        let owner = usize::from(hidden.component);
        let canary = format!("{CANARY}-{}", hidden.text);
        let sealed = SecretId(Uuid::from_u128(1000 + u128::from(hidden.text)));
        let name = format!("{}{index}_{}", hidden.name, hidden.name);
        let component = &mut input.components[owner].component;
        let own = component.key;
        let variable = |value: Value| Variable { name: name.clone(), value, description: None, decision: None };
        let plain = Value::Text(canary.as_str().into());
        let secret = crate::model::looks_like_secret(&name);
        let path = match hidden.place {
            0 => {
                component.environment.push(variable(Value::Sealed { sealed }));
                format!("environment/{name}")
            }
            1 => {
                component.connection_info.push(variable(Value::Sealed { sealed }));
                format!("connectionInfo/{name}")
            }
            2 if secret => {
                component.environment.push(variable(plain));
                format!("environment/{name}")
            }
            _ => {
                let path = format!("/etc/{name}");
                let content = Value::Sealed { sealed };
                component.config_files.push(ConfigFile { path: path.clone(), content, mode: None, decision: None });
                format!("configFiles/{path}")
            }
        };
        input.hidden_texts.insert(sealed, canary.clone());
        if hidden.repeated {
            component.arguments.push(format!("--x={canary}").as_str().into());
        }
        let place = SecretPlace { owner: Owner::Component(own), path };
        match hidden.decision {
            Some(0) => drop(input.decisions.insert(place, SecretDecision::Ask)),
            Some(1) => {
                input.decisions.insert(place, SecretDecision::Generate(GenerateRule::default()));
            }
            Some(_) => {
                input.decisions.insert(place, SecretDecision::Public);
                input.plaintexts.insert(sealed, canary.clone());
                public.insert(canary.clone());
            }
            None => {}
        }
        canaries.insert(canary);
        canaries.insert(sealed.to_string());
    }
    let shown = canaries.difference(&public).cloned().collect();
    (input, shown)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Nothing that is secret and not said to be public gets into a version that can be submitted.
    #[test]
    fn no_secret_enters_a_version(all in prop::collection::vec(hidden(), 0..6)) {
        let (input, canaries) = with_secrets(&all);
        let input = decided(input);
        if let Ok(content) = preview(&input).submit() {
            let text = String::from_utf8(content.canonical_bytes()).unwrap();
            for canary in canaries {
                prop_assert!(!text.contains(&canary), "{} in {}", canary, text);
            }
        } else {
            prop_assert!(all.iter().any(|hidden| hidden.repeated), "{:?}", preview(&input).blockers);
        }
    }

    #[test]
    fn the_order_of_the_input_makes_no_difference(
        all in prop::collection::vec(hidden(), 0..6),
        template in prop::option::of(prop::sample::select(vec![70_u128, 71])),
    ) {
        let (mut input, _) = with_secrets(&all);
        input.components[0].template_key = template.map(key);
        let one = preview(&input);
        input.components.reverse();
        let two = preview(&input);
        prop_assert_eq!(&one.digest, &two.digest);
        prop_assert_eq!(one.undecided, two.undecided);
        prop_assert_eq!(one.blockers, two.blockers);
        let keys: BTreeSet<_> = one.content.components.iter().map(|component| component.key).collect();
        prop_assert_eq!(keys.len(), one.content.components.len());
        prop_assert!(one.content.components.is_sorted_by_key(|component| component.key));
    }
}
