//! A process on an empty database, and people who ask.

use crate::{
    app::App,
    clock::{self, Clock},
    config::Config,
    graphql::{ApiSchema, on_behalf_of, schema},
    service::{
        authenticate::{TOKEN_LENGTH, authenticate, token_hash},
        configure_library::refresh_embedded,
        first_start::first_start,
        register_drivers::register_drivers,
    },
    store::{
        Instant,
        user::{self, Session},
    },
    test_database::TestDatabase,
};
use async_graphql::{Request, Response, Variables};
use futures::stream::BoxStream;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// A password that must be found nowhere.
pub(super) const PASSWORD: &str = "canary-0f7c password";

pub(super) struct Bed {
    pub(super) app: App,
    pub(super) schema: ApiSchema,
    pub(super) clock: Clock,
    /// The first administrator, who has changed their password.
    pub(super) admin: Person,
    /// The global id of the first enterprise.
    pub(super) enterprise: String,
    _folder: TempDir,
    _database: TestDatabase,
}

#[derive(Clone)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) token: String,
}

impl Bed {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(super) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        crate::process::install_tls();
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::chosen().await;
        let mut config = Config::default();
        config.data.folder = folder.path().to_owned();
        config.database.url = Some(database.url().to_owned());
        configure(&mut config);
        let clock = Clock::default();
        let app = App::open(config, clock.clone()).await.unwrap();
        app.database.migrate().await.unwrap();
        register_drivers(&app).await.unwrap();
        let first = first_start(&app, "acme").await.unwrap().unwrap();
        refresh_embedded(&app).await.unwrap();
        assert!(first_start(&app, "acme").await.unwrap().is_none(), "the first start is one");
        let schema = schema(app.clone());
        let nobody = Person { name: String::new(), id: String::new(), token: String::new() };
        let mut bed =
            Self { app, schema, clock, admin: nobody, enterprise: String::new(), _folder: folder, _database: database };
        bed.admin = bed.begin(&first.name, first.one_time_password.expose()).await;
        let found = bed.data(&bed.admin, "{ enterprises { nodes { id name } } }", json!({})).await;
        assert_eq!(found["enterprises"]["nodes"][0]["name"], "acme");
        bed.enterprise = text(&found["enterprises"]["nodes"][0]["id"]);
        bed
    }

    /// The whole answer to somebody, or to nobody.
    pub(super) async fn ask(&self, person: Option<&Person>, query: &str, variables: Json) -> Json {
        let actor = match person {
            Some(person) => authenticate(&self.app, &person.token).await.unwrap(),
            None => None,
        };
        let request = Request::new(query).variables(Variables::from_json(variables));
        let response = self.schema.execute(on_behalf_of(&self.app, actor, request)).await;
        serde_json::to_value(&response).unwrap()
    }

    /// What somebody follows.
    pub(super) async fn follow(&self, person: &Person, query: impl Into<String>) -> BoxStream<'static, Response> {
        let actor = authenticate(&self.app, &person.token).await.unwrap();
        self.schema.execute_stream(on_behalf_of(&self.app, actor, Request::new(query)))
    }

    /// The data of an answer that has no error.
    pub(super) async fn data(&self, person: &Person, query: &str, variables: Json) -> Json {
        let mut answer = self.ask(Some(person), query, variables).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].take()
    }

    /// The code of an answer's first error.
    pub(super) async fn refusal(&self, person: Option<&Person>, query: &str, variables: Json) -> String {
        let answer = self.ask(person, query, variables).await;
        text(&answer["errors"][0]["extensions"]["code"])
    }

    /// Executes a mutation with these fields of its payload besides `errors`.
    pub(super) async fn mutate(&self, person: &Person, mutation: &str, fields: &str, input: Json) -> Json {
        let mut data = self.data(person, &document(mutation, fields), json!({ "input": input })).await;
        data[mutation].take()
    }

    /// As [`Bed::mutate`], where nothing may be wrong.
    pub(super) async fn done(&self, person: &Person, mutation: &str, fields: &str, input: Json) -> Json {
        let payload = self.mutate(person, mutation, fields, input).await;
        assert_eq!(payload["errors"], json!([]), "{mutation}");
        payload
    }

    /// The codes and paths of what is wrong.
    pub(super) async fn problems(&self, person: &Person, mutation: &str, input: Json) -> Vec<String> {
        let payload = self.mutate(person, mutation, "", input).await;
        let errors = payload["errors"].as_array().unwrap().iter();
        let path = |error: &Json| error["path"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(".");
        errors.map(|error| format!("{} {}", text(&error["code"]), path(error))).collect()
    }

    /// A new member of the first enterprise, who has changed their password.
    pub(super) async fn member(&self, name: &str) -> Person {
        self.member_of(&self.enterprise, name).await
    }

    pub(super) async fn member_of(&self, enterprise: &str, name: &str) -> Person {
        let input = json!({ "enterpriseId": enterprise, "name": name });
        let made = self.done(&self.admin, "createUser", "user { id } oneTimePassword", input).await;
        self.begin(name, made["oneTimePassword"].as_str().unwrap()).await
    }

    /// A new team of somebody.
    pub(super) async fn team(&self, owner: &Person, slug: &str, clusters: &[&str]) -> String {
        let input = json!({ "enterpriseId": self.enterprise, "name": slug, "slug": slug, "clusterIds": clusters });
        text(&self.done(owner, "createTeam", "team { id }", input).await["team"]["id"])
    }

    /// A new cluster, which does not answer.
    pub(super) async fn cluster(&self, name: &str) -> String {
        let input = json!({
            "enterpriseId": self.enterprise, "name": name, "driver": "kubernetes", "kubeconfig": kubeconfig("token: t"),
        });
        text(&self.done(&self.admin, "registerCluster", "cluster { id }", input).await["cluster"]["id"])
    }

    pub(super) async fn sign_in(&self, name: &str, password: &str) -> Json {
        let query = "mutation($input: SignInInput!) { signIn(input: $input) { token viewer { mustChangePassword }
                     errors { code path } } }";
        let answer = self.ask(None, query, json!({ "input": { "name": name, "password": password } })).await;
        if answer["data"].is_null() { answer } else { answer["data"]["signIn"].clone() }
    }

    /// Another session of somebody.
    pub(super) async fn another_session(&self, person: &Person) -> Person {
        let (token, now) = (clock::random_text(TOKEN_LENGTH), self.clock.now());
        let session = Session {
            id: clock::new_id(),
            user_id: super::seed::id_of(&person.id),
            token_hash: token_hash(&token),
            created_at: now,
            expires_at: Instant::new(now.0 + chrono::TimeDelta::hours(1)),
        };
        user::insert_session(&mut self.app.database.write().await.unwrap(), &session).await.unwrap();
        Person { token, ..person.clone() }
    }

    /// Signs in for the first time and changes the password to [`PASSWORD`].
    async fn begin(&self, name: &str, one_time: &str) -> Person {
        let signed_in = self.sign_in(name, one_time).await;
        let token = text(&signed_in["token"]);
        let mut person = Person { name: name.into(), id: String::new(), token };
        let input = json!({ "current": one_time, "new": PASSWORD });
        self.done(&person, "changePassword", "viewer { id }", input).await;
        let actor = authenticate(&self.app, &person.token).await.unwrap().unwrap();
        person.id = crate::graphql::id::encode_text(actor.user_id);
        person
    }

    /// How many statements something takes: the median of a few times. On a busy machine a loader gathers together what
    /// it asks for one after another otherwise, or apart what it asks for together.
    pub(super) async fn cost<T>(&self, look: impl AsyncFn() -> T) -> u64 {
        let mut costs = [0; 5];
        for cost in &mut costs {
            let before = self.app.database.queries();
            look().await;
            *cost = self.app.database.queries() - before;
        }
        costs.sort_unstable();
        costs[costs.len() / 2]
    }
}

/// A mutation with its input as a variable.
pub(super) fn document(mutation: &str, fields: &str) -> String {
    let mut kind = mutation[..1].to_uppercase();
    kind.push_str(&mutation[1..]);
    format!(
        "mutation($input: {kind}Input!) {{ {mutation}(input: $input) {{ {fields} errors {{ code message path objects }} }} }}"
    )
}

/// A kubeconfig of a cluster that does not answer.
pub(super) fn kubeconfig(user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1'}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n"
    )
}

/// The id of something of this kind that does not exist.
pub(super) fn unknown(kind: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(format!("{kind}:{}", clock::new_uuid()))
}

pub(super) fn text(value: &Json) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}
