use super::event_hooks::Happenings;
use super::late::{Late, LateInjection};
use super::metrics::CountCalls;
use super::setup::{Collector, FUNCTIONS};
use super::{BUILT_IN, Policy};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use waybill_admin::Admin;
use waybill_dns::SharedResolver;
use waybill_dns_hickory::NetworkResolver;
use waybill_http_api::Metrics;
use waybill_lua::{Engine, KeyHook, LuaModule, beside, module, watch_file, write_raw_record};
use waybill_lua_jsonl::Jsonl;
use waybill_lua_util::Beside;
use waybill_lua_util::files::FileReadHook;
use waybill_lua_util::json::RawJsonHook;
use waybill_lua_util::key_source::KeySource;
use waybill_lua_util::time::{NowHook, TimerHook};
use waybill_runtime::{Clock, MemoryLimits, SystemClock};
use waybill_types::IdMint;

/// Where modules of a KumoMTA installation live, so that its policies find their own.
const PACKAGE_PATH: [&str; 4] = [
    "/opt/kumomta/etc/policy/?.lua",
    "/opt/kumomta/etc/policy/?/init.lua",
    "/opt/kumomta/share/?.lua",
    "/opt/kumomta/share/?/init.lua",
];

/// The modules that are in the program.
const EMBEDDED: [(&str, &str); 10] = [
    ("policy-extras.dkim_sign", include_str!("../../../../policy-extras/dkim_sign.lua")),
    ("policy-extras.listener_domains", include_str!("../../../../policy-extras/listener_domains.lua")),
    ("policy-extras.log_hooks", include_str!("../../../../policy-extras/log_hooks.lua")),
    ("policy-extras.mail_auth", include_str!("../../../../policy-extras/mail_auth.lua")),
    ("policy-extras.policy_utils", include_str!("../../../../policy-extras/policy_utils.lua")),
    ("policy-extras.queue", include_str!("../../../../policy-extras/queue.lua")),
    ("policy-extras.shaping", include_str!("../../../../policy-extras/shaping.lua")),
    ("policy-extras.shaping_defaults", include_str!("../../../../policy-extras/shaping_defaults.lua")),
    ("policy-extras.sources", include_str!("../../../../policy-extras/sources.lua")),
    ("policy-extras.typing", include_str!("../../../../policy-extras/typing.lua")),
];

/// What the engine is made of.
pub(crate) struct Parts {
    pub(crate) collector: Arc<Collector>,
    pub(crate) late: Arc<Late>,
    /// What `kumo.api` reaches.
    pub(crate) orders: Admin,
    pub(crate) injection: Arc<LateInjection>,
    /// What `kumo.event_hooks` publishes and emits.
    pub(crate) happenings: Happenings,
    /// What `kumo.log` publishes to and reads.
    pub(crate) streams: waybill_streams::Late,
    pub(crate) mint: Arc<IdMint>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Policy may put another resolver behind it: then all mail goes by that one.
    pub(crate) resolver: SharedResolver,
    pub(crate) validating: bool,
    /// Where calls are counted.
    pub(crate) metrics: Option<Metrics>,
    /// What the policy's own files of lines are written by.
    pub(crate) jsonl: Jsonl,
    /// What the policy sets limits of.
    pub(crate) memory: Arc<MemoryLimits>,
}

impl Parts {
    /// For a policy that runs beside any daemon: what it opens and orders goes nowhere.
    pub(super) fn alone(collector: Arc<Collector>, validating: bool) -> Self {
        let mint = Arc::new(IdMint::random());
        Parts {
            happenings: Happenings::new(mint.clone(), Arc::new(SystemClock)),
            streams: waybill_streams::Late::default(),
            collector,
            late: Arc::new(Late::default()),
            orders: Admin::new(Arc::new(|| SystemClock.now())),
            injection: Arc::default(),
            mint,
            clock: Arc::new(SystemClock),
            resolver: SharedResolver::new(NetworkResolver::system()),
            validating,
            metrics: None,
            jsonl: Jsonl::new(Arc::new(SystemClock)),
            memory: Arc::new(MemoryLimits::of_this_machine()),
        }
    }
}

