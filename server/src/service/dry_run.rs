//! What a cluster says of a rollout before anything is changed: what it would refuse, what is not ours, and which
//! fields other managers own.
//!
//! Force covers a whole request. So fields that another manager owns are either taken over, because the plan changes
//! them, or left out of what is applied; either is told.

use crate::{
    clusters::cluster_error,
    error::Result,
    operation::action::secrets_in,
    service::{
        execute::Observed,
        keep_storage::MadeAnew,
        make_anew::{self, Answer},
        rollout::{Rollout, Scope, TakenField, blocker, in_scope},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt as _, stream};
use ropeway_clusters::{
    DryRun, Error as ClusterError, FieldConflict, Scope as Reach, field, label, labels, remove_field, replace_field,
    uid,
};
use ropeway_domain::{Change, ChangeId, SecretId, plan::Blocker, rendering::placeholder_of};
use ropeway_drivers::Manifest;
use serde_json::Value as Json;
use std::collections::{BTreeSet, HashMap};

/// Requests under way at the same time.
const CONCURRENT: usize = 8;

/// The number of replicas, as conflicts name it.
const REPLICAS: &str = ".spec.replicas";

/// Which fields of other managers a plan takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    /// Only those that it changes; the others stay with their managers.
    Changes,
    /// All but an unchanged number of replicas: it brings the cluster to what is desired.
    Everything,
}

/// What a person accepted.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The ids of changes.
    pub ids: &'a BTreeSet<ChangeId>,
    /// Whether an earlier attempt stored already what it generated for them.
    pub earlier: bool,
}

impl<'a> Accepted<'a> {
    /// For a plan that is made now.
    pub fn now(ids: &'a BTreeSet<ChangeId>) -> Self {
        Self { ids, earlier: false }
    }
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Reasons against the rollout.
    pub blockers: Vec<Blocker>,
    /// Fields that are taken over from other managers, and those that are left to them.
    pub warnings: Vec<String>,
    /// Objects that have to be made anew: applied where a person agreed, and otherwise reasons against the rollout.
    pub made_anew: Vec<Change>,
}

