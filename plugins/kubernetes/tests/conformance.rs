//! The driver keeps the contract.

use ropeway_domain::rendering::ApplicationModel;
use ropeway_driver_kubernetes::Kubernetes;
use ropeway_driver_sdk::conformance::{self, Native};

#[test]
fn the_driver_conforms() {
    let report = conformance::check(&Native::<Kubernetes>::new(), "{}");
    report.assert_passed();
    assert!(report.checks() > 300, "{} checks", report.checks());
}

#[test]
fn the_corpus_is_of_the_application_model() {
    for model in conformance::corpus() {
        let read: ApplicationModel = serde_json::from_str(model.json).unwrap();
        let written = serde_json::to_value(&read).unwrap();
        let again: ApplicationModel = serde_json::from_value(written).unwrap();
        assert_eq!(read, again, "{}", model.name);
    }
}
