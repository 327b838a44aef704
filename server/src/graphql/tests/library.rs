//! Configuring and checking the library.

use super::bed::{Bed, text};
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
    async fn enterprise_id(&self) -> (crate::id::EnterpriseId, Json) {
        let id = async_graphql::ID(self.enterprise.clone());
        let library = "query($id: ID!) { enterprise(id: $id) { library { url embedded reachable } } }";
        let seen = self.data(&self.admin, library, json!({ "id": self.enterprise })).await;
        (crate::graphql::id::decode(&id, "id").unwrap(), seen["enterprise"]["library"].clone())
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
    bed.cluster("hangzhou").await;
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