/// Asks the cluster about everything that is in scope, and settles in the rollout what becomes of fields that other
/// managers own. `before` has what is deployed and what was desired before this plan: what is the same in all of them
/// is no change. A namespace that does not exist yet is left out, and so is what needs it.
pub async fn dry_run(
    observed: &Observed,
    rollout: &mut Rollout,
    before: &[Vec<Manifest>],
    taking: Taking,
    accepted: Accepted<'_>,
    scope: &Scope,
) -> Result<Findings> {
    let (reached, namespace) = (&observed.reached, &observed.state.application.namespace);
    let application = observed.state.application.id.to_string();
    let uids: HashMap<Identity<'_>, &str> = observed
        .live
        .iter()
        .map(|object| ((object.api_version.as_str(), object.kind.as_str(), object.name.as_str()), object.uid.as_str()))
        .collect();
    let reach = Reach::namespace(namespace);
    let mut asked = Vec::new();
    for (index, manifest) in rollout.manifests.iter().enumerate().filter(|(_, manifest)| in_scope(manifest, scope)) {
        let reach = &reach;
        asked.push(async move {
            let answer = reached.cluster.dry_run(&shown(&manifest.object, None), reach).await;
            let answer = match answer {
                Ok(DryRun { refused: Some(ClusterError::Immutable { .. }), live_before: Some(live), .. })
                    if is_secret(&manifest.object) =>
                {
                    // Its secrets may be what is there: then nothing is refused.
                    let deployed = before.first().and_then(|deployed| same(deployed, &manifest.object));
                    let object = shown(&manifest.object, deployed.map(|deployed| (deployed, &live)));
                    reached.cluster.dry_run(&object, reach).await
                }
                answer => answer,
            };
            (index, answer)
        });
    }
    let answers: Vec<_> = stream::iter(asked).buffered(CONCURRENT).collect().await;
    // Secrets that were there before this was planned first.
    let sides = if accepted.earlier { &before[..before.len().min(1)] } else { before };
    let known: BTreeSet<SecretId> = sides.iter().flatten().flat_map(|manifest| secrets_in(&manifest.object)).collect();
    let mut findings = Findings::default();
    for (index, answer) in answers {
        let name = name_of(&rollout.manifests[index].object);
        let answer = match answer {
            Ok(answer) => answer,
            Err(ClusterError::NamespaceMissing { .. }) => continue,
            Err(error @ ClusterError::OutOfBounds { .. }) => {
                findings.blockers.push(blocker("REFUSED_BY_CLUSTER", format!("{name}: {error}")));
                continue;
            }
            Err(error) => return Err(cluster_error(&reached.row.name, error)),
        };
        if let Some(live) = &answer.live_before {
            let known = uids.get(&identity(&rollout.manifests[index].object));
            let known = known.is_none_or(|known| uid(live) == Some(*known));
            let ours = known && label(live, labels::APPLICATION) == Some(application.as_str());
            if !ours {
                let message = format!("{name} is in the namespace {namespace} already and is not this application's");
                findings.blockers.push(blocker("NAME_IN_USE", message));
                continue;
            }
        }
        if let (Some(refusal @ ClusterError::Immutable { .. }), Some(live)) = (&answer.refused, &answer.live_before)
            && !rollout.made_anew.contains_key(&index)
        {
            let manifest = &rollout.manifests[index];
            match make_anew::answer(manifest, live, refusal, &answer.conflicts, accepted.ids, &known) {
                Answer::Agreed(change) => {
                    let keeps_pods = manifest.object["kind"] == "StatefulSet";
                    let how = if keeps_pods { MadeAnew::AgreedKeepsPods } else { MadeAnew::Agreed };
                    rollout.made_anew.insert(index, how);
                    rollout.agreed.insert(index, change.id.clone());
                    findings.made_anew.push(change);
                }
                Answer::Asked(change, blocker) => {
                    findings.made_anew.push(change);
                    findings.blockers.push(blocker);
                }
                Answer::Impossible(blocker) => findings.blockers.push(blocker),
            }
        }
        let made_anew = rollout.made_anew.get(&index).copied();
        let object = &mut rollout.manifests[index].object;
        let taken = settle(object, before, taking, &answer, made_anew.is_some(), &mut findings.warnings);
        rollout.taken.extend(taken.into_iter().map(|(path, live)| {
            let live = live.map(|live| observed.sealer.hash(live.to_string().as_bytes()));
            TakenField { manifest: index, path, live }
        }));
        match answer.refused {
            None | Some(ClusterError::NamespaceMissing { .. }) => {}
            Some(error @ ClusterError::Immutable { .. }) if answer.live_before.is_none() => {
                findings.blockers.push(blocker("IMMUTABLE", format!("{name}: {error}")));
            }
            Some(ClusterError::Immutable { .. }) => {
                let pods = match made_anew {
                    Some(MadeAnew::KeepsPods) => "its pods run on",
                    Some(MadeAnew::ReplacesPods) => "its pods lack a volume and are replaced one after another",
                    Some(MadeAnew::Agreed | MadeAnew::AgreedKeepsPods) | None => continue,
                };
                findings.warnings.push(format!("{name} is made anew, since its claim templates change; {pods}"));
            }
            Some(error) => findings.blockers.push(blocker("REFUSED_BY_CLUSTER", format!("{name}: {error}"))),
        }
    }
    findings.blockers.sort();
    findings.blockers.dedup();
    Ok(findings)
}

/// Leaves out of an object what stays with other managers. An object that is made anew has no other managers: it gets
/// what they wrote. The paths that are taken over, with what is there.
fn settle(
    object: &mut Json,
    before: &[Vec<Manifest>],
    taking: Taking,
    answer: &DryRun,
    is_made_anew: bool,
    warnings: &mut Vec<String>,
) -> Vec<(String, Option<Json>)> {
    let before: Option<Vec<Json>> = before.iter().map(|manifests| same(manifests, object).cloned()).collect();
    let is_secret = is_secret(object);
    let name = name_of(object);
    let mut taken = Vec::new();
    for FieldConflict { path: shown, manager } in &answer.conflicts {
        // An entry of a Secret is compared by its placeholder.
        let entry = shown.strip_prefix(".data.").filter(|_| is_secret).map(|name| format!(".stringData.{name}"));
        let path = entry.as_ref().unwrap_or(shown);
        let is_unchanged = before.as_ref().is_some_and(|before| {
            let wanted = field(object, path);
            wanted.is_some() && before.iter().all(|before| wanted == field(before, path))
        });
        let may_leave = taking == Taking::Changes || path == REPLICAS;
        let live = answer.live_before.as_ref().and_then(|live| field(live, shown));
        let mut leave = || match live {
            // What is in a Secret is copied nowhere.
            Some(_) if is_made_anew && is_secret => false,
            Some(live) if is_made_anew => replace_field(object, path, live.clone()),
            _ => remove_field(object, path),
        };
        if is_unchanged && may_leave && leave() {
            warnings.push(format!("{name}: {shown} is left to {manager}"));
        } else {
            warnings.push(format!("{name}: {shown} is taken over from {manager}"));
            taken.push((shown.clone(), live.cloned()));
        }
    }
    taken
}

