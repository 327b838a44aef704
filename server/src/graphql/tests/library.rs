//! Configuring and checking the library.

use super::bed::{Bed, text};
use crate::{
    app::App,
    graphql::id::encode_text,
    id::{ClusterId, EnterpriseId, OperationId},
    libraries::PullAccess,
    on,
    operation::{Action, action::EnsureNamespace},
    service::{
        check_library::{begin_for_returned, push_probe_image},
        configure_library::refresh_embedded,
        watch_clusters,
    },
    store::{
        cluster::{self, ClusterStatus, Sighting},
        library::Library,
        schema::operations,
        step,
    },
};
use diesel::{ExpressionMethods as _, QueryDsl as _};
use diesel_async::RunQueryDsl as _;
use ropeway_domain::operation::{OperationKind, OperationState};
use ropeway_library::{Endpoint, Limits, Registry};
use serde_json::{Value as Json, json};

const FIELDS: &str = "library { url publicUrl embedded plainHttp reachable message reachability { reachable
                      cluster { name } } } operation { id }";

/// The first enterprise's library, and an embedded registry that listens.
async fn with_registry() -> (Bed, String, (String, String)) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bed = Bed::with(|config| config.library.listen = address).await;
    let router = crate::registry::router(&bed.app).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (id, _) = bed.enterprise_id().await;
    let library = bed.app.library(id).await.unwrap();
    let mut conn = bed.app.database.read().await.unwrap();
    let password = bed.app.unseal(&mut conn, id, library.password.unwrap().0).await.unwrap();
    let credentials = (library.username.clone().unwrap(), password.expose().to_owned());
    (bed, format!("http://{address}/{}", library.prefix), credentials)
}

impl Bed {
    async fn enterprise_id(&self) -> (EnterpriseId, Json) {
        let id = async_graphql::ID(self.enterprise.clone());
        let library = "query($id: ID!) { enterprise(id: $id) { library { url embedded reachable } } }";
        let seen = self.data(&self.admin, library, json!({ "id": self.enterprise })).await;
        (crate::graphql::id::decode(&id, "id").unwrap(), seen["enterprise"]["library"].clone())
    }

    /// A look at a cluster finds it so.
    async fn see(&self, cluster: &str, status: ClusterStatus) -> ClusterId {
        let id: ClusterId = crate::graphql::id::decode(&cluster.into(), "id").unwrap();
        let seen = Sighting { status, message: None, facts: None, at: self.clock.now() };
        let mut conn = self.app.database.write().await.unwrap();
        let row = cluster::find(&mut conn, id).await.unwrap().unwrap();
        assert_eq!(cluster::record(&mut conn, id, row.generation, &seen).await.unwrap(), 1);
        id
    }

    async fn library(&self) -> Library {
        self.app.library(self.enterprise_id().await.0).await.unwrap()
    }

    /// What is to be done to namespaces, by cluster, in the order in which it was begun.
    async fn namespaces(&self) -> Vec<(ClusterId, Vec<EnsureNamespace>)> {
        let mut conn = self.app.database.read().await.unwrap();
        let begun: Vec<(OperationId, Option<ClusterId>)> = on!(&mut conn, |c| operations::table
            .filter(operations::kind.eq("OPEN_TEAM"))
            .order((operations::created_at, operations::id))
            .select((operations::id, operations::cluster_id))
            .load(c)
            .await)
        .unwrap();
        let mut all = Vec::new();
        for (id, cluster) in begun {
            let steps = step::of_operation(&mut conn, id).await.unwrap();
            let actions = steps.iter().map(|step| match serde_json::from_slice(&step.action).unwrap() {
                Action::EnsureNamespace(ensure) => ensure,
                other => panic!("{other:?}"),
            });
            all.push((cluster.unwrap(), actions.collect()));
        }
        all
    }

