//! What is published of an application, and what is not.

use super::*;
use crate::{
    model::{GenerateRule, Image},
    names::host_names,
    version::PublishedValue,
};
use serde_json::{Value as Json, json};
use uuid::Uuid;

const WEB: u128 = 1;
const DB: u128 = 2;
const SECRET: u128 = 100;
pub(super) const CANARY: &str = "canary-0123456789";

pub(super) fn key(number: u128) -> ComponentKey {
    ComponentKey(Uuid::from_u128(number))
}

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

fn component(number: u128, name: &str, more: &Json) -> SourceComponent {
    let mut json = json!({
        "key": id(number), "name": name, "slug": name, "kind": "Deployment",
        "image": {"reference": format!("example.org/{name}:1")},
        "scale": {"rule": {"minReplicas": 1, "maxReplicas": 4, "step": 1}, "replicas": 3}
    });
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let component = serde_json::from_value(json).unwrap();
    SourceComponent { component, template_key: None, run: SourceRun::Running }
}

/// A web front end and its database, whose password stands sealed in its environment and its connection info.
pub(super) fn shop() -> PublicationInput {
    let web = json!({
        "environment": [{"name": "UPSTREAM", "value": "http://shop-db.team.svc:5432/"}],
        "dependencies": [id(DB)],
    });
    let db = json!({
        "environment": [{"name": "POSTGRES_PASSWORD", "value": {"sealed": id(SECRET)}}],
        "connectionInfo": [
            {"name": "DB_HOST", "value": "shop-db"},
            {"name": "DB_PASSWORD", "value": {"sealed": id(SECRET)}},
        ],
        "volumes": [{"name": "data", "mountPath": "/data", "kind": "exclusive", "size": "1Gi", "storageClass": "here"}],
    });
    let image = |name: &str| LibraryImage { repository: format!("shop/{name}"), digest: Digest::of(name.as_bytes()) };
    PublicationInput {
        components: vec![component(WEB, "web", &web), component(DB, "db", &db)],
        hosts: host_names([(key(WEB), "shop-web"), (key(DB), "shop-db")], "team"),
        images: [(key(WEB), image("web")), (key(DB), image("db"))].into(),
        ..PublicationInput::default()
    }
}

fn place(number: u128, path: &str) -> SecretPlace {
    SecretPlace { owner: Owner::Component(key(number)), path: path.to_owned() }
}

fn codes(preview: &PublicationPreview) -> Vec<&str> {
    preview.blockers.iter().map(|blocker| blocker.code.as_str()).collect()
}

/// The shop, with the edits of a test.
fn edited(edit: impl FnOnce(&mut PublicationInput)) -> PublicationPreview {
    let mut input = shop();
    edit(&mut input);
    preview(&input)
}

pub(super) fn decided(mut input: PublicationInput) -> PublicationInput {
    let undecided = preview(&input).undecided;
    input.decisions.extend(undecided.into_iter().map(|undecided| (undecided.place, undecided.proposal)));
    input
}

