//! Publishing: from what runs to a version that others install, with real registries on loopback.

use super::{
    bed::{Bed, Person, document, text},
    seed::id_of,
};
use crate::{
    config::Config,
    demo::source::Source,
    id::{ApplicationId, ComponentId, EnterpriseId, VersionId},
    on,
    operation::{feed::Topic, worker},
    registry,
    service::resolve_images::resolve_images,
    store::{self, schema::components},
};
use diesel::ExpressionMethods as _;
use diesel::QueryDsl as _;
use diesel_async::RunQueryDsl as _;
use ropeway_clusters::{ObjectRef, Observed, Scope, Verdict, Watch};
use ropeway_domain::model::Image;
use ropeway_playground::{Options, Playground};
use serde_json::{Value as Json, json};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Secrets that may be found nowhere.
const CANARY: &str = "canary-9d41-payment";

const PLAN: &str = "query($input: SubmitPublicationInput!) { planPublication(input: $input) {
    digest contentDigest warnings blockers { code message } undecided { owner component name where proposal }
    components { key name image imageDigest environment { name value isSecret decision generate { length group } } }
    replaces { number revision } drift { object } undeployed { path } } }";

const PUBLICATION: &str = "query($id: ID!) { publication(id: $id) { id number state warnings createdBy
    images { component source target digest state bytesDone bytesTotal error } version { id number revision }
    operation { state steps { name state error } events(first: 100) { nodes { kind data message } } } } }";

const VERSIONS: &str =
    "query($id: ID!) { template(id: $id) { latest { number revision } versions(first: 10) { totalCount
    nodes { id number revision isCurrent alias digest artifactDigest architectures publishedBy asks { name component }
    images { component reference digest bytes platforms }
    components { name environment { name value isSecret decision } } } } } }";

/// A team with an application of one component, as if it had been deployed, and a template.
struct Shop {
    bed: Bed,
    owner: Person,
    other: Person,
    application: String,
    component: String,
    template: String,
    source: Source,
    folder: tempfile::TempDir,
    _playground: Playground,
    stop: CancellationToken,
    _stop_at_end: DropGuard,
}

impl Shop {
    async fn new() -> Self {
        let shop = Self::without_worker().await;
        shop.work();
        shop
    }

    /// Whose operations wait in the queue until [`Shop::work`].
    async fn without_worker() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let configure = |config: &mut Config| {
            config.library.listen = address;
            config.library.plain_http_hosts = vec![address.ip().to_string()];
        };
        let bed = Bed::with(configure).await;
        let router = registry::router(&bed.app).unwrap();
        let stop = CancellationToken::new();
        let end = stop.clone();
        tokio::spawn(async move { axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await });

        let folder = tempfile::tempdir().unwrap();
        let source = Source::start(folder.path()).await.unwrap();
        let image = source.push("web", "2.9", &["amd64", "arm64"], &[60_000, 20_000]).await.unwrap();
        source.push("web", "3.0", &["amd64", "arm64"], &[60_000, 30_000]).await.unwrap();

