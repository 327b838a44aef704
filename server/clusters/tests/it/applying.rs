//! Apply, dry run, create: what is changed, and what is refused.

use ropeway_clusters::{Created, Error, FieldConflict, NamespaceState, Refusal, Scope, labels, uid};
use serde_json::{Value, json};

use crate::support::{clusters, text};

#[tokio::test]
async fn applying_creates_then_updates_then_changes_nothing() {
    for at in clusters("apply").await {
        let first = at.cluster.apply(&at.config_map("settings", &[("a", "1")]), &at.options(None)).await.expect("made");
        assert!(first.created && first.changed);
        let known = at.options(Some(&first.uid));
        let second = at.cluster.apply(&at.config_map("settings", &[("a", "2")]), &known).await.expect("changed");
        assert!(!second.created && second.changed);
        assert_eq!(second.uid, first.uid);
        let third = at.cluster.apply(&at.config_map("settings", &[("a", "2")]), &known).await.expect("the same");
        assert!(!third.changed);
        assert_eq!(third.resource_version, second.resource_version);
        let live = at.cluster.get(&at.reference("v1", "ConfigMap", "settings")).await.expect("get").expect("exists");
        assert_eq!(live["data"], json!({"a": "2"}));
    }
}

#[tokio::test]
async fn a_dry_run_tells_whether_it_would_change_and_changes_nothing() {
    for at in clusters("dry").await {
        let mut options = at.options(None);
        options.dry_run = true;
        let would = at.cluster.apply(&at.config_map("settings", &[("a", "1")]), &options).await.expect("would make");
        assert!(would.created && would.changed);
        assert_eq!(at.cluster.get(&at.reference("v1", "ConfigMap", "settings")).await.expect("get"), None);
        let made = at.cluster.apply(&at.config_map("settings", &[("a", "1")]), &at.options(None)).await.expect("made");
        options.owner.known_uid = Some(made.uid);
        let same = at.cluster.apply(&at.config_map("settings", &[("a", "1")]), &options).await.expect("same");
        assert!(!same.changed);
        let other = at.cluster.apply(&at.config_map("settings", &[("a", "2")]), &options).await.expect("other");
        assert!(other.changed);
        let live = at.cluster.get(&at.reference("v1", "ConfigMap", "settings")).await.expect("get").expect("exists");
        assert_eq!(live["data"]["a"], "1");
    }
}

#[tokio::test]
async fn an_object_of_somebody_else_is_refused_and_left_as_it_is() {
    for at in clusters("foreign").await {
        let mut theirs = at.config_map("settings", &[("a", "theirs")]);
        theirs["metadata"]["labels"] = json!({});
        at.created_by_others(&theirs).await;
        let mut options = at.options(None);
        options.force = true;
        let refused = at.cluster.apply(&at.config_map("settings", &[("a", "ours")]), &options).await;
        assert!(matches!(refused, Err(Error::Foreign { owner: None, .. })), "{refused:?}");
        theirs["metadata"]["labels"] = json!({labels::APPLICATION: "another"});
        at.applied_by("somebody", &theirs).await;
        let refused = at.cluster.apply(&at.config_map("settings", &[("a", "ours")]), &options).await;
        assert!(matches!(refused, Err(Error::Foreign { owner: Some(_), .. })), "{refused:?}");
        let live = at.cluster.get(&at.reference("v1", "ConfigMap", "settings")).await.expect("get").expect("exists");
        assert_eq!(live["data"]["a"], "theirs");
    }
}

#[tokio::test]
async fn an_object_that_was_replaced_or_not_recorded_is_refused() {
    for at in clusters("replaced").await {
        let object = at.config_map("settings", &[("a", "1")]);
        at.cluster.apply(&object, &at.options(None)).await.expect("made");
        let elsewhere = at.options(Some("00000000-0000-0000-0000-000000000000"));
        let refused = at.cluster.apply(&object, &elsewhere).await;
        assert!(matches!(refused, Err(Error::Replaced { .. })), "{refused:?}");
        let mut unrecorded = at.options(None);
        unrecorded.owner.may_create = false;
        let refused = at.cluster.apply(&object, &unrecorded).await;
        assert!(matches!(refused, Err(Error::Replaced { recorded: None, .. })), "{refused:?}");
        let missing = at.cluster.apply(&at.config_map("other", &[]), &unrecorded).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    }
}

