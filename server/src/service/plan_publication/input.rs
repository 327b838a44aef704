//! What the caller of a publication asks for, checked and turned into what the domain decides over.

use crate::{
    clock,
    error::{Result, UserError},
    service::{
        component_settings::GivenVariable,
        problems::Problems,
        publication::{ComponentRequest, FileRequest, PublicationRequest},
        state::ApplicationState,
        template::check_description,
    },
};
use ropeway_domain::{
    Component, SecretId, Text, Value, VersionNumber,
    change::Owner,
    model::{ConfigFile, SecretDecision, Variable},
    publication::{ComponentEdit, PublicationInput, SecretPlace},
};
use ropeway_library::Platform;

/// The most entries of one list of the input.
const MAX_ENTRIES: usize = 1000;

/// The most platforms.
const MAX_PLATFORMS: usize = 16;

/// Checks what needs nothing but the input itself.
pub(super) fn check(request: &PublicationRequest) -> Result<(VersionNumber, Vec<Platform>)> {
    let mut problems = Problems::new();
    let number = request.number.parse::<VersionNumber>();
    if let Err(error) = &number {
        problems.at("number", "INVALID_NUMBER", error.to_string());
    }
    if let Some(alias) = &request.alias {
        problems.check_display_name("alias", alias);
    }
    check_description(&mut problems, &request.description);
    let lists = [
        ("components", request.components.len()),
        ("kubernetesResources", request.resources.len()),
        ("excludeComponents", request.exclude_components.len()),
        ("excludeKubernetesResources", request.exclude_resources.len()),
        ("componentKeys", request.component_keys.len()),
    ];
    for (field, length) in lists {
        if length > MAX_ENTRIES {
            problems.at(field, "TOO_MANY", format!("at most {MAX_ENTRIES}, not {length}"));
        }
    }
    if request.platforms.len() > MAX_PLATFORMS {
        problems.at("platforms", "TOO_MANY", format!("at most {MAX_PLATFORMS} platforms"));
    }
    let mut platforms = Vec::new();
    for (place, text) in request.platforms.iter().enumerate().take(MAX_PLATFORMS) {
        match text.parse::<Platform>() {
            Ok(platform) => platforms.push(platform),
            Err(error) => {
                let error = UserError::new("INVALID_PLATFORM", error.to_string());
                problems.add(error.at(["platforms".to_owned(), place.to_string()]));
            }
        }
    }
    platforms.sort();
    platforms.dedup();
    problems.finish()?;
    // A number that is none was told above.
    Ok((number.map_err(|error| UserError::new("INVALID_NUMBER", error.to_string()))?, platforms))
}

/// Adds to what is deployed what the caller wants otherwise.
pub(super) fn apply(
    problems: &mut Problems,
    input: &mut PublicationInput,
    state: &ApplicationState,
    request: &PublicationRequest,
) {
    for (place, id) in request.exclude_components.iter().enumerate() {
        match state.component(*id) {
            Some(row) => drop(input.excluded_components.insert(row.key.0)),
            None => unknown(problems, ["excludeComponents".to_owned(), place.to_string()], "component"),
        }
    }
    for (place, id) in request.exclude_resources.iter().enumerate() {
        match state.resource(*id) {
            Some(row) => drop(input.excluded_resources.insert(row.key.0)),
            None => {
                unknown(problems, ["excludeKubernetesResources".to_owned(), place.to_string()], "Kubernetes resource");
            }
        }
    }
    for (place, (id, key)) in request.component_keys.iter().enumerate() {
        match state.component(*id) {
            Some(row) => drop(input.key_mapping.insert(row.key.0, *key)),
            None => unknown(
                problems,
                ["componentKeys".to_owned(), place.to_string(), "componentId".to_owned()],
                "component",
            ),
        }
    }
    for (place, wanted) in request.components.iter().enumerate() {
        let path = ["components".to_owned(), place.to_string()];
        let source = state.component(wanted.component_id).and_then(|row| {
            input.components.iter().map(|source| &source.component).find(|component| component.key == row.key.0)
        });
        let Some(source) = source else {
            let [list, place] = path;
            unknown(problems, [list, place, "componentId".to_owned()], "component");
            continue;
        };
        let edit = edit(problems, &path, source, wanted);
        let key = source.key;
        for public in &wanted.public_values {
            let place = SecretPlace { owner: Owner::Component(key), path: public.clone() };
            input.decisions.insert(place, SecretDecision::Public);
        }
        input.edits.insert(key, edit);
    }
    for (place, wanted) in request.resources.iter().enumerate() {
        let source = state.resource(wanted.resource_id).and_then(|row| {
            input.resources.iter().map(|source| &source.resource).find(|resource| resource.key == row.key.0)
        });
        let Some(source) = source else {
            let path = ["kubernetesResources".to_owned(), place.to_string(), "kubernetesResourceId".to_owned()];
            unknown(problems, path, "Kubernetes resource that is deployed");
            continue;
        };
        let field = if source.kind == "Secret" { "secretData" } else { "manifest/data" };
        let owner = Owner::Resource(source.key);
        for (name, decision) in &wanted.data {
            input.decisions.insert(SecretPlace { owner, path: format!("{field}/{name}") }, decision.clone());
        }
    }
}

