//! Templates: who sees, makes, changes and deletes them.

use super::{
    bed::{Bed, Person, text, unknown},
    seed::id_of,
};
use crate::{error::Error, service::execute::check_published, store::version};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ropeway_domain::VersionNumber;
use serde_json::{Value as Json, json};

const FIND: &str = "query($id: ID!) { template(id: $id) { id name scope categories description logo team { slug }
                    latest { number } versions(first: 5) { totalCount nodes { number } } } }";

const LIST: &str = "query($id: ID!, $search: String, $category: String, $scope: TemplateScope) { enterprise(id: $id) {
                    templateCategories
                    templates(first: 10, search: $search, category: $category, scope: $scope) { totalCount nodes { name } } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_deleted_meanwhile_is_gone_to_by_nobody() {
    let people = People::new().await;
    let template = people.create("Shop", "TEAM", json!({})).await;
    let version = people.bed.seed_version(id_of(&template), "1").await;
    let mut conn = people.bed.app.database.write().await.unwrap();
    check_published(&mut conn, version).await.unwrap();
    let number: VersionNumber = "1".parse().unwrap();
    version::hide(&mut conn, id_of(&template), number.sort_key()).await.unwrap();
    assert!(matches!(check_published(&mut conn, version).await, Err(Error::Conflict(_))));
}

struct People {
    bed: Bed,
    owner: Person,
    viewer: Person,
    outsider: Person,
    team: String,
}