#[test]
fn a_preview_shows_what_would_be_published_with_proposals_for_secrets() {
    let preview = preview(&shop());
    assert_eq!(preview.blockers, []);
    let undecided: Vec<_> = preview.undecided.iter().map(|one| one.place.path.as_str()).collect();
    assert_eq!(undecided, ["connectionInfo/DB_PASSWORD", "environment/POSTGRES_PASSWORD"]);
    insta::assert_json_snapshot!(preview.content, @r#"
    {
      "format": 1,
      "components": [
        {
          "key": "00000000-0000-0000-0000-000000000001",
          "name": "web",
          "slug": "web",
          "kind": "Deployment",
          "image": {
            "repository": "shop/web",
            "digest": "sha256:4b5e57f6eb2f42b9039b3d1e13929295f231749c510cbe341cd68036d9af97e2"
          },
          "environment": [
            {
              "name": "UPSTREAM",
              "value": [
                "http://",
                {
                  "host": "00000000-0000-0000-0000-000000000002"
                },
                ":5432/"
              ]
            }
          ],
          "resources": {},
          "scale": {
            "rule": {
              "minReplicas": 1,
              "maxReplicas": 4,
              "step": 1
            },
            "replicas": 1
          },
          "dependencies": [
            "00000000-0000-0000-0000-000000000002"
          ]
        },
        {
          "key": "00000000-0000-0000-0000-000000000002",
          "name": "db",
          "slug": "db",
          "kind": "Deployment",
          "image": {
            "repository": "shop/db",
            "digest": "sha256:7bdc25d1694ef984782a16f6f1710c1c6bc83ba7a131b515baf532bea021d011"
          },
          "environment": [
            {
              "name": "POSTGRES_PASSWORD",
              "value": {
                "generate": {
                  "length": 24,
                  "group": "db/DB_PASSWORD"
                }
              }
            }
          ],
          "connectionInfo": [
            {
              "name": "DB_HOST",
              "value": [
                {
                  "host": "00000000-0000-0000-0000-000000000002"
                }
              ]
            },
            {
              "name": "DB_PASSWORD",
              "value": {
                "generate": {
                  "length": 24,
                  "group": "db/DB_PASSWORD"
                }
              }
            }
          ],
          "volumes": [
            {
              "name": "data",
              "mountPath": "/data",
              "kind": "exclusive",
              "size": "1Gi",
              "readOnly": false
            }
          ],
          "resources": {},
          "scale": {
            "rule": {
              "minReplicas": 1,
              "maxReplicas": 4,
              "step": 1
            },
            "replicas": 1
          }
        }
      ]
    }
    "#);
}

#[test]
fn a_secret_without_a_decision_is_refused_and_all_are_listed() {
    let error = preview(&shop()).submit().unwrap_err();
    assert_eq!(error.to_string(), "the publication has 0 blockers and 2 secrets without a decision");
    let input = decided(shop());
    assert!(preview(&input).submit().is_ok());
}

#[test]
fn entries_that_hold_the_same_secret_share_a_group() {
    let rule = |length| SecretDecision::Generate(GenerateRule { length, group: None });
    let preview = edited(|input| {
        input.decisions.insert(place(DB, "connectionInfo/DB_PASSWORD"), rule(32));
    });
    let db = &preview.content.components[1];
    let group = Some("db/DB_PASSWORD".to_owned());
    let generate = |length| PublishedValue::Generate { generate: GenerateRule { length, group: group.clone() } };
    assert_eq!(db.connection_info[1].value, generate(32), "decided");
    assert_eq!(db.environment[0].value, generate(24), "proposed");
}

#[test]
fn what_is_not_connection_info_is_asked_for() {
    let preview = edited(|input| {
        let more = json!({
            "environment": [
                {"name": "API_KEY", "value": "k"}, {"name": "DATABASE_URL", "value": "postgres://me:pw@elsewhere/x"},
                {"name": "PLAIN_URL", "value": "http://elsewhere:80/@x"}, {"name": "REF", "value": "a://u:$(P)@b"},
            ],
            "configFiles": [{"path": "/etc/a", "content": {"sealed": id(SECRET + 1)}}],
        });
        input.components[0] = component(WEB, "web", &more);
    });
    let asked: Vec<_> = preview
        .undecided
        .iter()
        .filter(|undecided| undecided.proposal == SecretDecision::Ask)
        .map(|undecided| undecided.place.path.as_str())
        .collect();
    assert_eq!(asked, ["configFiles//etc/a", "environment/API_KEY", "environment/DATABASE_URL"]);
}

#[test]
fn what_is_public_is_published_and_needs_to_be_unsealed() {
    let public = |input: &mut PublicationInput| {
        for path in ["environment/POSTGRES_PASSWORD", "connectionInfo/DB_PASSWORD"] {
            input.decisions.insert(place(DB, path), SecretDecision::Public);
        }
    };
    assert_eq!(codes(&edited(public)), ["VALUE_SEALED", "VALUE_SEALED"]);
    let preview = edited(|input| {
        public(input);
        input.plaintexts.insert(SecretId(Uuid::from_u128(SECRET)), "at shop-db".to_owned());
    });
    let text = r#"["at ",{"host":"00000000-0000-0000-0000-000000000002"}]"#;
    assert_eq!(serde_json::to_string(&preview.content.components[1].environment[0].value).unwrap(), text);
    assert!(preview.submit().is_ok());
}

#[test]
fn what_was_said_in_advance_decides_unless_the_caller_says_otherwise() {
    let advance = |input: &mut PublicationInput| {
        for variable in &mut input.components[1].component.environment {
            variable.decision = Some(SecretDecision::Ask);
        }
        for variable in &mut input.components[1].component.connection_info[1..] {
            variable.decision = Some(SecretDecision::Ask);
        }
    };
    let preview = edited(advance);
    assert_eq!(preview.undecided, []);
    assert!(matches!(preview.content.components[1].environment[0].value, PublishedValue::Ask { .. }));
    let preview = edited(|input| {
        advance(input);
        let generate = SecretDecision::Generate(GenerateRule::default());
        input.decisions.insert(place(DB, "environment/POSTGRES_PASSWORD"), generate);
    });
    assert!(matches!(preview.content.components[1].environment[0].value, PublishedValue::Generate { .. }));
    assert_eq!(preview.warnings.len(), 1, "the same secret is no longer the same: {:?}", preview.warnings);
}

#[test]
fn each_reason_against_a_publication_has_its_code() {
    type Edit = fn(&mut PublicationInput);
    let cases: [(&str, Edit); 16] = [
        ("COMPONENT_NEVER_RAN", |input| input.components[0].run = SourceRun::NeverRan),
        ("DEPENDENCY_CYCLE", |input| {
            input.components[1].component.dependencies.insert(key(WEB));
        }),
        ("IMAGE_UNRESOLVED", |input| {
            input.images.remove(&key(WEB));
        }),
        ("KEY_NOT_UNIQUE", |input| input.components.iter_mut().for_each(|one| one.template_key = Some(key(7)))),
        ("KEYS_NOT_SHARED", |input| input.template_keys = Some([key(7)].into())),
        ("KEY_UNKNOWN", |input| {
            input.key_mapping.insert(key(9), key(7));
        }),
        ("DECISION_UNKNOWN", |input| {
            input.decisions.insert(place(WEB, "environment/NOBODY"), SecretDecision::Ask);
        }),
        ("RULE_INVALID", |input| {
            let rule = SecretDecision::Generate(GenerateRule { length: 8, group: None });
            input.decisions.insert(place(DB, "connectionInfo/DB_PASSWORD"), rule);
        }),
        ("CONTENT_INVALID", |input| input.components[0].component.name = String::new()),
        ("NOTHING_TO_PUBLISH", |input| input.excluded_components = [key(WEB), key(DB)].into()),
        ("SECRET_REPEATED", |input| {
            let environment =
                json!([{"name": "TOKEN", "value": CANARY}, {"name": "URL", "value": format!("a?t={CANARY}")}]);
            input.components[0].component.environment = serde_json::from_value(environment).unwrap();
        }),
        ("SECRET_REPEATED", |input| {
            input.hidden_texts.insert(SecretId(Uuid::from_u128(SECRET)), CANARY.to_owned());
            input.components[0].component.arguments = vec![format!("--x={CANARY}").as_str().into()];
        }),
        ("SECRET_IN_PLAIN", |input| {
            input.components[0].component.arguments = vec!["--password=hunter2".into()];
        }),
        ("SECRET_IN_PLAIN", |input| {
            let probe = json!([{
                "kind": "liveness", "action": {"exec": {"command": ["redis-cli", "--pass", "hunter2"]}},
                "initialDelaySeconds": 0, "periodSeconds": 5, "timeoutSeconds": 1, "successThreshold": 1,
                "failureThreshold": 3,
            }]);
            input.components[0].component.probes = serde_json::from_value(probe).unwrap();
        }),
        ("SECRET_IN_PLAIN", |input| {
            let attributes = json!({"env": [{"name": "TOKEN", "value": "x"}]});
            input.components[0].component.attributes = attributes.as_object().unwrap().clone();
        }),
        ("SECRET_IN_PLAIN", |input| {
            let manifest = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"API_TOKEN": "x"}
            });
            let resource = crate::manifest::parse(ResourceKey(Uuid::nil()), manifest.as_object().unwrap().clone());
            let resource = resource.unwrap().into_resource(|_, _| Err::<SecretId, _>(())).unwrap();
            input.resources.push(SourceResource { resource, template_key: None });
        }),
    ];
    for (code, edit) in cases {
        let preview = edited(edit);
        assert!(codes(&preview).contains(&code), "{code}: {:?}", preview.blockers);
        assert!(preview.submit().is_err(), "{code}");
    }
}