fn edit(
    problems: &mut Problems,
    path: &[String; 2],
    source: &Component<Value>,
    wanted: &ComponentRequest,
) -> ComponentEdit {
    let mut list = |field: &str, own: &[Variable<Value>], given: &Option<Vec<GivenVariable>>| {
        given.as_ref().map(|given| variables(problems, path, field, own, given))
    };
    let environment = list("environment", &source.environment, &wanted.environment);
    let connection_info = list("connectionInfo", &source.connection_info, &wanted.connection_info);
    let config_files =
        (!wanted.config_files.is_empty()).then(|| files(problems, path, &source.config_files, &wanted.config_files));
    if let Some(Err(error)) = wanted.scale_rule.as_ref().map(ropeway_domain::model::ScaleRule::check) {
        let error = UserError::new("INVALID_SCALE_RULE", error.to_string());
        problems.add(error.at([path[0].as_str(), &path[1], "scaleRule"]));
    }
    ComponentEdit { environment, connection_info, config_files, scale_rule: wanted.scale_rule.clone() }
}

/// A list as it is wanted. What comes without a value keeps the one that it has.
fn variables(
    problems: &mut Problems,
    path: &[String; 2],
    field: &str,
    own: &[Variable<Value>],
    given: &[GivenVariable],
) -> Vec<Variable<Value>> {
    let mut list = Vec::new();
    for (place, wanted) in given.iter().enumerate().take(MAX_ENTRIES) {
        let here = own.iter().find(|variable| variable.name == wanted.name);
        let secret = wanted.secret == Some(true);
        let decided = matches!(wanted.decision, Some(SecretDecision::Ask | SecretDecision::Generate(_)));
        let value = match (&wanted.value, here) {
            // An undecided secret must look like one to whoever decides, whatever it is called.
            (Some(_), _) if secret && wanted.decision.is_none() => undecided(),
            (Some(text), _) => Value::Text(Text::literal(text.expose())),
            (None, Some(here)) => here.value.clone(),
            (None, None) if decided => Value::Text(Text::literal("")),
            (None, None) if secret => undecided(),
            (None, None) => {
                let message = format!("{:?} is new here and needs a value or a decision", wanted.name);
                let place = place.to_string();
                problems.add(UserError::new("VALUE_MISSING", message).at([
                    path[0].as_str(),
                    &path[1],
                    field,
                    &place,
                    "value",
                ]));
                continue;
            }
        };
        list.push(Variable {
            name: wanted.name.clone(),
            value,
            description: wanted.description.clone().or_else(|| here.and_then(|here| here.description.clone())),
            decision: wanted.decision.clone().or_else(|| here.and_then(|here| here.decision.clone())),
        });
    }
    if given.len() > MAX_ENTRIES {
        let message = format!("at most {MAX_ENTRIES}, not {}", given.len());
        problems.add(UserError::new("TOO_MANY", message).at([path[0].as_str(), &path[1], field]));
    }
    list
}

/// The files, those that are named changed.
fn files(
    problems: &mut Problems,
    path: &[String; 2],
    own: &[ConfigFile<Value>],
    given: &[FileRequest],
) -> Vec<ConfigFile<Value>> {
    let mut list = own.to_vec();
    for (place, wanted) in given.iter().enumerate() {
        let Some(file) = list.iter_mut().find(|file| file.path == wanted.path) else {
            let message = format!("there is no configuration file {:?}", wanted.path);
            let place = place.to_string();
            let error = UserError::new("UNKNOWN_FILE", message);
            problems.add(error.at([path[0].as_str(), &path[1], "configFiles", &place, "path"]));
            continue;
        };
        if let Some(content) = &wanted.content {
            file.content = Value::Text(Text::literal(content.as_str()));
        }
        if let Some(decision) = &wanted.decision {
            file.decision = Some(decision.clone());
        }
    }
    list
}

