//! The model of a small application.

use super::*;
use crate::{installed::VersionRef, key::SecretId};
use serde_json::{Value as Json, json};

fn key(number: u128) -> ComponentKey {
    ComponentKey(Uuid::from_u128(number))
}

fn id(number: u128) -> String {
    Uuid::from_u128(number).to_string()
}

/// A component in template keys, which are ten less than its own.
fn component(number: u128, name: &str, more: &Json) -> (ComponentKey, InstalledComponent) {
    let mut json = json!({
        "key": id(number), "name": name, "slug": name, "kind": "Deployment",
        "image": {"repository": format!("shop/{name}"), "digest": format!("sha256:{}", "a".repeat(64))},
        "scale": {"rule": {"minReplicas": 1, "maxReplicas": 4, "step": 1}, "replicas": 2}
    });
    json.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let installed = InstalledComponent {
        own_key: key(number + 10),
        cluster_name: format!("shop-{name}"),
        spec: serde_json::from_value(json).unwrap(),
        version: Some(VersionRef { id: Uuid::nil(), number: "2.9".to_owned() }),
        no_longer_in_template: false,
    };
    (key(number), installed)
}

fn shop() -> Installed {
    let web = json!({
        "image": {"reference": format!("registry.example.org/web:1@sha256:{}", "b".repeat(64))},
        "command": ["serve", ["--upstream=", {"host": id(2)}]],
        "environment": [{"name": "DB_USER", "value": "reader"}],
        "configFiles": [{"path": "/etc/web", "content": ["db ", {"host": id(2)}]}],
        "volumes": [{"name": "data", "mountPath": "/data", "kind": "shared", "sharedFrom": id(2), "readOnly": true}],
        "dependencies": [id(2), id(3)],
    });
    let db = json!({
        "connectionInfo": [
            {"name": "DB_HOST", "value": [{"host": id(2)}]}, {"name": "DB_USER", "value": "writer"},
            {"name": "DB_PASSWORD", "value": {"sealed": id(100)}}, {"name": "PORT", "value": "5432"},
        ],
        "volumes": [{"name": "data", "mountPath": "/data", "kind": "shared", "size": "1Gi"}],
    });
    let cache = json!({"connectionInfo": [{"name": "PORT", "value": "6379"}]});
    Installed {
        components: [component(1, "web", &web), component(2, "db", &db), component(3, "cache", &cache)].into(),
        ..Installed::default()
    }
}

fn rendered(installed: &Installed, rewrite: &dyn Fn(&str) -> Option<String>) -> Result<ApplicationModel, RenderError> {
    let context = RenderContext {
        registry: "registry.example.org",
        pull_secret: Some("ropeway-library"),
        rewrite_image: rewrite,
        installations: &[(key(12), Uuid::from_u128(500))].into(),
        resource_installations: &BTreeMap::new(),
    };
    application_model(ApplicationNaming { id: Uuid::nil(), slug: "shop".to_owned() }, installed, &context)
}

fn model(installed: &Installed) -> ApplicationModel {
    rendered(installed, &|_| None).unwrap()
}