#[tokio::test]
async fn fields_of_other_managers_are_listed_by_a_dry_run_and_taken_only_by_force() {
    for at in clusters("conflict").await {
        let made = at.cluster.apply(&at.deployment("web", 1, None), &at.options(None)).await.expect("made");
        at.applied_by("kubectl-client-side-apply", &at.deployment("web", 3, None)).await;
        let wanted = at.deployment("web", 2, None);
        let found = at.cluster.dry_run(&wanted, &Scope::namespace(&at.namespace)).await.expect("dry run");
        let conflict = FieldConflict { manager: "kubectl-client-side-apply".into(), path: ".spec.replicas".into() };
        assert_eq!(found.conflicts, [conflict]);
        assert_eq!(found.live_before.expect("live")["spec"]["replicas"], 3);
        assert_eq!(found.would_be.expect("would be")["spec"]["replicas"], 2);
        let mut options = at.options(Some(&made.uid));
        let refused = at.cluster.apply(&wanted, &options).await;
        let Err(error @ Error::Conflict { .. }) = refused else { panic!("{refused:?}") };
        assert!(!error.retryable());
        options.force = true;
        at.cluster.apply(&wanted, &options).await.expect("taken over");
    }
}

#[tokio::test]
async fn a_selector_that_cannot_change_is_told_from_other_faults() {
    for at in clusters("immutable").await {
        at.cluster.apply(&at.deployment("web", 1, None), &at.options(None)).await.expect("made");
        let mut changed = at.deployment("web", 1, None);
        changed["spec"]["selector"]["matchLabels"] = json!({"app": "web", "tier": "a"});
        changed["spec"]["template"]["metadata"]["labels"] = json!({"app": "web", "tier": "a"});
        let found = at.cluster.dry_run(&changed, &Scope::namespace(&at.namespace)).await.expect("dry run");
        let Some(Error::Immutable { causes, message }) = found.refused else { panic!("{:?}", found.refused) };
        assert_eq!(causes[0].field, "spec.selector");
        assert!(!message.contains("tier"), "a message shows no values: {message}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_refused_and_not_dropped() {
    for at in clusters("unknown").await {
        let mut wrong = at.deployment("web", 1, None);
        wrong["spec"]["replicaz"] = 1.into();
        let refused = at.cluster.apply(&wrong, &at.options(None)).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        let strange = at.object("example.com/v1", "Strange", "x", &json!({}));
        let refused = at.cluster.apply(&strange, &at.options(None)).await;
        assert!(matches!(refused, Err(Error::UnknownKind { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn an_object_of_the_whole_cluster_is_refused_by_a_dry_run_and_no_fault_of_the_cluster() {
    for at in clusters("global").await {
        let within = at.object("v1", "Namespace", "global", &json!({}));
        let mut alone = within.clone();
        alone["metadata"].as_object_mut().expect("metadata").remove("namespace");
        for object in [within, alone] {
            let found = at.cluster.dry_run(&object, &Scope::namespace(&at.namespace)).await.expect("dry run");
            assert!(matches!(found.refused, Some(Error::OutOfBounds { .. })), "{:?}", found.refused);
            assert_eq!((found.live_before, found.would_be), (None, None));
        }
    }
}

#[tokio::test]
async fn a_strategy_that_is_said_can_be_exchanged_for_another_and_back() {
    for at in clusters("strategy").await {
        let with = |strategy: Value| {
            let mut deployment = at.deployment("web", 1, None);
            deployment["spec"]["strategy"] = strategy;
            deployment
        };
        let rolling = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
        let anew = json!({"type": "Recreate"});
        let made = at.cluster.apply(&with(rolling.clone()), &at.options(None)).await.expect("made");
        let known = at.options(Some(&made.uid));
        for strategy in [anew, rolling] {
            let found = at.cluster.dry_run(&with(strategy.clone()), &Scope::namespace(&at.namespace)).await;
            assert_eq!(found.expect("dry run").refused, None);
            let changed = at.cluster.apply(&with(strategy.clone()), &known).await.expect("changed");
            assert_eq!(changed.object["spec"]["strategy"], strategy);
        }
    }
}

#[tokio::test]
async fn a_namespace_that_does_not_exist_is_a_result_of_its_own() {
    for at in clusters("missing").await {
        let mut object = at.config_map("settings", &[]);
        object["metadata"]["namespace"] = "not-there".into();
        let scope = Scope::namespace("not-there");
        let found = at.cluster.dry_run(&object, &scope).await.expect("dry run");
        assert_eq!(found.refused, Some(Error::NamespaceMissing { namespace: "not-there".into() }));
        assert_eq!(found.live_before, None);
    }
}

#[tokio::test]
async fn a_used_up_quota_is_told_from_a_lacking_permission() {
    for at in clusters("quota").await {
        let quota = at.object("v1", "ResourceQuota", "none", &json!({"spec": {"hard": {"count/secrets": "0"}}}));
        at.cluster.apply(&quota, &at.options(None)).await.expect("quota");
        let reference = at.reference("v1", "ResourceQuota", "none");
        at.until(&reference, |quota| quota.is_some_and(|quota| quota.pointer("/status/hard").is_some())).await;
        let secret = at.object("v1", "Secret", "one", &json!({"stringData": {"password": "canary"}}));
        let refused = at.cluster.apply(&secret, &at.options(None)).await;
        let Err(error @ Error::Forbidden { refusal: Refusal::Quota, .. }) = refused else { panic!("{refused:?}") };
        assert!(!error.to_string().contains("canary") && !error.retryable());
    }
}

#[tokio::test]
async fn nothing_outside_the_namespace_is_touched() {
    for at in clusters("scope").await {
        let mut elsewhere = at.config_map("settings", &[]);
        elsewhere["metadata"]["namespace"] = "default".into();
        let mut nowhere = at.config_map("settings", &[]);
        nowhere["metadata"].as_object_mut().expect("metadata").remove("namespace");
        let mut global = at.object("v1", "Namespace", "global", &json!({}));
        global["metadata"].as_object_mut().expect("metadata").remove("namespace");
        let mut unlabelled = at.config_map("settings", &[]);
        unlabelled["metadata"]["labels"] = json!({});
        for object in [elsewhere, nowhere, global, unlabelled] {
            let refused = at.cluster.apply(&object, &at.options(None)).await;
            assert!(matches!(refused, Err(Error::OutOfBounds { .. })), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn creating_leaves_what_is_there() {
    for at in clusters("create").await {
        let scope = Scope::namespace(&at.namespace);
        let made = at.cluster.create_if_absent(&at.config_map("a", &[("k", "1")]), &scope).await.expect("made");
        assert!(matches!(made, Created::Made(_)));
        let there = at.cluster.create_if_absent(&at.config_map("a", &[("k", "2")]), &scope).await.expect("there");
        let Created::Existed(live) = there else { panic!("made twice") };
        assert_eq!(live["data"]["k"], "1");
    }
}

#[tokio::test]
async fn a_namespace_is_made_once_and_never_taken_over() {
    for at in clusters("ensure").await {
        let name = format!("{}-team", at.namespace);
        let labels = |team: &str| [("ropeway.dev/team".to_owned(), team.to_owned())].into();
        let made = at.cluster.ensure_namespace(&name, &labels("a")).await.expect("made");
        let NamespaceState::Made { uid: made } = made else { panic!("{made:?}") };
        let ours = at.cluster.ensure_namespace(&name, &labels("a")).await.expect("ours");
        assert_eq!(ours, NamespaceState::Ours { uid: made });
        for (name, team) in [(name.as_str(), "b"), ("default", "a")] {
            let foreign = at.cluster.ensure_namespace(name, &labels(team)).await.expect("foreign");
            assert!(matches!(foreign, NamespaceState::Foreign { .. }), "{foreign:?}");
        }
        let reference = ropeway_clusters::ObjectRef {
            api_version: "v1".into(),
            kind: "Namespace".into(),
            namespace: None,
            name: "default".into(),
        };
        let default: Value = at.cluster.get(&reference).await.expect("get").expect("default");
        assert_eq!(text(&default, "/metadata/labels/ropeway.dev~1team"), "");
        assert!(uid(&default).is_some());
    }
}