/// The object of the same name among some manifests.
fn same<'a>(manifests: &'a [Manifest], object: &Json) -> Option<&'a Json> {
    manifests.iter().map(|manifest| &manifest.object).find(|other| identity(other) == identity(object))
}

/// The object as the cluster is asked about it: the entries of a Secret as they will be applied, with something valid in
/// place of each secret; where it is given what was deployed and what is there, with what is there in place of each
/// secret that stays the same.
pub(super) fn shown(object: &Json, there: Option<(&Json, &Json)>) -> Json {
    let mut object = object.clone();
    if is_secret(&object)
        && let Some(Json::Object(entries)) = object.as_object_mut().and_then(|fields| fields.remove("stringData"))
    {
        let encoded = entries.into_iter().map(|(name, entry)| {
            let text = entry.as_str().unwrap_or_default();
            if placeholder_of(text).is_none() {
                return (name, Json::from(STANDARD.encode(text)));
            }
            let kept = there.filter(|(deployed, _)| deployed["stringData"][&name] == entry);
            let kept = kept.and_then(|(_, live)| live["data"].get(&name)).cloned();
            // Types such as kubernetes.io/dockerconfigjson want JSON.
            (name, kept.unwrap_or_else(|| STANDARD.encode("{}").into()))
        });
        let encoded: Vec<_> = encoded.collect();
        match object.get_mut("data").and_then(Json::as_object_mut) {
            Some(data) => data.extend(encoded),
            None => object["data"] = Json::Object(encoded.into_iter().collect()),
        }
    }
    object
}

fn is_secret(object: &Json) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

/// What tells objects of one namespace apart.
pub(super) type Identity<'a> = (&'a str, &'a str, &'a str);

pub(super) fn identity(object: &Json) -> Identity<'_> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    (text("/apiVersion"), text("/kind"), text("/metadata/name"))
}

