//! Keys that only one provider's clusters understand, and the intent to state instead.
//!
//! The keys are those of the providers' cloud controller managers and CSI drivers
//! (kubernetes/cloud-provider-alibaba-cloud, kubernetes-sigs/alibaba-cloud-csi-driver,
//! TencentCloud/kubernetes-csi-tencentcloud).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::fmt;

/// A provider whose keys are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Provider {
    /// Alibaba Cloud (ACK).
    Alibaba,
    /// Tencent Cloud (TKE).
    Tencent,
}

/// A key that works in one provider's clusters only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeignKey {
    /// The annotation, or the field with its value.
    pub key: String,
    /// Whose it is.
    pub provider: Provider,
    /// What to state instead.
    pub intent: &'static str,
}

const EXPOSURE: &str =
    "open a TCP route of the component, public or internal; the cluster's driver makes it a load balancer";
const ROUTE: &str = "open an HTTP route of the component; the cluster's driver chooses the class and its settings";
const STORAGE: &str =
    "state a volume's intent, exclusive or shared, and its size; the cluster's driver chooses the class";
const ZONE: &str = "use topology.kubernetes.io/zone, which every provider's nodes carry";

/// Prefixes of keys of annotations and labels. The first that fits counts.
const PREFIXES: [(&str, Provider, &str); 17] = [
    ("service.beta.kubernetes.io/alibaba-cloud-", Provider::Alibaba, EXPOSURE),
    ("service.beta.kubernetes.io/alicloud-", Provider::Alibaba, EXPOSURE),
    ("service.beta.kubernetes.io/class", Provider::Alibaba, EXPOSURE),
    ("alb.ingress.kubernetes.io/", Provider::Alibaba, ROUTE),
    ("mse.ingress.kubernetes.io/", Provider::Alibaba, ROUTE),
    ("k8s.aliyun.com/", Provider::Alibaba, EXPOSURE),
    ("alibabacloud.com/", Provider::Alibaba, EXPOSURE),
    ("topology.diskplugin.csi.alibabacloud.com/", Provider::Alibaba, ZONE),
    ("service.kubernetes.io/qcloud-", Provider::Tencent, EXPOSURE),
    ("service.kubernetes.io/tke-", Provider::Tencent, EXPOSURE),
    ("service.kubernetes.io/loadbalance-id", Provider::Tencent, EXPOSURE),
    ("service.cloud.tencent.com/", Provider::Tencent, EXPOSURE),
    ("ingress.cloud.tencent.com/", Provider::Tencent, ROUTE),
    ("kubernetes.io/ingress.", Provider::Tencent, ROUTE),
    ("tke.cloud.tencent.com/", Provider::Tencent, EXPOSURE),
    ("qcloud.tke/", Provider::Tencent, EXPOSURE),
    ("topology.com.tencent.cloud.csi.cbs/", Provider::Tencent, ZONE),
];

/// Keys of `kubernetes.io/ingress.` that are everybody's.
const NEUTRAL: [&str; 2] = ["kubernetes.io/ingress.class", "kubernetes.io/ingress.allow-http"];

/// Fields that name a class, and the beginnings of the classes of one provider.
const CLASSES: [(&str, &[&str], Provider, &str); 6] = [
    ("loadBalancerClass", &["alibabacloud.com/"], Provider::Alibaba, EXPOSURE),
    ("loadBalancerClass", &["tencent"], Provider::Tencent, EXPOSURE),
    ("ingressClassName", &["alb", "mse"], Provider::Alibaba, ROUTE),
    ("ingressClassName", &["qcloud"], Provider::Tencent, ROUTE),
    ("storageClassName", &["alicloud-", "alibabacloud-", "alibaba-cloud-"], Provider::Alibaba, STORAGE),
    ("storageClassName", &["cbs", "cfs"], Provider::Tencent, STORAGE),
];

/// The keys of one provider in a manifest, in the order of their names: in annotations and labels, and in fields that
/// name a class.
pub fn foreign_keys(manifest: &Map<String, Json>) -> Vec<ForeignKey> {
    let mut found = Vec::new();
    if let Some(Json::Object(metadata)) = manifest.get("metadata") {
        found.extend(foreign_annotations(metadata));
    }
    if let Some(spec) = manifest.get("spec") {
        in_spec(spec, super::MAX_DEPTH, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

/// The keys of one provider in the `labels`, the `annotations` and the `nodeSelector` of an object.
pub fn foreign_annotations(of: &Map<String, Json>) -> Vec<ForeignKey> {
    let maps = ["annotations", "labels", "nodeSelector"].into_iter().filter_map(|field| of.get(field)?.as_object());
    let mut found: Vec<ForeignKey> = maps.flat_map(Map::keys).filter_map(|key| foreign(key)).collect();
    found.sort();
    found.dedup();
    found
}

pub(super) fn foreign(key: &str) -> Option<ForeignKey> {
    let (_, provider, intent) = PREFIXES.iter().find(|(prefix, ..)| key.starts_with(prefix))?;
    (!NEUTRAL.contains(&key)).then(|| ForeignKey { key: key.to_owned(), provider: *provider, intent })
}

fn in_spec(json: &Json, depth: usize, found: &mut Vec<ForeignKey>) {
    if depth == 0 {
        return;
    }
    match json {
        Json::Object(fields) => {
            found.extend(foreign_annotations(fields));
            for (name, value) in fields {
                let class = value.as_str().and_then(|class| {
                    CLASSES.iter().find(|(field, prefixes, ..)| {
                        field == name && prefixes.iter().any(|prefix| class.starts_with(prefix))
                    })
                });
                if let (Some((_, _, provider, intent)), Some(class)) = (class, value.as_str()) {
                    found.push(ForeignKey { key: format!("{name}: {class}"), provider: *provider, intent });
                }
                in_spec(value, depth - 1, found);
            }
        }
        Json::Array(items) => items.iter().for_each(|item| in_spec(item, depth - 1, found)),
        _ => {}
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alibaba => "Alibaba Cloud",
            Self::Tencent => "Tencent Cloud",
        })
    }
}

impl fmt::Display for ForeignKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} works only in clusters of {}: {}", self.key, self.provider, self.intent)
    }
}