#[test]
fn everything_is_resolved_but_secrets() {
    insta::assert_json_snapshot!(model(&shop()).components[0], @r#"
    {
      "key": "00000000-0000-0000-0000-00000000000b",
      "version": "2.9",
      "name": "shop-web",
      "slug": "web",
      "kind": "Deployment",
      "image": "registry.example.org/web:1@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
      "pullSecret": "ropeway-library",
      "command": [
        "serve",
        "--upstream=shop-db"
      ],
      "arguments": [],
      "environment": [
        {
          "name": "DB_USER",
          "value": "reader"
        },
        {
          "name": "PORT",
          "value": "6379"
        },
        {
          "name": "DB_HOST",
          "value": "shop-db"
        },
        {
          "name": "DB_PASSWORD",
          "value": {
            "secret": "ropeway-secret:00000000-0000-0000-0000-000000000064"
          }
        }
      ],
      "ports": [],
      "volumes": [
        {
          "name": "data",
          "mountPath": "/data",
          "kind": "shared",
          "readOnly": true,
          "claim": "shop-db-data"
        }
      ],
      "configFiles": [
        {
          "path": "/etc/web",
          "content": "db shop-db"
        }
      ],
      "probes": [],
      "resources": {},
      "replicas": 2,
      "scaleRule": {
        "minReplicas": 1,
        "maxReplicas": 4,
        "step": 1
      },
      "attributes": {},
      "contentHash": "be3ec28f1561db40c5085170e673ac17"
    }
    "#);
}

#[test]
fn the_first_of_a_name_wins_in_the_order_of_names() {
    let environment = &model(&shop()).components[0].environment;
    let shown: Vec<_> = environment
        .iter()
        .map(|variable| match &variable.value {
            ModelValue::Plain(text) => format!("{}={text}", variable.name),
            ModelValue::Secret { secret } => format!("{}={secret}", variable.name),
        })
        .collect();
    let password = format!("DB_PASSWORD=ropeway-secret:{}", id(100));
    // The cache comes before the database.
    assert_eq!(shown, ["DB_USER=reader", "PORT=6379", "DB_HOST=shop-db", password.as_str()]);
}

#[test]
fn images_of_the_library_have_its_address_and_digest_and_are_rewritten() {
    let model = rendered(&shop(), &|image| Some(image.replace("registry.", "registry-vpc."))).unwrap();
    let images: Vec<_> = model.components.iter().map(|one| one.image.split('@').next().unwrap_or_default()).collect();
    assert_eq!(
        images,
        ["registry-vpc.example.org/web:1", "registry-vpc.example.org/shop/db", "registry-vpc.example.org/shop/cache"]
    );
    assert!(model.components.iter().all(|one| one.pull_secret.as_deref() == Some("ropeway-library")));
    let mut elsewhere = shop();
    let image = Image::Reference { reference: "docker.io/library/nginx:1".to_owned() };
    elsewhere.components.get_mut(&key(1)).unwrap().spec.image = image;
    let web = &self::model(&elsewhere).components[0];
    assert_eq!((web.image.as_str(), web.pull_secret.as_ref()), ("docker.io/library/nginx:1", None));
}

#[test]
fn the_hash_changes_with_secrets_and_files_and_with_nothing_else() {
    type Edit = fn(&mut Installed);
    let hashes = |installed: &Installed| -> Vec<String> {
        model(installed).components.into_iter().map(|component| component.content_hash).collect()
    };
    let before = hashes(&shop());
    let cases: [(&str, Edit, [bool; 3]); 4] = [
        (
            "a secret of what it depends on",
            |all| {
                let secret = Value::Sealed { sealed: SecretId(Uuid::from_u128(101)) };
                all.components.get_mut(&key(2)).unwrap().spec.connection_info[2].value = secret;
            },
            [true, false, false],
        ),
        (
            "a file",
            |all| {
                let content = Value::Text("other".into());
                all.components.get_mut(&key(1)).unwrap().spec.config_files[0].content = content;
            },
            [true, false, false],
        ),
        (
            "the host in a file",
            |all| all.components.get_mut(&key(2)).unwrap().cluster_name = "x".to_owned(),
            [true, false, false],
        ),
        (
            "replicas and plain values",
            |all| {
                let web = &mut all.components.get_mut(&key(1)).unwrap().spec;
                web.scale.replicas = 9;
                web.environment[0].value = Value::Text("other".into());
            },
            [false; 3],
        ),
    ];
    for (what, edit, changes) in cases {
        let mut after = shop();
        edit(&mut after);
        let changed: Vec<bool> = before.iter().zip(hashes(&after)).map(|(one, two)| *one != two).collect();
        assert_eq!(changed, changes, "{what}");
    }
}

#[test]
fn the_hash_changes_with_what_the_resources_hold_that_the_attributes_name() {
    let resource = |kind: &str, name: &str, level: &str, secret: u128| InstalledResource {
        own_key: ResourceKey(Uuid::from_u128(50)),
        spec: serde_json::from_value(json!({
            "key": id(50), "apiVersion": "v1", "kind": kind, "name": name,
            "manifest": {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"level": level}},
            "secretData": [{"name": "token", "value": {"sealed": id(secret)}}],
        }))
        .unwrap(),
        version: None,
        no_longer_in_template: false,
    };
    let hash = |attributes: Json, resource: InstalledResource| {
        let mut all = shop();
        let cache = &mut all.components.get_mut(&key(3)).unwrap().spec;
        cache.attributes = attributes.as_object().unwrap().clone();
        all.resources.insert(resource.own_key, resource);
        model(&all).components.into_iter().find(|one| one.slug == "cache").unwrap().content_hash
    };
    for (kind, attributes) in [
        ("ConfigMap", json!({"envFrom": [{"configMapRef": {"name": "a"}}]})),
        ("ConfigMap", json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "level"}}}]})),
        ("ConfigMap", json!({"volumes": [{"name": "v", "configMap": {"name": "a"}}]})),
        ("Secret", json!({"envFrom": [{"secretRef": {"name": "a"}}]})),
        ("Secret", json!({"volumes": [{"name": "v", "secret": {"secretName": "a"}}]})),
        ("Secret", json!({"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "a"}}]}}]})),
    ] {
        let before = hash(attributes.clone(), resource(kind, "a", "one", 1));
        assert_eq!(before, hash(attributes.clone(), resource(kind, "a", "one", 1)), "{attributes}");
        assert_ne!(before, hash(attributes.clone(), resource(kind, "a", "two", 1)), "{attributes}");
        assert_ne!(before, hash(attributes.clone(), resource(kind, "a", "one", 2)), "{attributes}");
        let other = hash(attributes.clone(), resource(kind, "b", "one", 1));
        assert_eq!(other, hash(attributes.clone(), resource(kind, "b", "two", 1)), "{attributes}");
    }
}

#[test]
fn what_is_not_there_is_an_error() {
    let without = |number: u128| {
        let mut all = shop();
        all.components.remove(&key(number));
        rendered(&all, &|_| None).unwrap_err()
    };
    assert_eq!(
        without(3),
        RenderError::UnknownDependency { component: "web".to_owned(), dependency: key(3) },
        "nothing is dropped silently"
    );
    let mut all = shop();
    all.components.get_mut(&key(3)).unwrap().spec.arguments =
        vec![Text::from_parts([crate::Part::Host { host: key(9) }])];
    assert_eq!(
        rendered(&all, &|_| None).unwrap_err().to_string(),
        format!("arguments/0 of cache names the host of the component {}, which is not there", key(9))
    );
    let mut all = shop();
    all.components.get_mut(&key(2)).unwrap().spec.volumes.clear();
    assert_eq!(
        rendered(&all, &|_| None).unwrap_err(),
        RenderError::UnknownVolume { component: "web".to_owned(), volume: "data".to_owned(), owner: key(12) }
    );
    let mut all = shop();
    all.components.get_mut(&key(2)).unwrap().spec.volumes[0].kind = VolumeKind::Exclusive;
    assert_eq!(
        rendered(&all, &|_| None).unwrap_err(),
        RenderError::OneWriter { component: "web".to_owned(), volume: "data".to_owned(), owner: key(12) },
        "the claim that it would name is none, or is on another node"
    );
}
