//! Routes: names, batches, and sections that make no sense.

use crate::support::*;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use waybill_custom_lua::CustomLua;
use waybill_delivery::{BatchPolicy, DeliveryProtocol, Destination, Egress, RouteQuery};
use waybill_policy::ScriptedPolicy;
use waybill_queue_core::config::EgressSource;
use waybill_types::QueueName;

#[test]
fn the_ready_queue_is_named_for_source_site_and_constructor() {
    let protocol = CustomLua::new(Arc::new(ScriptedPolicy::new()));
    assert_eq!(protocol.name(), "custom_lua");
    for (queue, source, name) in [
        ("webhook.log_hook", "unspecified", "unspecified->webhook.log_hook@lua:make.webhook"),
        ("c1:t1@webhook.log_hook", "unspecified", "unspecified->webhook.log_hook@lua:make.webhook"),
        ("t1@a.example!b.example", "ip-1", "ip-1->b.example@lua:make.webhook"),
    ] {
        let queue = QueueName::new(queue);
        let egress = Egress { source: EgressSource::named(source), ..Egress::default() };
        let (section, destination) = (one_by_one(), Destination::local(&queue));
        let query = RouteQuery { queue: &queue, section: &section, destination: &destination, egress: &egress };
        let route = protocol.route(&query).unwrap();
        assert_eq!(route.ready_queue().as_str(), name);
        assert_eq!((route.site(), route.protocol(), route.shows_egress()), (name, "Lua", true));
    }
}

#[test]
fn the_section_says_how_batches_form() {
    let policy = ScriptedPolicy::new;
    assert_eq!(route(policy(), one_by_one()).batch(), BatchPolicy::single());
    let section = json!({"constructor": MAKE, "batch_size": 100, "min_batch_size": 10, "max_batch_latency": "15s"});
    assert_eq!(route(policy(), section).batch(), BatchPolicy::new(100, 10, Duration::from_secs(15)));
}

#[test]
fn a_section_that_makes_no_sense_is_refused_with_the_field() {
    let protocol = CustomLua::new(Arc::new(ScriptedPolicy::new()));
    let queue = QueueName::new("webhook.log_hook");
    let (destination, egress) = (Destination::local(&queue), Egress::default());
    for (section, names) in [
        (json!({}), "constructor"),
        (json!({"constructor": "x", "batch": 1}), "`batch`"),
        (json!({"constructor": "x", "max_batch_latency": "soon"}), "expected a duration"),
    ] {
        let query = RouteQuery { queue: &queue, section: &section, destination: &destination, egress: &egress };
        let error = protocol.route(&query).err().unwrap().to_string();
        assert!(error.starts_with("protocol.custom_lua: ") && error.contains(names), "{error}");
    }
}