#[test]
fn options_that_hold_no_secret_are_no_reason() {
    for argument in ["--password=$(DB_PASSWORD)", "--password-file=/run/password", "--verbose", "token=", "-x"] {
        let preview = edited(|input| input.components[0].component.arguments = vec![argument.into()]);
        assert_eq!(codes(&preview), [""; 0], "{argument}");
    }
}

#[test]
fn what_others_need_cannot_be_left_out() {
    let preview = edited(|input| input.excluded_components = [key(DB)].into());
    assert_eq!(codes(&preview), ["DEPENDENCY_EXCLUDED", "HOST_EXCLUDED"]);
    assert_eq!(preview.blockers[0].message, "web depends on db, which is left out");
    let preview = edited(|input| input.excluded_components = [key(WEB)].into());
    assert_eq!(codes(&preview), [""; 0]);
    assert_eq!(preview.content.components.len(), 1);
}

#[test]
fn a_component_keeps_its_template_key_and_everything_that_names_it_follows() {
    let preview = edited(|input| {
        input.template_keys = Some([key(70), key(71)].into());
        input.components[1].template_key = Some(key(70));
    });
    assert_eq!(codes(&preview), [""; 0]);
    assert_eq!(preview.keys[&key(70)], key(DB));
    let web = preview.content.components.iter().find(|one| one.key == key(WEB)).unwrap();
    assert_eq!(web.dependencies, [key(70)].into());
    let PublishedValue::Text(text) = &web.environment[0].value else { panic!("a text") };
    assert_eq!(text.hosts().collect::<Vec<_>>(), [key(70)]);

    let mapped = edited(|input| {
        input.template_keys = Some([key(70), key(71)].into());
        input.key_mapping.insert(key(DB), key(71));
    });
    assert_eq!(codes(&mapped), [""; 0], "mapped by the caller");
    assert!(mapped.keys.contains_key(&key(71)));
}

