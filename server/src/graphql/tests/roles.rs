//! Who may do and see what: everything that the schema has, asked by every kind of person.

mod rule;
mod world;

use super::bed::{Bed, PASSWORD, document, text, unknown};
use crate::{
    graphql::id::encode_text,
    on,
    store::{Conn, audit::AuditEntry, schema::audit_entries},
};
use diesel::{pg::Pg, prelude::*, sql_types::Text, sqlite::Sqlite};
use diesel_async::RunQueryDsl;
use rule::{Answer, Rule, expected};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use world::{Who, World};

/// A mutation with an input that fails after the role was checked, or changes nothing that stays.
struct Row {
    mutation: &'static str,
    case: &'static str,
    rule: Rule,
    input: fn(&World, Who) -> Json,
}

/// What the audit log has of a mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trace {
    /// Nothing: nobody knows yet who it is.
    None,
    /// An entry that belongs to no enterprise, or to those of whoever asked.
    Elsewhere,
    /// An entry of the enterprise.
    Here,
}

fn row(mutation: &'static str, case: &'static str, rule: Rule, input: fn(&World, Who) -> Json) -> Row {
    Row { mutation, case, rule, input }
}

fn rows() -> Vec<Row> {
    vec![
        row(
            "signIn",
            "wrong password",
            Rule::Anybody,
            |w, who| json!({ "name": w.person(who).map_or("nobody", |person| &person.name), "password": "wrong" }),
        ),
        row("signOut", "another session", Rule::SignedIn, |_, _| Json::Null),
        row("changePassword", "wrong password", Rule::SignedIn, |_, _| json!({ "current": "wrong", "new": PASSWORD })),
        row("createUser", "", Rule::Administrators, |w, _| json!({ "enterpriseId": w.bed.enterprise, "name": "!" })),
        row("createEnterprise", "", Rule::AdministratorOfAny, |_, _| json!({ "name": "" })),
        row(
            "setMember",
            "",
            Rule::Administrators,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "userName": "nobody", "role": "MEMBER" }),
        ),
        row(
            "removeMember",
            "another one",
            Rule::Administrators,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "userId": w.bed.admin.id }),
        ),
        row(
            "registerCluster",
            "",
            Rule::Administrators,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "name": "", "driver": "none" }),
        ),
        row("updateCluster", "", Rule::Administrators, |w, _| json!({ "clusterId": w.cluster, "displayName": "" })),
        row("removeCluster", "in use", Rule::Administrators, |w, _| json!({ "clusterId": w.cluster })),
        row(
            "configureLibrary",
            "",
            Rule::Administrators,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "url": "" }),
        ),
        row(
            "checkLibrary",
            "",
            Rule::Administrators,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "clusterIds": [unknown("Cluster")] }),
        ),
        row(
            "createTeam",
            "",
            Rule::Members,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "name": "", "slug": "", "clusterIds": [] }),
        ),
        row(
            "openTeamOnCluster",
            "open already",
            Rule::Owners,
            |w, _| json!({ "teamId": w.team, "clusterId": w.cluster }),
        ),
        row(
            "setTeamMember",
            "",
            Rule::Owners,
            |w, _| json!({ "teamId": w.team, "userName": "nobody", "role": "VIEWER" }),
        ),
        row(
            "removeTeamMember",
            "the last owner",
            Rule::Owners,
            |w, _| json!({ "teamId": w.team, "userId": w.person(Who::Owner).unwrap().id }),
        ),
        row("deleteTeam", "in use", Rule::Owners, |w, _| json!({ "teamId": w.team })),
        row(
            "createApplication",
            "slug in use",
            Rule::Developers,
            |w, _| json!({ "teamId": w.team, "clusterId": w.cluster, "name": "Shop" }),
        ),
        row("deleteApplication", "busy", Rule::Developers, |w, _| json!({ "applicationId": w.application })),
        row(
            "addComponent",
            "busy",
            Rule::Developers,
            |w, _| json!({ "applicationId": w.application, "name": "api", "image": "nginx" }),
        ),
        row("updateComponent", "busy", Rule::Developers, |w, _| json!({ "componentId": w.component, "name": "api" })),
        row("removeComponent", "busy", Rule::Developers, |w, _| json!({ "componentId": w.component })),
        row("setKubernetesResource", "busy", Rule::Developers, |w, _| {
            let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "more" } });
            json!({ "applicationId": w.application, "manifest": manifest })
        }),
        row("removeKubernetesResource", "busy", Rule::Developers, |w, _| json!({ "kubernetesResourceId": w.resource })),
        row("cancelOperation", "of a team", Rule::Developers, |w, _| json!({ "operationId": w.finished })),
        row("cancelOperation", "of the platform", Rule::AdministratorsSee, |w, _| json!({ "operationId": w.probe })),
        row("retryOperation", "of a team", Rule::Developers, |w, _| json!({ "operationId": w.finished })),
        row("retryOperation", "of the platform", Rule::AdministratorsSee, |w, _| json!({ "operationId": w.probe })),
        row("deployApplication", "", Rule::Developers, |w, _| json!({ "applicationId": w.application })),
        row(
            "createTemplate",
            "of a team",
            Rule::Developers,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "teamId": w.team, "name": "", "scope": "TEAM" }),
        ),
        row(
            "createTemplate",
            "of no team",
            Rule::Administrators,
            |w, _| json!({ "enterpriseId": w.bed.enterprise, "name": "", "scope": "ENTERPRISE" }),
        ),
        row("updateTemplate", "", Rule::Developers, |w, _| json!({ "templateId": w.template, "name": "" })),
        row("deleteTemplate", "in use", Rule::Developers, |w, _| json!({ "templateId": w.template })),
        row("deleteVersion", "unused", Rule::Developers, |w, who| json!({ "versionId": w.spare(who) })),
        row(
            "submitPublication",
            "",
            Rule::Developers,
            |w, _| json!({ "applicationId": w.application, "templateId": w.template, "number": "" }),
        ),
        row(
            "submitPublication",
            "to a template of no team",
            Rule::AdministratingDevelopers,
            |w, _| json!({ "applicationId": w.application, "templateId": w.administrators_template, "number": "" }),
        ),
        row(
            "confirmPublication",
            "to a template of no team",
            Rule::AdministratingDevelopers,
            |w, who| json!({ "publicationId": w.to_administrators(who) }),
        ),
        row("retryPublication", "published", Rule::Author, |w, who| json!({ "publicationId": w.published(who) })),
        row("retryPublication", "under way", Rule::AuthorAlone, |w, _| json!({ "publicationId": w.draft })),
        row("confirmPublication", "published", Rule::Author, |w, who| json!({ "publicationId": w.published(who) })),
        row("confirmPublication", "under way", Rule::AuthorAlone, |w, _| json!({ "publicationId": w.draft })),
        row("abandonPublication", "published", Rule::Author, |w, who| json!({ "publicationId": w.published(who) })),
        row(
            "installTemplate",
            "of a team",
            Rule::Developers,
            |w, _| json!({ "versionId": w.version, "clusterId": w.cluster, "teamId": w.team }),
        ),
        row("installTemplate", "for a new team", Rule::Members, |w, _| {
            let team = json!({ "name": "", "slug": "" });
            json!({ "versionId": w.open_version, "clusterId": w.cluster, "newTeam": team })
        }),
        row(
            "upgradeInstallation",
            "",
            Rule::Developers,
            |w, _| json!({ "installationId": w.installation, "versionId": w.newer }),
        ),
        row("uninstall", "", Rule::Developers, |w, _| json!({ "installationId": w.installation })),
        row("rollBackUpgrade", "", Rule::Developers, |w, _| json!({ "recordId": w.record })),
        row("retryUpgrade", "", Rule::Developers, |w, _| json!({ "recordId": w.record })),
    ]
}

