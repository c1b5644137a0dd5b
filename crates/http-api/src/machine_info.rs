use crate::api::Services;
use axum::Json;
use serde_json::{Value, json};
use waybill_types::Timestamp;

/// What `GET /api/machine-info` tells; a field that is not looked up is null.
pub(crate) fn machine_info(services: &Services, online_since: Timestamp) -> Json<Value> {
    let cores = std::thread::available_parallelism().map(std::num::NonZero::get).ok();
    Json(json!({
        "node_id": &*services.node_id,
        "hostname": &*services.hostname,
        "mac_address": null,
        "num_cores": cores,
        "kernel_version": kernel_version(),
        "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        "distribution": null,
        "os_version": null,
        "total_memory_bytes": total_memory(),
        "container_runtime": null,
        "cpu_brand": null,
        "fingerprint": null,
        "online_since": online_since.to_rfc3339(),
        "process_kind": "waybill",
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

fn kernel_version() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned())
}

fn total_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes: u64 =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
