//! Annotations that only the controllers of one provider understand. Plain Kubernetes ignores them.

use crate::json::token;
use ropeway_driver_sdk::Diagnostic;
use serde_json::Value as Json;

/// Beginning of a key, provider, and what to use instead.
const KEYS: &[(&str, &str, &str)] = &[
    ("service.beta.kubernetes.io/alibaba-cloud-", "Alibaba Cloud", EXPOSURE),
    ("service.beta.kubernetes.io/alicloud-", "Alibaba Cloud", EXPOSURE),
    ("alb.ingress.kubernetes.io/", "Alibaba Cloud", ROUTE),
    ("k8s.aliyun.com/", "Alibaba Cloud", ATTRIBUTE),
    ("service.kubernetes.io/qcloud-", "Tencent Cloud", EXPOSURE),
    ("service.kubernetes.io/tke-", "Tencent Cloud", EXPOSURE),
    ("service.cloud.tencent.com/", "Tencent Cloud", EXPOSURE),
    ("ingress.cloud.tencent.com/", "Tencent Cloud", ROUTE),
    ("kubernetes.io/ingress.existLbId", "Tencent Cloud", ROUTE),
    ("kubernetes.io/ingress.subnetId", "Tencent Cloud", ROUTE),
    ("kubernetes.io/ingress.qcloud-", "Tencent Cloud", ROUTE),
    ("tke.cloud.tencent.com/", "Tencent Cloud", ATTRIBUTE),
    ("service.beta.kubernetes.io/aws-", "AWS", EXPOSURE),
    ("eks.amazonaws.com/", "AWS", ATTRIBUTE),
    ("service.beta.kubernetes.io/azure-", "Azure", EXPOSURE),
    ("appgw.ingress.kubernetes.io/", "Azure", ROUTE),
    ("cloud.google.com/", "Google Cloud", EXPOSURE),
    ("networking.gke.io/", "Google Cloud", EXPOSURE),
    ("service.beta.kubernetes.io/huawei-", "Huawei Cloud", EXPOSURE),
    ("kubernetes.io/elb.", "Huawei Cloud", EXPOSURE),
];

const EXPOSURE: &str = "a route that exposes the port";
const ROUTE: &str = "an HTTP route";
const ATTRIBUTE: &str = "an attribute of the component";

/// Warns of the keys of providers among annotations. `path` is the pointer of the annotations.
pub(crate) fn warnings<'a>(annotations: &'a Json, path: &'a str) -> impl Iterator<Item = Diagnostic> + 'a {
    annotations.as_object().into_iter().flatten().filter_map(move |(key, _)| {
        let (_, provider, instead) = KEYS.iter().find(|(beginning, ..)| key.starts_with(beginning))?;
        let message = format!("only clusters of {provider} understand {key:?}; use {instead} instead");
        Some(Diagnostic::warning(format!("{path}/{}", token(key)), "annotation.provider", message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_of_a_provider_are_named_with_what_to_use_instead() {
        let annotations = json!({
            "example.org/team": "a",
            "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": "internet",
        });
        let found: Vec<_> = warnings(&annotations, "/annotations").collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "/annotations/service.beta.kubernetes.io~1alibaba-cloud-loadbalancer-address-type");
        assert!(found[0].message.contains("Alibaba Cloud") && found[0].message.contains("use a route"));
    }
}