fn trace(mutation: &str) -> Trace {
    match mutation {
        "signIn" => Trace::None,
        "signOut" | "changePassword" | "createEnterprise" => Trace::Elsewhere,
        _ => Trace::Here,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutation_asks_for_its_role_and_leaves_its_trace() {
    let world = World::new().await;
    let rows = rows();
    let known: BTreeSet<String> = rows.iter().map(|row| row.mutation.to_owned()).collect();
    let all = fields(&world.bed, "Mutation").await.into_iter().map(|field| text(&field["name"])).collect();
    assert_eq!(known, all, "every mutation has a row, and every row a mutation");

    let before = counts(&world.bed).await;
    let mut wrong = Vec::new();
    for Row { mutation, case, rule, input } in &rows {
        for who in Who::ALL {
            let person = if *mutation == "signOut" { world.second(who) } else { world.person(who) };
            let name = person.map(|person| person.name.clone()).unwrap_or_default();
            let told = trail(&world.bed, &name, mutation).await.len();
            let answer = match input(&world, who) {
                Json::Null => {
                    world
                        .bed
                        .ask(person, &format!("mutation {{ {mutation} {{ errors {{ code }} }} }}"), json!({}))
                        .await
                }
                input => world.bed.ask(person, &document(mutation, ""), json!({ "input": input })).await,
            };
            let (found, expected) = (answer_of(&answer), expected(*rule, who));
            if found != expected {
                wrong.push(format!("{mutation} ({case}) by {who:?}: {found:?} instead of {expected:?}: {answer}"));
            }
            if matches!(who, Who::Nobody | Who::OneTime) || trace(mutation) == Trace::None {
                continue;
            }
            let trail = trail(&world.bed, &name, mutation).await;
            let is_here = |entry: &AuditEntry| {
                trace(mutation) == Trace::Elsewhere
                    || entry.enterprise_id.map(encode_text) == Some(world.bed.enterprise.clone())
            };
            match trail.last().filter(|_| trail.len() > told) {
                Some(entry) if entry.allowed == (expected == Answer::Allowed) && is_here(entry) => {}
                entry => wrong.push(format!("{mutation} ({case}) by {who:?} is not in the log as it was: {entry:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    let mut after = counts(&world.bed).await;
    // Those two who may have deleted a version each.
    *after.get_mut("versions").unwrap() += 2;
    assert_eq!(before, after, "nothing else has changed");
    for entry in all_entries(&world.bed).await {
        assert!(!format!("{entry:?}").contains(PASSWORD), "a password in the log");
    }
}

/// The global id of something, which may be somebody's own.
type Id = fn(&World, Who) -> String;

/// An input that names things of the world.
type Input = fn(&World) -> Json;

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_seen_does_not_exist() {
    let world = World::new().await;
    let mine = |w: &World, who: Who| w.person(who).map_or_else(|| unknown("Viewer"), |person| viewer(&person.id));
    let nodes: Vec<(&str, Rule, Id)> = vec![
        ("Viewer", Rule::SignedIn, mine),
        ("User", Rule::Members, |w, _| w.person(Who::Owner).unwrap().id.clone()),
        ("Enterprise", Rule::Members, |w, _| w.bed.enterprise.clone()),
        ("Team", Rule::TeamSees, |w, _| w.team.clone()),
        ("Cluster", Rule::Members, |w, _| w.cluster.clone()),
        ("Driver", Rule::AdministratorOfAnySees, |w, _| w.driver.clone()),
        ("AuditEntry", Rule::AdministratorsSee, |w, _| w.audit.clone()),
        ("Application", Rule::TeamSees, |w, _| w.application.clone()),
        ("Component", Rule::TeamSees, |w, _| w.component.clone()),
        ("KubernetesResource", Rule::TeamSees, |w, _| w.resource.clone()),
        ("Operation", Rule::TeamSees, |w, _| w.finished.clone()),
        ("Operation", Rule::AdministratorsSee, |w, _| w.probe.clone()),
        ("AppTemplate", Rule::TeamSees, |w, _| w.template.clone()),
        ("TemplateVersion", Rule::TeamSees, |w, _| w.version.clone()),
        ("TemplateVersion", Rule::Members, |w, _| w.open_version.clone()),
        ("Installation", Rule::TeamSees, |w, _| w.installation.clone()),
        ("UpgradeRecord", Rule::TeamSees, |w, _| w.record.clone()),
        ("Publication", Rule::TeamSees, |w, who| w.published(who).to_owned()),
        ("Publication", Rule::AuthorAlone, |w, _| w.draft.clone()),
    ];
    let query = "{ __type(name: \"Node\") { possibleTypes { name } } }";
    let possible = world.bed.data(&world.bed.admin, query, json!({})).await;
    let possible: BTreeSet<String> =
        possible["__type"]["possibleTypes"].as_array().unwrap().iter().map(|kind| text(&kind["name"])).collect();
    let known: BTreeSet<String> = nodes.iter().map(|(kind, ..)| (*kind).to_owned()).collect();
    assert_eq!(known, possible, "every type that implements Node has a row");

    let mut wrong = Vec::new();
    for field in fields(&world.bed, "Query").await {
        let Some(argument) = argument(&field) else { continue };
        let name = text(&field["name"]);
        let kind = text(field["type"]["ofType"].get("name").unwrap_or(&field["type"]["name"]));
        for who in Who::ALL {
            if let Some((rule, input)) = plan(&name) {
                let query = format!("query($input: {argument}!) {{ {name}(input: $input) {{ digest }} }}");
                let answer = world.bed.ask(world.person(who), &query, json!({ "input": input(&world) })).await;
                if answer_of(&answer) != expected(rule, who) {
                    wrong.push(format!("{name} by {who:?}: {answer}"));
                }
                continue;
            }
            assert_eq!(argument, "ID", "{name} has a row in `plan`");
            let mut asked = 0;
            for (of, rule, id) in nodes.iter().filter(|(of, ..)| name == "node" || *of == kind) {
                asked += 1;
                let id = id(&world, who);
                let query = format!("query($id: ID!) {{ {name}(id: $id) {{ __typename id }} }}");
                let answer = world.bed.ask(world.person(who), &query, json!({ "id": id })).await;
                let (found, expected) = (answer_of(&answer), expected(*rule, who));
                let shown = json!({ "__typename": of, "id": id });
                if found != expected || (answer["data"][&name] == shown) != (expected == Answer::Allowed) {
                    wrong.push(format!("{name} of {of} by {who:?}: {answer} instead of {expected:?}"));
                }
            }
            assert!(asked > 0, "no row for {name}, which is a {kind}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for id in ["", "x", &unknown("Cluster"), &unknown("Nothing")] {
        let query = "query($id: ID!) { node(id: $id) { id } }";
        assert_eq!(world.bed.refusal(Some(&world.bed.admin), query, json!({ "id": id })).await, "NOT_FOUND");
    }
}

/// Who may ask for which plan, and an input of it.
fn plan(query: &str) -> Option<(Rule, Input)> {
    match query {
        "planDeployment" => Some((Rule::TeamSees, |w| json!({ "applicationId": w.application }))),
        "planPublication" => Some((
            Rule::Developers,
            |w| json!({ "applicationId": w.application, "templateId": w.template, "number": "" }),
        )),
        "planInstallation" => {
            Some((Rule::Developers, |w| json!({ "versionId": w.version, "clusterId": w.cluster, "teamId": w.team })))
        }
        "planUpgrade" => Some((Rule::TeamSees, |w| json!({ "installationId": w.installation, "versionId": w.newer }))),
        "planUninstall" => Some((Rule::TeamSees, |w| json!({ "installationId": w.installation }))),
        "planRollback" => Some((Rule::TeamSees, |w| json!({ "recordId": w.record }))),
        _ => None,
    }
}

/// The fields of a type, as the schema says.
async fn fields(bed: &Bed, of: &str) -> Vec<Json> {
    let query = "query($of: String!) { __type(name: $of) { fields { name type { name ofType { name } }
                 args { name type { name ofType { name } } } } } }";
    let mut found = bed.data(&bed.admin, query, json!({ "of": of })).await;
    found["__type"]["fields"].as_array_mut().unwrap().drain(..).collect()
}

/// The type of the argument that says what is asked for; none of a field that has none.
fn argument(field: &Json) -> Option<String> {
    let all = field["args"].as_array().unwrap();
    let argument = all.iter().find(|argument| argument["name"] == "id" || argument["name"] == "input")?;
    Some(text(&argument["type"]["ofType"]["name"]))
}

fn answer_of(answer: &Json) -> Answer {
    Answer::of(answer["errors"][0]["extensions"]["code"].as_str())
}

/// The global id under which a person is their own viewer.
fn viewer(user: &str) -> String {
    let user: crate::id::UserId = super::seed::id_of(user);
    encode_text(crate::id::ViewerId::new(user.0))
}

/// What the log has of a person and a mutation, oldest first.
async fn trail(bed: &Bed, actor: &str, action: &str) -> Vec<AuditEntry> {
    let mut entries = all_entries(bed).await;
    entries.retain(|entry| entry.actor == actor && entry.action == action);
    entries
}

async fn all_entries(bed: &Bed) -> Vec<AuditEntry> {
    let mut conn = bed.app.database.read().await.unwrap();
    on!(&mut conn, |c| audit_entries::table
        .order((audit_entries::at, audit_entries::id))
        .select(AuditEntry::as_select())
        .load(c)
        .await)
    .unwrap()
}

#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg, Sqlite))]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
#[diesel(check_for_backend(Pg, Sqlite))]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    rows: i64,
}

/// How many rows each table has, but for sessions and the audit log.
async fn counts(bed: &Bed) -> BTreeMap<String, i64> {
    let mut conn = bed.app.database.read().await.unwrap();
    let tables = match &conn {
        Conn::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Conn::Postgres(_) => "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public'",
    };
    let tables: Vec<Table> = on!(&mut conn, |c| diesel::sql_query(tables).load(c).await).unwrap();
    let mut counts = BTreeMap::new();
    for Table { name } in tables {
        if matches!(name.as_str(), "sessions" | "audit_entries") {
            continue;
        }
        let count = format!("SELECT count(*) AS rows FROM \"{name}\"");
        let found: Count = on!(&mut conn, |c| diesel::sql_query(count).get_result(c).await).unwrap();
        counts.insert(name, found.rows);
    }
    assert!(counts.len() > 20, "{counts:?}");
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_one_may_see() {
    let bed = Bed::new().await;
    let cluster = bed.cluster("hangzhou").await;
    let closed = bed.cluster("closed").await;
    bed.done(
        &bed.admin,
        "updateCluster",
        "cluster { acceptsTeams }",
        json!({ "clusterId": closed, "acceptsTeams": false }),
    )
    .await;
    let owner = bed.member("owner").await;
    let member = bed.member("member").await;
    bed.team(&owner, "shop", &[&cluster]).await;
    let query = "query($id: ID!) { enterprise(id: $id) { clusters { nodes { name status config statusMessage
                 kubernetesVersion driver { name } } totalCount } teams { nodes { slug } totalCount }
                 members { totalCount } library { url } auditLog { totalCount } } }";
    let seen = bed.data(&member, query, json!({ "id": bed.enterprise })).await["enterprise"].take();
    let shown = json!({ "name": "hangzhou", "status": "OFFLINE", "config": null, "statusMessage": null,
                        "kubernetesVersion": null, "driver": null });
    assert_eq!(seen["clusters"], json!({ "nodes": [shown], "totalCount": 1 }));
    assert_eq!(seen["teams"], json!({ "nodes": [], "totalCount": 0 }));
    assert!(seen["members"].is_null() && seen["library"].is_null() && seen["auditLog"].is_null());
    let seen = bed.data(&bed.admin, query, json!({ "id": bed.enterprise })).await["enterprise"].take();
    assert_eq!(seen["clusters"]["totalCount"], 2);
    assert!(seen["clusters"]["nodes"][0]["statusMessage"].is_string());
    assert_eq!(seen["clusters"]["nodes"][0]["driver"]["name"], "kubernetes");
    assert_eq!(seen["teams"], json!({ "nodes": [{ "slug": "shop" }], "totalCount": 1 }));
    assert_eq!(seen["members"]["totalCount"], 3);
}