/// A secret that nobody sealed: it is never published, since nothing is decided about it.
fn undecided() -> Value {
    Value::Sealed { sealed: SecretId(clock::new_uuid()) }
}

fn unknown<S: Into<String>>(problems: &mut Problems, path: impl IntoIterator<Item = S>, what: &str) {
    problems.add(UserError::new("UNKNOWN_ID", format!("this is no {what} of the application")).at(path));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Secret;
    use serde_json::json;

    fn source() -> Component<Value> {
        serde_json::from_value(json!({
            "key": uuid::Uuid::from_u128(1), "name": "db", "slug": "db", "kind": "Deployment",
            "image": {"reference": "docker.io/library/postgres:18"},
            "environment": [
                {"name": "PASSWORD", "value": {"sealed": uuid::Uuid::from_u128(7)}, "description": "of the owner"},
                {"name": "MODE", "value": "fast"},
            ],
            "configFiles": [{"path": "/etc/db.conf", "content": "a = 1"}, {"path": "/etc/other", "content": "b"}],
            "scale": {"rule": {"minReplicas": 1, "maxReplicas": 3, "step": 1}, "replicas": 1},
        }))
        .unwrap()
    }

    fn variable(name: &str, value: Option<&str>, secret: bool, decision: Option<SecretDecision>) -> GivenVariable {
        GivenVariable {
            name: name.into(),
            value: value.map(Secret::new),
            secret: Some(secret),
            decision,
            description: None,
        }
    }

    fn wanted(environment: Vec<GivenVariable>, config_files: Vec<FileRequest>) -> ComponentRequest {
        ComponentRequest {
            component_id: crate::id::ComponentId::new(uuid::Uuid::from_u128(1)),
            environment: Some(environment),
            connection_info: None,
            config_files,
            scale_rule: None,
            public_values: Vec::new(),
        }
    }

    fn path() -> [String; 2] {
        ["components".into(), "0".into()]
    }

    #[test]
    fn what_comes_without_a_value_keeps_the_one_that_it_has() {
        let mut problems = Problems::new();
        let given = vec![
            variable("PASSWORD", None, true, Some(SecretDecision::Ask)),
            variable("MODE", Some("slow"), false, None),
        ];
        let file = FileRequest { path: "/etc/db.conf".into(), decision: None, content: Some("a = 2".into()) };
        let edit = edit(&mut problems, &path(), &source(), &wanted(given, vec![file]));
        assert!(problems.is_empty());
        let environment = edit.environment.unwrap();
        assert_eq!(environment[0].value, source().environment[0].value);
        assert_eq!(environment[0].decision, Some(SecretDecision::Ask));
        assert_eq!(environment[0].description.as_deref(), Some("of the owner"));
        assert_eq!(environment[1].value, Value::Text("slow".into()));
        let files = edit.config_files.unwrap();
        assert_eq!((&files[0].content, files.len()), (&Value::Text("a = 2".into()), 2));
    }

    #[test]
    fn a_secret_without_a_decision_is_never_a_plain_text() {
        let mut problems = Problems::new();
        let given = vec![variable("SALT", Some("canary"), true, None), variable("PEPPER", None, true, None)];
        let environment = edit(&mut problems, &path(), &source(), &wanted(given, Vec::new())).environment.unwrap();
        assert!(environment.iter().all(|variable| matches!(variable.value, Value::Sealed { .. })), "{environment:?}");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let mut problems = Problems::new();
        let file = FileRequest { path: "/nowhere".into(), decision: None, content: None };
        edit(&mut problems, &path(), &source(), &wanted(vec![variable("NEW", None, false, None)], vec![file]));
        let Err(crate::Error::Invalid(errors)) = problems.finish() else { panic!("accepted") };
        let told: Vec<_> = errors.iter().map(|error| (error.code.as_str(), error.path.join("/"))).collect();
        assert_eq!(
            told,
            [
                ("VALUE_MISSING", "components/0/environment/0/value".to_owned()),
                ("UNKNOWN_FILE", "components/0/configFiles/0/path".to_owned()),
            ]
        );
    }
}