        let playground = Playground::start(Options::new("one", "token-of-a-test")).await.unwrap();
        let input = json!({
            "enterpriseId": bed.enterprise, "name": "one", "driver": "kubernetes", "kubeconfig": playground.kubeconfig(),
        });
        let made = bed.done(&bed.admin, "registerCluster", "cluster { id }", input).await;
        let cluster = text(&made["cluster"]["id"]);
        let (owner, other) = (bed.member("owner").await, bed.member("other").await);
        let team = bed.team(&owner, "shops", &[&cluster]).await;
        let input = json!({ "teamId": team, "userName": "other", "role": "DEVELOPER" });
        bed.done(&owner, "setTeamMember", "team { id }", input).await;
        let input = json!({ "teamId": team, "clusterId": cluster, "name": "Shop" });
        let made = bed.done(&owner, "createApplication", "application { id }", input).await;
        let application = text(&made["application"]["id"]);
        let input = json!({
            "applicationId": application, "name": "web", "image": image, "settings": {
                "environment": [
                    { "name": "PAYMENT_TOKEN", "value": CANARY, "secret": true },
                    { "name": "MODE", "value": "fast" },
                ],
                "connectionInfo": [{ "name": "WEB_PASSWORD", "decision": "GENERATE" }],
            },
        });
        let component = text(&bed.done(&owner, "addComponent", "component { id }", input).await["component"]["id"]);
        let input = json!({ "enterpriseId": bed.enterprise, "teamId": team, "name": "Shop", "scope": "TEAM" });
        let template = text(&bed.done(&owner, "createTemplate", "template { id }", input).await["template"]["id"]);
        let shop = Self {
            bed,
            owner,
            other,
            application,
            component,
            template,
            source,
            folder,
            _playground: playground,
            stop: stop.clone(),
            _stop_at_end: stop.drop_guard(),
        };
        shop.deployed(&shop.component).await;
        shop
    }

    fn work(&self) {
        tokio::spawn(worker::work(self.bed.app.clone(), self.stop.clone()));
    }

    /// What was composed counts as deployed, though no object of it is there.
    async fn deployed(&self, component: &str) {
        let id = |text: &str| crate::graphql::id::parts(text).unwrap().1;
        let mut conn = self.bed.app.database.write().await.unwrap();
        let component = ComponentId::new(id(component));
        let done = on!(&mut conn, |c| diesel::update(components::table.find(component))
            .set(components::deployed.eq(components::desired))
            .execute(c)
            .await);
        assert_eq!(done.unwrap(), 1);
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
    fn input(&self, number: &str, more: Json) -> Json {
        let mut input = json!({
            "applicationId": self.application, "templateId": self.template, "number": number,
            "onDrift": "PUBLISH_DEPLOYED",
            "components": [{ "componentId": self.component, "environment": [
                { "name": "PAYMENT_TOKEN", "secret": true, "decision": "ASK", "description": "of the provider" },
                { "name": "MODE" },
            ] }],
        });
        for (key, value) in more.as_object().unwrap() {
            input[key] = value.clone();
        }
        input
    }

    async fn plan(&self, input: Json) -> Json {
        self.bed.data(&self.owner, PLAN, json!({ "input": input })).await["planPublication"].take()
    }

    async fn submit(&self, input: Json) -> String {
        let made = self.bed.done(&self.owner, "submitPublication", "publication { id state }", input).await;
        assert_eq!(made["publication"]["state"], "SYNCING");
        text(&made["publication"]["id"])
    }

    /// The publication, once it is in this state.
    async fn until(&self, id: &str, state: &str) -> Json {
        let deadline = Instant::now() + Duration::from_secs(60);
        let application = ApplicationId::new(crate::graphql::id::parts(&self.application).unwrap().1);
        let mut news = self.bed.app.feed.subscribe(Topic::Application(application));
        loop {
            let mut found = self.bed.data(&self.owner, PUBLICATION, json!({ "id": id })).await;
            if found["publication"]["state"] == state && found["publication"]["operation"]["state"] != "RUNNING" {
                return found["publication"].take();
            }
            assert!(Instant::now() < deadline, "{found}");
            news.changed().await;
        }
    }

    async fn confirm(&self, id: &str) -> Json {
        let fields = "publication { state version { id number revision alias } }";
        let input = json!({ "publicationId": id });
        self.bed.done(&self.owner, "confirmPublication", fields, input).await["publication"].take()
    }

    async fn publish(&self, input: Json) -> Json {
        let id = self.submit(input).await;
        self.until(&id, "SYNCED").await;
        self.confirm(&id).await
    }

    async fn versions(&self) -> Json {
        self.bed.data(&self.owner, VERSIONS, json!({ "id": self.template })).await["template"].take()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_seen_by_confirmation_alone_and_holds_no_secret() {
    let shop = Shop::new().await;
    let undecided = shop.input("2.9", json!({ "components": [], "onDrift": null }));
    let plan = shop.plan(undecided.clone()).await;
    assert_eq!(plan["undecided"].as_array().unwrap().len(), 1, "{plan}");
    assert_eq!(plan["undecided"][0]["where"], "environment/PAYMENT_TOKEN");
    assert!(plan["blockers"].to_string().contains("DRIFT_UNDECIDED"), "{plan}");
    let refused = shop.bed.problems(&shop.owner, "submitPublication", undecided).await;
    assert!(refused.iter().any(|problem| problem.starts_with("SECRET_UNDECIDED ")), "{refused:?}");
    assert!(refused.iter().any(|problem| problem.starts_with("DRIFT_UNDECIDED")), "{refused:?}");

    let input = shop.input("2.9", json!({ "alias": "first" }));
    let plan = shop.plan(input.clone()).await;
    assert_eq!((&plan["undecided"], &plan["blockers"], &plan["replaces"]), (&json!([]), &json!([]), &Json::Null));
    assert!(plan["components"][0]["image"].as_str().unwrap().contains("/web@sha256:"), "{plan}");
    assert_eq!(plan, shop.plan(input.clone()).await, "the same plan has the same digest");
    let mut named = input;
    named["planDigest"] = plan["digest"].clone();
    let id = shop.submit(named.clone()).await;

    let synced = shop.until(&id, "SYNCED").await;
    assert_eq!(synced["version"], Json::Null);
    assert_eq!(synced["createdBy"], "owner");
    let image = &synced["images"][0];
    assert_eq!((&image["state"], &image["bytesDone"]), (&json!("SUCCEEDED"), &image["bytesTotal"]), "{synced}");
    let events = synced["operation"]["events"]["nodes"].as_array().unwrap();
    assert!(events.iter().any(|event| event["data"]["bytesDone"].is_number()), "progress is told in bytes: {events:?}");
    assert_eq!(shop.versions().await["versions"]["totalCount"], 0, "not before it is confirmed");
    for (query, variables) in [
        (PUBLICATION.to_owned(), json!({ "id": id })),
        (document("confirmPublication", ""), json!({ "input": { "publicationId": id } })),
        (document("abandonPublication", ""), json!({ "input": { "publicationId": id } })),
    ] {
        assert_eq!(
            shop.bed.refusal(Some(&shop.other), &query, variables).await,
            "NOT_FOUND",
            "a draft is its author's"
        );
    }
    let list = "query($id: ID!) { application(id: $id) { publications(first: 5) { totalCount nodes { id } } } }";
    let seen = shop.bed.data(&shop.other, list, json!({ "id": shop.application })).await;
    assert_eq!(seen["application"]["publications"]["totalCount"], 0);

    let confirmed = shop.confirm(&id).await;
    assert_eq!(confirmed["state"], "PUBLISHED");
    let seen = shop.bed.data(&shop.other, list, json!({ "id": shop.application })).await;
    assert_eq!(seen["application"]["publications"]["totalCount"], 1);
    let versions = shop.versions().await;
    let version = &versions["versions"]["nodes"][0];
    assert_eq!(
        (&version["number"], &version["revision"], &version["alias"]),
        (&json!("2.9"), &json!(1), &json!("first"))
    );
    assert_eq!(version["architectures"], json!(["amd64", "arm64"]));
    assert!(version["artifactDigest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(version["asks"], json!([{ "name": "environment/PAYMENT_TOKEN", "component": "web" }]));
    assert_eq!(version["digest"], plan["contentDigest"], "what was reviewed is what was published");
    let again = document("confirmPublication", "");
    let input = json!({ "input": { "publicationId": id } });
    assert_eq!(shop.bed.refusal(Some(&shop.owner), &again, input).await, "CONFLICT");

    let whole = format!("{plan}{synced}{versions}");
    assert!(!whole.contains(CANARY));
    let (_, uuid) = crate::graphql::id::parts(&text(&version["id"])).unwrap();
    let mut conn = shop.bed.app.database.read().await.unwrap();
    let content = store::version::contents(&mut conn, &[VersionId::new(uuid)]).await.unwrap().remove(0).1;
    assert!(!String::from_utf8(content).unwrap().contains(CANARY));

    let stale = shop.bed.mutate(&shop.owner, "submitPublication", "publication { id } plan { digest }", named).await;
    assert_eq!((&stale["errors"][0]["code"], &stale["publication"]), (&json!("PLAN_STALE"), &Json::Null));
    assert!(stale["plan"]["digest"].is_string(), "{stale}");
    let log = "query($id: ID!) { enterprise(id: $id) { auditLog(first: 1) { nodes { action planDigest result } } } }";
    let log = shop.bed.data(&shop.bed.admin, log, json!({ "id": shop.bed.enterprise })).await;
    let entry = json!({ "action": "submitPublication", "planDigest": plan["digest"], "result": "PLAN_STALE" });
    assert_eq!(log["enterprise"]["auditLog"]["nodes"], json!([entry]));
}

#[tokio::test(flavor = "multi_thread")]
async fn content_decides_whether_a_number_gets_another_revision() {
    let shop = Shop::new().await;
    let first = shop.publish(shop.input("2.9", json!({}))).await;
    let same = shop.publish(shop.input("v2.9.0", json!({ "alias": "spelled otherwise" }))).await;
    assert_eq!(same["version"]["id"], first["version"]["id"], "the same content is no new revision");
    assert_eq!(
        (&same["version"]["number"], &same["version"]["alias"]),
        (&json!("v2.9.0"), &json!("spelled otherwise"))
    );

    let image = shop.source.image("web", "3.0");
    let change = json!({ "componentId": shop.component, "image": image });
    shop.bed.done(&shop.owner, "updateComponent", "component { id }", change).await;
    let plan = shop.plan(shop.input("2.9", json!({ "onDrift": null }))).await;
    assert!(plan["blockers"].to_string().contains("UNDEPLOYED_EDITS"), "{plan}");
    assert_eq!(plan["undeployed"][0]["path"], "image");
    shop.deployed(&shop.component).await;
    let input = shop.input("2.9", json!({}));
    assert_eq!(shop.plan(input.clone()).await["replaces"], json!({ "number": "v2.9.0", "revision": 1 }));
    let second = shop.publish(input).await;
    assert_eq!((&second["version"]["number"], &second["version"]["revision"]), (&json!("2.9"), &json!(2)));
    let third = shop.publish(shop.input("2.10", json!({}))).await;
    let versions = shop.versions().await;
    let numbers: Vec<_> =
        versions["versions"]["nodes"].as_array().unwrap().iter().map(|one| one["number"].clone()).collect();
    assert_eq!(numbers, ["2.10", "2.9"], "the greatest number first, one revision of each");
    assert_eq!(versions["latest"]["number"], "2.10");
    let old = "query($id: ID!) { templateVersion(id: $id) { revision isCurrent images { reference digest } } }";
    let old = shop.bed.data(&shop.owner, old, json!({ "id": first["version"]["id"] })).await;
    assert_eq!((&old["templateVersion"]["revision"], &old["templateVersion"]["isCurrent"]), (&json!(1), &json!(false)));
    let nodes = versions["versions"]["nodes"].as_array().unwrap();
    assert_eq!(nodes[0]["images"][0]["reference"], old["templateVersion"]["images"][0]["reference"], "one repository");

    let input = json!({ "versionId": third["version"]["id"] });
    shop.bed.done(&shop.owner, "deleteVersion", "template { id }", input).await;
    assert_eq!(shop.versions().await["versions"]["totalCount"], 1);
    shop.bed.done(&shop.owner, "deleteTemplate", "templateId", json!({ "templateId": shop.template })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_failed_is_retried_and_copies_only_what_is_missing() {
    let shop = Shop::without_worker().await;
    let image = shop.source.push("api", "1", &["amd64", "arm64"], &[40_000]).await.unwrap();
    let input = json!({ "applicationId": shop.application, "name": "api", "image": image });
    let made = shop.bed.done(&shop.owner, "addComponent", "component { id }", input).await;
    shop.deployed(&text(&made["component"]["id"])).await;

    let whole = shop.plan(shop.input("1", json!({}))).await;
    let input = shop.input("1", json!({ "platforms": ["linux/arm64"] }));
    let plan = shop.plan(input.clone()).await;
    assert_ne!(plan["components"][0]["imageDigest"], whole["components"][0]["imageDigest"], "a part of an index");
    let id = shop.submit(input).await;
    let there = shop.folder.path().join("repositories/shop/api");
    let away = shop.folder.path().join("away");
    std::fs::rename(&there, &away).unwrap();
    shop.work();
    let failed = shop.until(&id, "FAILED").await;
    let states = |publication: &Json| -> Vec<(String, String)> {
        let images = publication["images"].as_array().unwrap().iter();
        images.map(|image| (text(&image["component"]), text(&image["state"]))).collect()
    };
    let pair = |component: &str, state: &str| (component.to_owned(), state.to_owned());
    assert_eq!(states(&failed), [pair("api", "FAILED"), pair("web", "SUCCEEDED")], "{failed}");
    assert!(failed["images"][0]["error"].is_string(), "{failed}");
    assert_eq!(failed["operation"]["state"], "PARTIAL");
    let input = json!({ "input": { "publicationId": id } });
    let refused = shop.bed.refusal(Some(&shop.owner), &document("confirmPublication", ""), input).await;
    assert_eq!(refused, "CONFLICT", "what failed is not confirmed");

    std::fs::rename(&away, &there).unwrap();
    let input = json!({ "publicationId": id });
    let fields = "publication { state } operation { steps { name } }";
    let retried = shop.bed.done(&shop.owner, "retryPublication", fields, input.clone()).await;
    assert_eq!(retried["publication"]["state"], "SYNCING");
    let steps = json!([{ "name": "copy the image of api" }, { "name": "push the version 1" }]);
    assert_eq!(retried["operation"]["steps"], steps, "exactly what failed or never ran");
    let synced = shop.until(&id, "SYNCED").await;
    assert_eq!(states(&synced), [pair("api", "SUCCEEDED"), pair("web", "SUCCEEDED")]);

    shop.bed.done(&shop.owner, "abandonPublication", "publication { state }", input).await;
    assert_eq!(shop.until(&id, "ABANDONED").await["version"], Json::Null);
    assert_eq!(shop.versions().await["versions"]["totalCount"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_published_is_named_before_anything_is_copied() {
    let shop = Shop::new().await;
    let gone = format!("{}/shop/nothing:1", shop.source.host());
    for (image, code) in [(gone, "IMAGE_NOT_FOUND"), ("127.0.0.1:1/shop/web:1".to_owned(), "IMAGE_UNREACHABLE")] {
        let change = json!({ "componentId": shop.component, "image": image });
        shop.bed.done(&shop.owner, "updateComponent", "component { id }", change).await;
        shop.deployed(&shop.component).await;
        let plan = shop.plan(shop.input("1", json!({}))).await;
        let codes: Vec<_> = plan["blockers"].as_array().unwrap().iter().map(|one| text(&one["code"])).collect();
        assert_eq!(codes, [code], "{plan}");
        assert!(plan["blockers"][0]["message"].as_str().unwrap().contains("web"), "{plan}");
        let refused = shop.bed.problems(&shop.owner, "submitPublication", shop.input("1", json!({}))).await;
        assert_eq!(refused, [format!("{code} ")]);
    }
    let wrong = json!({
        "platforms": ["mars"], "alias": "", "onDrift": null, "components": [],
    });
    let problems = shop.bed.problems(&shop.owner, "submitPublication", shop.input("no number", wrong)).await;
    let expected = ["INVALID_NUMBER number", "INVALID_NAME alias", "INVALID_PLATFORM platforms.0"];
    assert_eq!(problems, expected);
    let list = "query($id: ID!) { application(id: $id) { publications(first: 5) { totalCount } } }";
    let seen = shop.bed.data(&shop.owner, list, json!({ "id": shop.application })).await;
    assert_eq!(seen["application"]["publications"]["totalCount"], 0, "nothing is half done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_only_its_team_sees_takes_no_version_of_another_team() {
    let shop = Shop::without_worker().await;
    let team = shop.bed.team(&shop.owner, "others", &[]).await;
    let input = json!({ "enterpriseId": shop.bed.enterprise, "teamId": team, "name": "Theirs", "scope": "TEAM" });
    let made = shop.bed.done(&shop.owner, "createTemplate", "template { id }", input).await;
    let theirs = text(&made["template"]["id"]);
    let input = shop.input("1.0", json!({ "templateId": theirs }));
    let problems = shop.bed.problems(&shop.owner, "submitPublication", input.clone()).await;
    assert_eq!(problems, ["TEMPLATE_OF_ANOTHER_TEAM templateId"]);
    let wide = json!({ "templateId": theirs, "scope": "ENTERPRISE" });
    shop.bed.done(&shop.owner, "updateTemplate", "template { id }", wide).await;
    shop.bed.done(&shop.owner, "submitPublication", "publication { id }", input).await;
    // Whoever sees the publication would go on seeing the template.
    let narrow = json!({ "templateId": theirs, "scope": "TEAM" });
    assert_eq!(shop.bed.problems(&shop.owner, "updateTemplate", narrow).await, ["TEMPLATE_IN_USE scope"]);
}

#[tokio::test(start_paused = true)]
async fn images_in_a_registry_that_hangs_are_told_in_time_each_by_name() {
    let bed = Bed::with(|config| config.library.plain_http_hosts = vec!["127.0.0.1".into()]).await;
    // Nobody accepts what the system does.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = silent.local_addr().unwrap();
    let enterprise: EnterpriseId = id_of(&bed.enterprise);
    let library = bed.app.library(enterprise).await.unwrap();
    let images = (0..7).map(|n| Image::Reference { reference: format!("{host}/image-{n}:1") });
    let began = Instant::now();
    let found = resolve_images(&bed.app, &library, images.clone(), &[]).await;
    assert!(began.elapsed() < Duration::from_secs(50), "a request may take 60 s: {:?}", began.elapsed());
    for image in images {
        let Image::Reference { reference, .. } = &image else { unreachable!() };
        let trouble = found[&image].as_ref().unwrap_err();
        assert_eq!(trouble.code, "IMAGE_UNREACHABLE");
        assert!(trouble.message.contains(reference), "{}", trouble.message);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_says_that_somebody_named_is_not_shown() {
    let bed = Bed::with(|config| config.library.plain_http_hosts = vec!["127.0.0.1".into()]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let answer = || async { (http::StatusCode::IM_A_TEAPOT, "canary-of-an-inner-service") };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
    let enterprise: EnterpriseId = id_of(&bed.enterprise);
    let library = bed.app.library(enterprise).await.unwrap();
    let image = Image::Reference { reference: format!("{host}/image:1") };
    let found = resolve_images(&bed.app, &library, [image.clone()], &[]).await;
    let trouble = found[&image].as_ref().unwrap_err();
    assert!(trouble.message.contains("418") && !trouble.message.contains("canary"), "{}", trouble.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moved_since_it_was_pulled_is_told() {
    let shop = Shop::new().await;
    let application = shop.bed.application_row(id_of(&shop.application)).await;
    let cluster = shop.bed.app.cluster(application.cluster_id).await.unwrap();
    cluster.ensure_namespace("shops", &BTreeMap::new()).await.unwrap();
    let mut conn = shop.bed.app.database.read().await.unwrap();
    let component = store::component::find(&mut conn, id_of(&shop.component)).await.unwrap().unwrap();
    drop(conn);
    let labels = json!({ "ropeway.dev/application": application.id, "ropeway.dev/component": component.key.0 });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "namespace": "shops", "labels": labels },
        "spec": { "containers": [{ "name": "web", "image": shop.source.image("web", "2.9") }] },
    });
    cluster.create_if_absent(&pod, &Scope::namespace("shops")).await.unwrap();
    let watch = Watch {
        references: vec![ObjectRef::of(&pod).unwrap()],
        namespace: "shops".into(),
        selector: None,
        details: false,
    };
    let runs = |seen: Arc<[Observed]>| {
        let pod = seen[0].object.as_ref();
        let runs = pod.is_some_and(|pod| pod["status"]["phase"] == "Running");
        std::future::ready(if runs { Verdict::Done(()) } else { Verdict::Continue(format!("{pod:?}")) })
    };
    cluster.watch_until(&watch, Instant::now() + Duration::from_secs(60), runs).await.unwrap();
    let plan = shop.plan(shop.input("2.9", json!({}))).await;
    assert!(!plan["blockers"].to_string().contains("IMAGE_MOVED"), "{plan}");
    shop.source.push("web", "2.9", &["amd64", "arm64"], &[70_000]).await.unwrap();
    let plan = shop.plan(shop.input("2.9", json!({}))).await;
    assert!(plan["blockers"].to_string().contains("IMAGE_MOVED"), "{plan}");
}