    /// Two clusters, of which the first answers, and an application in each, in the namespace `shops`.
    async fn applications(&self) -> [ClusterId; 2] {
        let clusters = [self.cluster("hangzhou").await, self.cluster("guangzhou").await];
        let team = self.team(&self.admin, "shops", &[&clusters[0], &clusters[1]]).await;
        for cluster in &clusters {
            let input = json!({ "teamId": team, "clusterId": cluster, "name": "Shop" });
            self.done(&self.admin, "createApplication", "application { id }", input).await;
        }
        // Nothing lives in the namespace of this one, which is made when it is first needed.
        self.team(&self.admin, "idle", &[&clusters[0]]).await;
        let second = self.see(&clusters[1], ClusterStatus::Offline).await;
        [self.see(&clusters[0], ClusterStatus::Online).await, second]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_cannot_be_used_is_refused_and_nothing_is_stored() {
    let (bed, url, (username, _)) = with_registry().await;
    let before = bed.enterprise_id().await.1;
    assert_eq!(before["embedded"], true);
    let input = |url: &str| json!({ "enterpriseId": bed.enterprise, "url": url });
    let unreachable = bed.problems(&bed.admin, "configureLibrary", input("http://127.0.0.1:1")).await;
    assert_eq!(unreachable, ["LIBRARY_UNREACHABLE url"]);
    for bad in ["", "ftp://a", "a b", "https://user:pw@a", "http://a/UPPER"] {
        assert_eq!(bed.problems(&bed.admin, "configureLibrary", input(bad)).await, ["INVALID_URL url"], "{bad}");
    }
    assert_eq!(bed.problems(&bed.admin, "configureLibrary", input(&url)).await, ["LIBRARY_UNAUTHORIZED username"]);
    let mut wrong = input(&url);
    wrong["username"] = json!(username);
    assert_eq!(bed.problems(&bed.admin, "configureLibrary", wrong.clone()).await, ["INVALID_CREDENTIALS username"]);
    wrong["password"] = json!("canary-7d");
    let payload = bed.mutate(&bed.admin, "configureLibrary", "library { url }", wrong).await;
    assert_eq!(payload["errors"][0]["code"], "LIBRARY_UNAUTHORIZED");
    assert!(!payload.to_string().contains("canary"));
    let settings = json!({ "enterpriseId": bed.enterprise, "username": "a", "plainHttp": true });
    let problems = bed.problems(&bed.admin, "configureLibrary", settings).await;
    assert_eq!(problems, ["INVALID_INPUT username", "INVALID_INPUT plainHttp"]);
    assert_eq!(bed.enterprise_id().await.1, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_registry_becomes_the_library_and_the_embedded_one_again() {
    let (bed, url, (username, password)) = with_registry().await;
    let input = json!({ "enterpriseId": bed.enterprise, "url": url, "publicUrl": "registry.example.com",
                        "username": username, "password": password });
    let done = bed.done(&bed.admin, "configureLibrary", FIELDS, input).await;
    let library = &done["library"];
    assert_eq!(
        (&library["embedded"], &library["plainHttp"], &library["reachable"]),
        (&json!(false), &json!(true), &json!(true))
    );
    assert_eq!(format!("http://{}/", text(&library["url"])), url);
    assert!(text(&library["publicUrl"]).starts_with("registry.example.com/"));
    assert!(done["operation"].is_null(), "there is no cluster to ask");

    let done = bed.done(&bed.admin, "configureLibrary", FIELDS, json!({ "enterpriseId": bed.enterprise })).await;
    assert_eq!((&done["library"]["embedded"], &done["library"]["reachable"]), (&json!(true), &Json::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_asks_the_registry_and_begins_to_ask_from_the_clusters() {
    let (bed, _, _) = with_registry().await;
    bed.see(&bed.cluster("hangzhou").await, ClusterStatus::Online).await;
    let done = bed.done(&bed.admin, "checkLibrary", FIELDS, json!({ "enterpriseId": bed.enterprise })).await;
    assert_eq!(done["library"]["reachable"], true);
    assert_eq!(done["library"]["reachability"], json!([{ "reachable": null, "cluster": { "name": "hangzhou" } }]));
    assert!(done["operation"]["id"].is_string());

    let closed = Bed::with(|config| config.library.listen = ([127, 0, 0, 1], 1).into()).await;
    let done = closed.done(&closed.admin, "checkLibrary", FIELDS, json!({ "enterpriseId": closed.enterprise })).await;
    assert_eq!(done["library"]["reachable"], false);
    assert!(text(&done["library"]["message"]).contains("127.0.0.1:1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn libraries_are_checked_again_when_they_are_due() {
    let (bed, _, _) = with_registry().await;
    bed.cluster("hangzhou").await;
    let (id, _) = bed.enterprise_id().await;
    crate::service::check_library::check_due(&bed.app).await.unwrap();
    let first = bed.app.library(id).await.unwrap().checked_at.unwrap();
    crate::service::check_library::check_due(&bed.app).await.unwrap();
    assert_eq!(bed.app.library(id).await.unwrap().checked_at, Some(first));
    bed.clock.advance(std::time::Duration::from_secs(u64::from(bed.app.config.library.check_hours) * 3600));
    crate::service::check_library::check_due(&bed.app).await.unwrap();
    assert!(bed.app.library(id).await.unwrap().checked_at.unwrap() > first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_library_keeps_what_nodes_pull_with() {
    let (bed, url, (username, password)) = with_registry().await;
    bed.applications().await;
    bed.done(&bed.admin, "checkLibrary", FIELDS, json!({ "enterpriseId": bed.enterprise })).await;
    let before = bed.library().await;
    let embedded = json!({ "enterpriseId": bed.enterprise });
    bed.done(&bed.admin, "configureLibrary", FIELDS, embedded.clone()).await;
    assert_eq!(bed.library().await, before, "what is known of it still holds");
    assert_eq!(bed.namespaces().await, []);

    let input = json!({ "enterpriseId": bed.enterprise, "url": url, "username": username, "password": password });
    bed.done(&bed.admin, "configureLibrary", FIELDS, input).await;
    bed.done(&bed.admin, "configureLibrary", FIELDS, embedded).await;
    let after = bed.library().await;
    assert!(after.embedded && after.generation == before.generation + 2);
    assert_ne!(after.pull_password, before.pull_password);
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_get_the_access_to_another_library() {
    let (bed, url, (username, password)) = with_registry().await;
    let [hangzhou, guangzhou] = bed.applications().await;
    let input = json!({ "enterpriseId": bed.enterprise, "url": url, "publicUrl": "registry.example.com",
                        "username": username, "password": password });
    bed.done(&bed.admin, "configureLibrary", FIELDS, input).await;
    let begun = bed.namespaces().await;
    assert_eq!(begun.len(), 1, "one cluster answers: {begun:?}");
    let (cluster, namespaces) = &begun[0];
    assert_eq!((*cluster, namespaces.len()), (hangzhou, 1));
    let secret = namespaces[0].pull_secret.as_ref().unwrap();
    assert_eq!((namespaces[0].namespace.as_str(), secret.name.as_str()), ("shops", "ropeway-library"));
    let access = PullAccess::of(&bed.library().await).unwrap();
    assert_eq!((access.registry.as_str(), &access.username), ("registry.example.com", &username));

    // The other one gets it when it is back.
    let mut conn = bed.app.database.write().await.unwrap();
    let row = cluster::find(&mut conn, guangzhou).await.unwrap().unwrap();
    cluster::record(
        &mut conn,
        guangzhou,
        row.generation,
        &Sighting { status: ClusterStatus::Online, message: None, facts: None, at: bed.clock.now() },
    )
    .await
    .unwrap();
    let begun = conn.transaction(async |conn| begin_for_returned(conn, &row, bed.clock.now()).await).await.unwrap();
    drop(conn);
    let kinds: Vec<String> = begun.iter().map(|operation| operation.kind.0.to_string()).collect();
    assert_eq!(kinds, ["OPEN_TEAM", "PROBE"]);
    assert_eq!(bed.namespaces().await[1].0, guangzhou);
    // What failed is begun again, with the access of now.
    let failed = begun.iter().find(|operation| operation.kind.0 == OperationKind::OpenTeam).unwrap();
    bed.seed_end(failed.id, OperationState::Failed).await;
    let again = json!({ "operationId": encode_text(failed.id) });
    let fields = "operation { kind state }";
    let renewed = bed.done(&bed.admin, "retryOperation", fields, again).await;
    assert_eq!(
        (&renewed["operation"]["kind"], &renewed["operation"]["state"]),
        (&json!("OPEN_TEAM"), &json!("QUEUED"))
    );
    assert_eq!(bed.namespaces().await.last().unwrap().0, guangzhou);
    // One that still does not answer is left alone.
    let before = bed.namespaces().await;
    watch_clusters::look(&bed.app, hangzhou).await.unwrap();
    assert_eq!(bed.namespaces().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_of_the_embedded_library_is_checked_at_once() {
    let (bed, _, _) = with_registry().await;
    let [hangzhou, _] = bed.applications().await;
    bed.done(&bed.admin, "checkLibrary", FIELDS, json!({ "enterpriseId": bed.enterprise })).await;
    let before = bed.library().await;
    assert!(before.checked_at.is_some());
    let restart = async |public_url: &str| {
        let mut config = bed.app.config.clone();
        config.library.public_url = Some(public_url.to_owned());
        let app = App::open(config, bed.clock.clone()).await.unwrap();
        refresh_embedded(&app).await.unwrap();
    };
    restart(&format!("http://{}", before.public_url)).await;
    assert_eq!(bed.library().await, before, "the same address");
    restart("https://library.example.com").await;
    let after = bed.library().await;
    assert_eq!((after.checked_at, after.reachable, after.generation), (None, None, before.generation + 1));
    let begun = bed.namespaces().await;
    assert_eq!((begun.len(), begun[0].0), (1, hangzhou));
    assert!(begun[0].1[0].pull_secret.is_some());
    assert_eq!(PullAccess::of(&after).unwrap().registry, "library.example.com");
    assert_eq!(after.pull_password, before.pull_password, "the nodes' password stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_have_no_library_in_a_registry_of_one_process() {
    let (bed, url, (username, password)) = with_registry().await;
    let mut config = bed.app.config.clone();
    config.database.replicated = true;
    let mut replicated = bed;
    replicated.app = App::open(config, replicated.clock.clone()).await.unwrap();
    replicated.schema = crate::graphql::schema(replicated.app.clone());
    let input = json!({ "enterpriseId": replicated.enterprise });
    assert_eq!(replicated.problems(&replicated.admin, "configureLibrary", input).await, ["LIBRARY_NOT_SHARED url"]);
    let created =
        replicated.done(&replicated.admin, "createEnterprise", "enterprise { id }", json!({ "name": "second" })).await;
    let input = json!({ "enterpriseId": created["enterprise"]["id"], "url": url, "username": username,
                        "password": password });
    let problems = replicated.problems(&replicated.admin, "configureLibrary", input).await;
    assert_eq!(problems, Vec::<String>::new(), "another registry is as good");
}

/// A client of the embedded registry.
fn registry(url: &str, username: &str, password: &str) -> (Registry, String) {
    let (host, prefix) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut endpoint = Endpoint::new(host).with_credentials(username, password);
    endpoint.plain_http = true;
    (Registry::new(endpoint, Limits { attempts: 1, ..Limits::default() }).unwrap(), prefix.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_registry_is_for_those_whom_it_concerns() {
    let (bed, url, (username, password)) = with_registry().await;
    let (server, prefix) = registry(&url, &username, &password);
    let (repository, digest) = push_probe_image(&server, &prefix).await.unwrap();
    let exists = async |registry: &Registry| registry.head_manifest(&repository, &digest).await.unwrap_or(false);
    assert!(exists(&server).await);

    let library = bed.library().await;
    let id: EnterpriseId = library.enterprise_id;
    let mut conn = bed.app.database.read().await.unwrap();
    let pull = bed.app.unseal(&mut conn, id, library.pull_password.unwrap().0).await.unwrap();
    drop(conn);
    let other = format!("{}b/", &prefix[..prefix.len() - 2]);
    let (nodes, _) = registry(&url, library.pull_username.as_deref().unwrap(), pull.expose());
    assert!(exists(&nodes).await);
    assert!(push_probe_image(&nodes, &format!("{prefix}new/")).await.is_err(), "nodes do not push");
    assert!(push_probe_image(&server, &other).await.is_err(), "that is another enterprise's");

    let (admin, _) = registry(&url, &bed.admin.name, &bed.admin.token);
    assert!(exists(&admin).await);
    push_probe_image(&admin, &format!("{prefix}by-hand/")).await.unwrap();
    assert!(push_probe_image(&admin, &other).await.is_err());
    let member = bed.member("jana").await;
    let (member, _) = registry(&url, &member.name, &member.token);
    assert!(!exists(&member).await, "a member sees the library through the API");
    for (name, password) in [(username.as_str(), pull.expose()), ("admin", "nonsense"), ("", "")] {
        assert!(!exists(&registry(&url, name, password).0).await, "{name}");
    }
}