impl People {
    async fn new() -> Self {
        let bed = Bed::new().await;
        let [owner, viewer, outsider] =
            [bed.member("owner").await, bed.member("viewer").await, bed.member("outsider").await];
        let team = bed.team(&owner, "shops", &[]).await;
        let input = json!({ "teamId": team, "userName": "viewer", "role": "VIEWER" });
        bed.done(&owner, "setTeamMember", "team { id }", input).await;
        Self { bed, owner, viewer, outsider, team }
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers write literals")]
    fn input(&self, name: &str, scope: &str, more: Json) -> Json {
        let mut input =
            json!({ "enterpriseId": self.bed.enterprise, "teamId": self.team, "name": name, "scope": scope });
        for (key, value) in more.as_object().unwrap() {
            input[key] = value.clone();
        }
        input
    }

    async fn create(&self, name: &str, scope: &str, more: Json) -> String {
        let made = self.bed.done(&self.owner, "createTemplate", "template { id }", self.input(name, scope, more)).await;
        text(&made["template"]["id"])
    }

    async fn names(&self, person: &Person, filter: Json) -> Json {
        let mut variables = json!({ "id": self.bed.enterprise });
        for (key, value) in filter.as_object().unwrap() {
            variables[key] = value.clone();
        }
        let found = self.bed.data(person, LIST, variables).await;
        let names: Vec<Json> = found["enterprise"]["templates"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].clone())
            .collect();
        assert_eq!(found["enterprise"]["templates"]["totalCount"], json!(names.len()));
        Json::Array(names)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_of_a_team_exists_for_that_team_and_for_administrators() {
    let p = People::new().await;
    let of_team = p.create("secret shop", "TEAM", json!({ "categories": ["retail", "amd64"] })).await;
    let of_all = p.create("open shop", "ENTERPRISE", json!({ "categories": ["retail"] })).await;
    for person in [&p.owner, &p.viewer, &p.bed.admin] {
        let found = p.bed.data(person, FIND, json!({ "id": of_team })).await;
        assert_eq!(found["template"]["team"]["slug"], "shops");
        assert_eq!(p.names(person, json!({})).await, json!(["open shop", "secret shop"]));
    }
    assert_eq!(p.bed.refusal(Some(&p.outsider), FIND, json!({ "id": of_team })).await, "NOT_FOUND");
    let node = "query($id: ID!) { node(id: $id) { id } }";
    assert_eq!(p.bed.refusal(Some(&p.outsider), node, json!({ "id": of_team })).await, "NOT_FOUND");
    assert_eq!(p.names(&p.outsider, json!({})).await, json!(["open shop"]));
    let seen = p.bed.data(&p.outsider, LIST, json!({ "id": p.bed.enterprise })).await;
    assert_eq!(seen["enterprise"]["templateCategories"], json!(["retail"]), "categories of what is not seen are not");
    p.bed.data(&p.outsider, FIND, json!({ "id": of_all })).await;

    assert_eq!(p.names(&p.owner, json!({ "search": "secret" })).await, json!(["secret shop"]));
    assert_eq!(p.names(&p.owner, json!({ "category": "amd64" })).await, json!(["secret shop"]));
    assert_eq!(p.names(&p.owner, json!({ "scope": "ENTERPRISE" })).await, json!(["open shop"]));

    for (person, mutation, refusal) in [
        (&p.outsider, "updateTemplate", "NOT_FOUND"),
        (&p.outsider, "deleteTemplate", "NOT_FOUND"),
        (&p.viewer, "updateTemplate", "FORBIDDEN"),
        (&p.viewer, "deleteTemplate", "FORBIDDEN"),
        (&p.bed.admin, "updateTemplate", "FORBIDDEN"),
    ] {
        let document = super::bed::document(mutation, "");
        let input = json!({ "input": { "templateId": of_team } });
        assert_eq!(p.bed.refusal(Some(person), &document, input).await, refusal, "{mutation} by {}", person.name);
    }
    let document = super::bed::document("updateTemplate", "");
    let input = json!({ "input": { "templateId": of_all, "name": "mine" } });
    assert_eq!(p.bed.refusal(Some(&p.outsider), &document, input).await, "FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread")]
async fn making_a_template_asks_for_a_role_and_tells_all_that_is_wrong() {
    let p = People::new().await;
    let document = super::bed::document("createTemplate", "");
    for (person, refusal) in [(&p.viewer, "FORBIDDEN"), (&p.outsider, "NOT_FOUND")] {
        let input = json!({ "input": p.input("shop", "TEAM", json!({})) });
        assert_eq!(p.bed.refusal(Some(person), &document, input).await, refusal);
    }
    let without_team = json!({ "enterpriseId": p.bed.enterprise, "name": "shop", "scope": "ENTERPRISE" });
    let input = json!({ "input": without_team.clone() });
    assert_eq!(p.bed.refusal(Some(&p.owner), &document, input).await, "FORBIDDEN", "that is for administrators");
    p.bed.done(&p.bed.admin, "createTemplate", "template { id }", without_team).await;

    let logo = format!("data:image/png;base64,{}", STANDARD.encode("no image"));
    let wrong = json!({
        "categories": ["x".repeat(41)], "description": "x".repeat((10 << 10) + 1), "logo": logo,
    });
    let problems = p.bed.problems(&p.owner, "createTemplate", p.input("", "TEAM", wrong)).await;
    let expected = ["INVALID_NAME name", "TOO_LONG description", "INVALID categories", "INVALID_LOGO logo"];
    assert_eq!(problems, expected);
    let lonely = json!({ "enterpriseId": p.bed.enterprise, "name": "shop", "scope": "TEAM" });
    assert_eq!(p.bed.problems(&p.owner, "createTemplate", lonely).await, ["REQUIRED teamId"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_changed_and_deleted_and_the_log_says_so() {
    let p = People::new().await;
    let png = STANDARD.encode(b"\x89PNG\r\n\x1a\n pixels");
    let logo = format!("data:image/png;base64,{png}");
    let id = p.create("shop", "TEAM", json!({ "logo": logo, "categories": [" b", "a", "a"] })).await;
    let found = p.bed.data(&p.owner, FIND, json!({ "id": id })).await;
    assert_eq!(found["template"]["logo"], json!(logo));
    assert_eq!(found["template"]["categories"], json!(["a", "b"]));
    assert_eq!(found["template"]["versions"], json!({ "totalCount": 0, "nodes": [] }));
    assert_eq!(found["template"]["latest"], Json::Null);

    let change = json!({ "templateId": id, "name": "store", "scope": "ENTERPRISE", "categories": ["c"], "logo": "" });
    p.bed.done(&p.owner, "updateTemplate", "template { id }", change).await;
    let found = p.bed.data(&p.outsider, FIND, json!({ "id": id })).await;
    assert_eq!(found["template"]["name"], "store");
    assert_eq!(found["template"]["categories"], json!(["c"]));
    assert_eq!((&found["template"]["logo"], &found["template"]["description"]), (&Json::Null, &json!("")));

    p.bed.done(&p.owner, "deleteTemplate", "templateId", json!({ "templateId": id })).await;
    assert_eq!(p.bed.refusal(Some(&p.owner), FIND, json!({ "id": id })).await, "NOT_FOUND");
    let again = json!({ "input": { "templateId": id } });
    let document = super::bed::document("deleteTemplate", "");
    assert_eq!(p.bed.refusal(Some(&p.owner), &document, again).await, "NOT_FOUND");
    let missing = json!({ "id": unknown("TemplateVersion") });
    let version = "query($id: ID!) { templateVersion(id: $id) { number } }";
    assert_eq!(p.bed.refusal(Some(&p.owner), version, missing).await, "NOT_FOUND");

    let log = "query($id: ID!) { enterprise(id: $id) { auditLog(first: 20) { nodes { action actor result } } } }";
    let log = p.bed.data(&p.bed.admin, log, json!({ "id": p.bed.enterprise })).await;
    let entries = log["enterprise"]["auditLog"]["nodes"].as_array().unwrap();
    for (action, result) in [("createTemplate", "OK"), ("updateTemplate", "OK"), ("deleteTemplate", "OK")] {
        let entry = json!({ "action": action, "actor": "owner", "result": result });
        assert!(entries.contains(&entry), "{entry} of {entries:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_of_the_enterprise_shows_its_team_to_that_team_alone() {
    let p = People::new().await;
    let of_all = p.create("open shop", "ENTERPRISE", json!({})).await;
    let query = "query($id: ID!) { template(id: $id) { name team { slug applications { nodes { name } }
                 members { nodes { role } } openings { namespace } } } }";
    for person in [&p.owner, &p.viewer, &p.bed.admin] {
        let found = p.bed.data(person, query, json!({ "id": of_all })).await;
        assert_eq!(found["template"]["team"]["slug"], "shops", "{}", person.name);
    }
    let found = p.bed.data(&p.outsider, query, json!({ "id": of_all })).await;
    assert_eq!(found["template"], json!({ "name": "open shop", "team": null }));

    // Who has it installed sees it through the installation, and no more of its team.
    let cluster = p.bed.cluster("hangzhou").await;
    let team = p.bed.team(&p.outsider, "others", &[&cluster]).await;
    let input = json!({ "teamId": team, "clusterId": cluster, "name": "Mine" });
    let made = p.bed.done(&p.outsider, "createApplication", "application { id }", input).await;
    let application = text(&made["application"]["id"]);
    let version = p.bed.seed_version(id_of(&of_all), "1.0").await;
    p.bed.seed_installation(id_of(&application), id_of(&of_all), version).await;
    let query = "query($id: ID!) { application(id: $id) { team { slug }
                 installations { nodes { team { slug } template { name team { slug } } } } } }";
    let found = p.bed.data(&p.outsider, query, json!({ "id": application })).await;
    let template = json!({ "name": "open shop", "team": null });
    let mine = json!({ "slug": "others" });
    let installations = json!({ "nodes": [{ "team": mine, "template": template }] });
    assert_eq!(found["application"], json!({ "team": mine, "installations": installations }));
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_do_not_matter_to_a_search() {
    let p = People::new().await;
    p.create("Open SHOP", "ENTERPRISE", json!({})).await;
    for search in ["open shop", "OPEN", "Shop"] {
        assert_eq!(p.names(&p.owner, json!({ "search": search })).await, json!(["Open SHOP"]), "{search}");
    }
    let query = "query($id: ID!) { enterprise(id: $id) { teams(search: \"SHOPS\") { nodes { slug } } } }";
    let found = p.bed.data(&p.owner, query, json!({ "id": p.bed.enterprise })).await;
    assert_eq!(found["enterprise"]["teams"]["nodes"], json!([{ "slug": "shops" }]));
}

// On one thread, so that what is gathered does not depend on how busy the machine is.
#[tokio::test]
async fn a_page_of_templates_costs_the_same_however_long_it_is() {
    let p = People::new().await;
    let query = "query($id: ID!) { enterprise(id: $id) { templates(first: 50) { totalCount nodes { name categories
             team { slug } latest { number architectures }
             versions(first: 3) { totalCount nodes { number template { name } components { name } asks { name }
             images { reference } } } } } } }";
    let mut costs = Vec::new();
    for more in [2, 18] {
        for number in 0..more {
            let id = p.create(&format!("shop {more} {number}"), "ENTERPRISE", json!({ "categories": ["a"] })).await;
            for version in ["1.0", "2.0", "2.1", "3.0"] {
                p.bed.seed_version(id_of(&id), version).await;
            }
        }
        let look = async || p.bed.data(&p.owner, query, json!({ "id": p.bed.enterprise })).await;
        costs.push(p.bed.cost(&look).await);
        let found = look().await;
        for template in found["enterprise"]["templates"]["nodes"].as_array().unwrap() {
            assert_eq!(template["versions"]["totalCount"], 4);
            let numbers: Vec<_> =
                template["versions"]["nodes"].as_array().unwrap().iter().map(|one| text(&one["number"])).collect();
            assert_eq!(numbers, ["3.0", "2.1", "2.0"]);
        }
    }
    assert_eq!(costs[0], costs[1], "queries for 2 and for 20 templates");
}