/// Loads the policy: its top level has run when this is done.
pub(crate) async fn load(policy: &Policy, state: &Path, parts: Parts) -> Result<Engine> {
    let trust = waybill_lua_http::Trust::default();
    let state_dir = state.display().to_string();
    let (clock, signing_clock) = (parts.clock.clone(), parts.clock.clone());
    let (resolver, jsonl, happenings, streams) = (parts.resolver, parts.jsonl, parts.happenings, parts.streams);
    let mut builder = match policy {
        Policy::File(path) => Engine::builder(path.clone()),
        Policy::BuiltIn => Engine::builder("built-in policy").text(BUILT_IN),
        Policy::Text(text) => Engine::builder("policy").text(*text),
    };
    builder = builder
        .version(concat!("waybill ", env!("CARGO_PKG_VERSION")))
        .package_path(&PACKAGE_PATH)
        .mint(parts.mint)
        .clock(parts.clock)
        .validating(parts.validating)
        .memory(parts.memory)
        .bodies(parts.late)
        .setup(parts.collector, &FUNCTIONS)
        .module(module("hooks between modules", move |lua, _kumo| {
            lua.globals().set("_WAYBILL_STATE_DIR", state_dir.clone())?;
            lua.set_app_data(RawJsonHook(Arc::new(write_raw_record)));
            let weak = lua.weak();
            lua.set_app_data(FileReadHook(Arc::new(move |path: &Path| {
                if let Some(lua) = weak.try_upgrade() {
                    watch_file(&lua, path);
                }
            })));
            lua.set_app_data(Beside(|f| beside(f)));
            lua.set_app_data(KeyHook(|lua, source| KeySource::from_lua(source)?.load(lua)));
            lua.set_app_data(trust.clone());
            lua.set_app_data(resolver.clone());
            let (clock, http_clock) = (clock.clone(), clock.clone());
            lua.set_app_data(NowHook(Arc::new(move || clock.now().to_utc())));
            lua.set_app_data(waybill_lua_http::Now(Arc::new(move || http_clock.now().to_utc().into())));
            Ok(())
        }))
        .module(module("utilities", waybill_lua_util::register_all))
        .module(module("http", waybill_lua_http::register))
        .module(module("poster", move |lua, kumo| super::poster_lua::register(lua, kumo, signing_clock.clone())))
        .module(module("dns", waybill_lua_dns::register))
        .module(module("jsonl", move |lua, kumo| jsonl.register(lua, kumo)))
        .module(module("event hooks", move |lua, kumo| super::happenings_lua::register(lua, kumo, &happenings)))
        .module(module("logs", move |lua, kumo| super::log_lua::register(lua, kumo, &streams)))
        .module(waybill_lua::api(parts.orders, parts.injection))
        .module(about_the_daemon(parts.metrics.clone()));
    if let Some(metrics) = parts.metrics {
        builder = builder.observer(Arc::new(CountCalls(metrics)));
    }
    for (name, source) in EMBEDDED {
        builder = builder.embed(name, source);
    }
    builder.build().await.context("Error evaluating policy file")
}

/// What only the program itself can answer. Beside a daemon there are no metrics: their text is empty.
fn about_the_daemon(metrics: Option<Metrics>) -> Arc<dyn LuaModule> {
    module("the daemon", move |lua, kumo| {
        let filter = lua.create_function(|_, filter: String| {
            let set = crate::diag::set_filter(&filter);
            set.map_err(|why| mlua::Error::runtime(format!("kumo.set_diagnostic_log_filter: {why}")))
        })?;
        kumo.set("set_diagnostic_log_filter", filter)?;
        if let Some(metrics) = metrics.clone() {
            lua.set_app_data(TimerHook(Arc::new(move |label: &str, took: Duration| {
                metrics.lua.timers.with_label_values(&[label]).observe(took.as_secs_f64());
            })));
        }
        let metrics = metrics.clone();
        let text =
            move |_: &mlua::Lua, ()| Ok(metrics.as_ref().map_or_else(String::new, |metrics| metrics.text("", "")));
        kumo.set("prometheus_metrics", lua.create_function(text)?)
    })
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "options_tests.rs"]
mod options_tests;
