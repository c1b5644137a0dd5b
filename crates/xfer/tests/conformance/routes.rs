//! What a route is called, and which sections are none.

use crate::support::*;
use serde_json::{Value, json};
use waybill_delivery::{BatchPolicy, DeliveryProtocol, Destination, Egress, RouteQuery};
use waybill_types::QueueName;
use waybill_xfer::Xfer;

#[test]
fn equal_input_gives_equal_routes_and_two_targets_of_one_domain_never_share_one() {
    let carrier = Told::new(|_| None);
    let name = |queue: &QueueName| route(carrier.clone(), queue, &egress(300)).ready_queue().to_string();
    assert_eq!(name(&queue()), "unspecified->http://n2.example:8000.xfer.kumomta.internal@xfer");
    let tenant = QueueName::new("t@y.example");
    assert_eq!(name(&tenant), "unspecified->y.example@xfer:http://n2.example:8000");
    assert_eq!(name(&tenant), name(&QueueName::new("y.example")), "tenants share a way to the same node");
    let route = route(carrier, &tenant, &egress(300));
    assert_eq!((route.batch(), route.protocol(), route.forwards()), (BatchPolicy::single(), "xfer", false));
    assert!(route.hands_over());
}

#[test]
fn the_watchdog_leaves_a_call_its_time() {
    for (timeout, watchdog) in [(1, 60), (100, 200), (3600, 600)] {
        let route = route(Told::new(|_| None), &queue(), &egress(timeout));
        assert_eq!(route.watchdog().as_secs(), watchdog);
    }
}

#[test]
fn a_section_that_makes_no_sense_is_refused_by_field() {
    let complaint = |section: Value| {
        let (queue, egress) = (QueueName::new("y.example"), Egress::default());
        let destination = Destination::local(&queue);
        let query = RouteQuery { queue: &queue, section: &section, destination: &destination, egress: &egress };
        Xfer::new(Told::new(|_| None), NODE).route(&query).err().unwrap().to_string()
    };
    assert!(complaint(json!({})).contains("missing field `target`"));
    let error = complaint(json!({"target": "n2:8000"}));
    assert!(error.starts_with("protocol.xfer.target: ") && error.contains("no scheme"), "{error}");
}