/// Kind and name of an object, for people.
pub fn name_of(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    format!("{} {}", text("/kind"), text("/metadata/name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ropeway_domain::{SecretId, rendering::placeholder};
    use ropeway_drivers::{ApplyMode, Owner};
    use serde_json::json;
    use uuid::Uuid;

    fn deployment(replicas: u32, image: &str) -> Json {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "web", "image": image}]}}},
        })
    }

    fn conflicts(live: Json) -> DryRun {
        let conflict = |path: &str| FieldConflict { manager: "kubectl".into(), path: path.into() };
        DryRun {
            conflicts: vec![
                conflict(".spec.replicas"),
                conflict(r#".spec.template.spec.containers[name="web"].image"#),
            ],
            live_before: Some(live),
            would_be: None,
            refused: None,
        }
    }

    fn manifests(object: Json) -> Vec<Manifest> {
        vec![Manifest { wave: 0, mode: ApplyMode::ServerSideApply, owner: Owner::Application, object }]
    }

    #[test]
    fn what_a_plan_does_not_change_stays_with_its_manager() {
        let before = [manifests(deployment(2, "a"))];
        let answer = conflicts(deployment(5, "b"));
        let (mut object, mut said) = (deployment(2, "a"), Vec::new());
        assert_eq!(settle(&mut object, &before, Taking::Changes, &answer, false, &mut said), []);
        assert_eq!(said.len(), 2, "nothing is left out without a line");
        assert_eq!(field(&object, ".spec.replicas"), None);
        assert_eq!(object["spec"]["template"]["spec"]["containers"], json!([{"name": "web"}]));
    }

    #[test]
    fn what_is_made_anew_gets_what_other_managers_wrote() {
        let before = [manifests(deployment(2, "a"))];
        let answer = conflicts(deployment(5, "b"));
        let (mut object, mut said) = (deployment(2, "a"), Vec::new());
        assert_eq!(settle(&mut object, &before, Taking::Changes, &answer, true, &mut said), []);
        assert_eq!(object, deployment(5, "b"), "left out, it would be what the cluster takes for a default");
    }

    #[test]
    fn what_a_plan_changes_is_taken_over_and_told() {
        let before = [manifests(deployment(2, "a"))];
        let answer = conflicts(deployment(5, "b"));
        let (mut object, mut said) = (deployment(2, "c"), Vec::new());
        let taken = settle(&mut object, &before, Taking::Changes, &answer, false, &mut said);
        assert_eq!(
            taken.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            [answer.conflicts[1].path.as_str()]
        );
        assert_eq!(taken[0].1, Some(json!("b")));
        assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["image"], "c");
        assert_eq!(
            said[1],
            r#"Deployment web: .spec.template.spec.containers[name="web"].image is taken over from kubectl"#
        );
    }

    #[test]
    fn a_deployment_takes_all_but_the_number_of_replicas() {
        let before = [manifests(deployment(2, "a"))];
        let answer = conflicts(deployment(5, "b"));
        let (mut object, mut said) = (deployment(2, "a"), Vec::new());
        assert_eq!(settle(&mut object, &before, Taking::Everything, &answer, false, &mut said).len(), 1);
        assert_eq!(field(&object, ".spec.replicas"), None);
        let mut object = deployment(3, "a");
        assert_eq!(settle(&mut object, &before, Taking::Everything, &answer, false, &mut said).len(), 2);
        assert_eq!(object, deployment(3, "a"));
    }

    #[test]
    fn what_was_never_deployed_is_taken() {
        let answer = conflicts(deployment(5, "b"));
        let (mut object, mut said) = (deployment(2, "a"), Vec::new());
        assert_eq!(settle(&mut object, &[Vec::new()], Taking::Changes, &answer, false, &mut said).len(), 2);
        assert_eq!(object, deployment(2, "a"));
    }

    #[test]
    fn what_a_failed_upgrade_desired_is_a_change_to_take_back() {
        let before = [manifests(deployment(2, "a")), manifests(deployment(2, "new"))];
        let answer = conflicts(deployment(5, "b"));
        let (mut object, mut said) = (deployment(2, "a"), Vec::new());
        assert_eq!(settle(&mut object, &before, Taking::Changes, &answer, false, &mut said).len(), 1);
        assert_eq!(object["spec"]["template"]["spec"]["containers"][0]["image"], "a");
    }

    #[test]
    fn an_entry_of_a_secret_that_somebody_edited_stays_unless_the_plan_changes_it() {
        let secret = |id: u128| {
            let value = placeholder(SecretId(Uuid::from_u128(id)));
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"A": value}})
        };
        let mut answer = conflicts(json!({"data": {"A": "eA=="}}));
        answer.conflicts = vec![FieldConflict { manager: "kubectl".into(), path: ".data.A".into() }];
        let before = [manifests(secret(1))];
        let (mut object, mut said) = (secret(1), Vec::new());
        assert_eq!(settle(&mut object, &before, Taking::Changes, &answer, false, &mut said), []);
        assert_eq!(object["stringData"], json!({}));
        let mut object = secret(2);
        assert_eq!(settle(&mut object, &before, Taking::Changes, &answer, false, &mut said).len(), 1);
        assert_eq!(object, secret(2));
        let asked = shown(&object, None);
        assert_eq!((asked.get("stringData"), &asked["data"]["A"]), (None, &json!("e30=")));
        let live = json!({"data": {"A": "eA=="}});
        assert_eq!(shown(&secret(1), Some((&secret(1), &live)))["data"]["A"], "eA==", "it stays as it is");
        assert_eq!(shown(&secret(2), Some((&secret(1), &live)))["data"]["A"], "e30=", "it changes");
    }
}