#[test]
fn what_belongs_to_one_cluster_is_left_out_and_a_stopped_component_is_a_warning() {
    let preview = edited(|input| {
        input.components[0].run = SourceRun::Stopped;
        let attributes = json!({"annotations": {"service.kubernetes.io/tke-existed-lbid": "lb-1"}});
        input.components[1].component.attributes = attributes.as_object().unwrap().clone();
        let manifest = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c"},
            "spec": {"storageClassName": "here", "accessModes": ["ReadWriteOnce"]}
        });
        let resource = crate::manifest::parse(ResourceKey(Uuid::nil()), manifest.as_object().unwrap().clone());
        let resource = resource.unwrap().into_resource(|_, _| Err::<SecretId, _>(())).unwrap();
        input.resources.push(SourceResource { resource, template_key: None });
    });
    assert_eq!(codes(&preview), [""; 0]);
    let text = String::from_utf8(preview.content.canonical_bytes()).unwrap();
    assert!(!text.contains("here"), "{text}");
    assert!(preview.warnings.contains(&"web is stopped".to_owned()));
    assert!(preview.warnings.iter().any(|warning| warning.contains("tke-existed-lbid")), "{:?}", preview.warnings);
}

#[test]
fn edits_replace_what_is_published_and_replicas_are_the_minimum() {
    let preview = edited(|input| {
        let edit = ComponentEdit {
            environment: Some(serde_json::from_value(json!([{"name": "MODE", "value": "fast"}])).unwrap()),
            scale_rule: Some(ScaleRule { min_replicas: 2, ..ScaleRule::default() }),
            ..ComponentEdit::default()
        };
        input.edits.insert(key(WEB), edit);
    });
    let web = &preview.content.components[0];
    assert_eq!(serde_json::to_value(&web.environment).unwrap(), json!([{"name": "MODE", "value": "fast"}]));
    assert_eq!((web.scale.replicas, web.scale.rule.min_replicas), (2, 2));
    assert!(matches!(&web.image, Image::Library { repository, .. } if repository == "shop/web"));
}

#[test]
fn the_digest_decides_whether_a_number_is_replaced() {
    let digest = preview(&shop()).digest;
    let outcome =
        |digest: Digest| edited(|input| input.current = Some(CurrentRevision { revision: 3, digest })).outcome;
    assert_eq!(outcome(digest), Outcome::Unchanged { revision: 3 });
    assert_eq!(outcome(Digest::of(b"")), Outcome::Replaces { revision: 3 });
    assert_eq!(preview(&shop()).outcome, Outcome::NewVersion);
}

#[test]
fn content_has_a_limit() {
    let preview = edited(|input| {
        for number in 10..20 {
            let files = json!({"configFiles": [{"path": "/a", "content": "a".repeat(480 << 10)}]});
            input.components.push(component(number, &format!("c{number}"), &files));
        }
    });
    assert!(codes(&preview).contains(&"CONTENT_TOO_LARGE"));
}
