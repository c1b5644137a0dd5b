//! Every option of every function that takes a table of options, walked: a name that is none and values that are none are
//! refused with the option, what is accepted instead, and the place in the policy.
//!
//! Nothing here knows the options: their names come out of the refusal of a name that is none, those of tables within
//! tables as well.

use super::*;
use serde_json::{Value, json};
use std::path::PathBuf;
use waybill_policy::{PolicyHost, Value as PolicyValue};

/// A name that no function knows.
const NOBODY: &str = "colour_of_the_bikeshed";
/// Another, within a table of that name.
const INNER: &str = "shape_of_the_bikeshed";
/// Options that take whatever they are given, and why.
const ANYTHING: &[(&str, &str)] = &[
    ("meta", "a listener's meta is the operator's"),
    ("rocks_params", "checked by the store, key by key"),
    ("tls_certificate", "a path or a key source; read when it is used"),
    ("tls_private_key", "a path or a key source; read when it is used"),
    ("openssl_options", "accepted for scripts, used by nobody"),
    ("smtp_auth_plain_password", "a text or a key source; read when it is used"),
    ("socks5_proxy_password", "a text or a key source; read when it is used"),
];
/// Tables within tables are walked so deep: `peer` may hold `via`, which may hold `peer`.
const DEPTH: usize = 3;

/// One policy whose `init` calls whatever it is asked to.
struct Policies {
    engine: Engine,
    collector: Arc<Collector>,
    path: PathBuf,
    dir: tempfile::TempDir,
}

impl Policies {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("test.lua");
        let text = "kumo.on('init', function(what, section)\n  \
            local f = kumo for part in what:gmatch '[^.]+' do f = f[part] end f(section)\nend)\n\
            kumo.on('functions', function()\n  local names = {}\n  for name, value in pairs(kumo) do\n    \
            if type(value) == 'function' then names[#names + 1] = name end\n  end\n  \
            for name in pairs(kumo.aaa) do names[#names + 1] = 'aaa.' .. name end\n  return names\nend)";
        std::fs::write(&path, text).expect("write the policy");
        let collector = Arc::new(Collector::default());
        let parts = Parts::alone(collector.clone(), false);
        let engine = load(&Policy::File(path.clone()), dir.path(), parts).await.expect("the policy");
        Policies { engine, collector, path, dir }
    }

    /// The functions that take a table of options.
    async fn functions(&self) -> Vec<String> {
        let names = self.engine.call("functions", Vec::new()).await.expect("a list");
        let PolicyValue::Json(Value::Array(names)) = names.first() else { panic!("{names:?}") };
        let starts = ["make_", "define_", "configure_", "start_"];
        let takes_options = |name: &&str| {
            let own = name.rsplit('.').next().unwrap_or_default();
            // These take a message's parts, a name with a rate, and a path.
            let others = ["make_message", "make_throttle", "configure_accounting_db_path"];
            starts.iter().any(|start| own.starts_with(start)) && !others.contains(&own)
        };
        let mut names: Vec<String> =
            names.iter().filter_map(Value::as_str).filter(takes_options).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// What the function says to a section, without the section itself; `None` when it takes it.
    async fn refusal(&self, what: &str, section: &Value) -> Option<String> {
        let args = vec![PolicyValue::from(what), PolicyValue::Json(section.clone())];
        let result = self.engine.call("init", args).await;
        // What was bound is let go, and every name is free again.
        drop(self.collector.take());
        let error = result.err()?.to_string();
        let place = format!("{}:2", self.path.display());
        assert!(error.contains(&place), "{what} {section}: this does not say where: {error}");
        Some(error.split(", while processing ").next().unwrap_or_default().to_owned())
    }

    /// What a function cannot do without.
    fn base(&self, what: &str) -> Value {
        let folder = self.dir.path().display().to_string();
        match what {
            "define_spool" => json!({"name": "data", "path": folder}),
            "configure_local_logs" | "aaa.configure_acct_log" => json!({"log_dir": folder}),
            "configure_log_hook" | "configure_log_disposition_hook" => json!({"name": "hook"}),
            "configure_bounce_classifier" => json!({"files": []}),
            "make_egress_source" | "make_egress_pool" => json!({"name": "name"}),
            what if what.starts_with("start_") => json!({"listen": "127.0.0.1:0"}),
            _ => json!({}),
        }
    }
}

/// A place in a section: keys of tables, and `0` for the first of a list.
type Place = Vec<String>;

/// The section with a value put at a place.
fn with(base: &Value, place: &[String], value: Value) -> Value {
    let Some((key, rest)) = place.split_first() else { return value };
    if key == "0" {
        return json!([with(&json!({}), rest, value)]);
    }
    let mut section = base.as_object().cloned().unwrap_or_default();
    let inner = section.get(key).cloned().unwrap_or_else(|| json!({}));
    section.insert(key.clone(), with(&inner, rest, value));
    section.into()
}

/// The names that a refusal says would have been right.
fn accepted(refusal: &str) -> Vec<String> {
    let behind = refusal.split_once("expected").map_or("", |(_, behind)| behind);
    let line = behind.lines().next().unwrap_or_default();
    line.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn says_what_is_accepted(refusal: &str) -> bool {
    // The latter ones are of values that are of the right type, and cannot be had or meant.
    let phrases = ["expected", "is to be", "is neither"];
    let others = ["` needs `", "cannot read", "belongs to the whole listener", "is not supported yet"];
    phrases.iter().chain(&others).any(|words| refusal.contains(words))
}

/// What is no value of most options, and what may be a key in front of one.
fn nonsense() -> Vec<Value> {
    let strange = json!({ NOBODY: { INNER: [true] } });
    vec![
        strange.clone(),
        json!([strange]),
        json!({"Any": strange}),
        json!({"192.0.2.0/24": strange}),
        json!({"custom_lua": strange}),
        json!({"smtp": strange}),
        json!(true),
        json!("neither \u{1} this"),
        json!(-1),
        json!(1.5),
        json!([[["a"]]]),
        json!("18446744073709551616"),
    ]
}

/// A table of options at a place, walked.
struct Walk<'a> {
    policies: &'a Policies,
    what: &'a str,
    faults: &'a mut Vec<String>,
    options: usize,
}

impl Walk<'_> {
    fn fault(&mut self, place: &[String], said: &str, why: &str) {
        self.faults.push(format!("{} {}: {why}: {said}", self.what, place.join(".")));
    }

    async fn table(&mut self, place: Place) {
        let mut waiting = vec![place];
        while let Some(place) = waiting.pop() {
            for name in self.names(&place).await {
                let option = [place.clone(), vec![name]].concat();
                self.options += 1;
                let inner = self.option(&option).await;
                waiting.extend(inner.into_iter().filter(|place| place.len() < 2 * DEPTH));
            }
        }
    }

    /// An option that is none is refused; the names of those that are.
    async fn names(&mut self, place: &[String]) -> Vec<String> {
        let unknown = [place, &[NOBODY.to_owned()]].concat();
        let section = with(&self.policies.base(self.what), &unknown, json!(1));
        let Some(said) = self.policies.refusal(self.what, &section).await else {
            self.fault(&unknown, "nothing", "an unknown name is taken");
            return Vec::new();
        };
        let names = accepted(&said);
        if !said.contains(NOBODY) || names.is_empty() {
            self.fault(&unknown, &said, "it does not name the unknown name and the known ones");
        }
        names
    }

    /// Values that are none are refused by the option's name; gives the tables that may be in it.
    async fn option(&mut self, option: &[String]) -> Vec<Place> {
        let name = option.last().expect("a name").clone();
        let (mut inner, mut refused, mut list) = (Vec::new(), 0, false);
        for value in nonsense() {
            let section = with(&self.policies.base(self.what), option, value.clone());
            let Some(said) = self.policies.refusal(self.what, &section).await else { continue };
            // The value was taken, and something beside it is missing.
            if said.contains("missing field") {
                continue;
            }
            refused += 1;
            list |= said.contains("a sequence") || said.contains("a list");
            inner.extend(below(&value, &said).map(|keys| [option, &keys].concat()));
            if !said.contains(&name) {
                self.fault(option, &said, &format!("{value} is refused without the option's name"));
            }
            if !says_what_is_accepted(&said) {
                self.fault(option, &said, &format!("{value} is refused without what is accepted"));
            }
        }
        if refused == 0 && !ANYTHING.iter().any(|(known, _)| *known == name) {
            self.fault(option, "nothing", "it takes anything");
        }
        if list {
            let section = with(&self.policies.base(self.what), option, json!({}));
            if let Some(said) = self.policies.refusal(self.what, &section).await {
                self.fault(option, &said, "an empty Lua table is refused as a list");
            }
        }
        inner.sort();
        inner.dedup();
        inner
    }
}

/// The keys that lead to a table of options within a value, as the refusal of the value tells.
fn below(value: &Value, said: &str) -> Option<Place> {
    let unknown = |name: &str| said.contains(&format!("unknown field `{name}`"));
    if !unknown(NOBODY) && !unknown(INNER) {
        return None;
    }
    let mut keys = match value {
        Value::Array(_) => vec!["0".to_owned()],
        Value::Object(map) if !map.contains_key(NOBODY) => map.keys().next().cloned().into_iter().collect(),
        _ => Vec::new(),
    };
    // Any name may stand there, and options below it.
    keys.extend(unknown(INNER).then(|| NOBODY.to_owned()));
    Some(keys)
}

#[tokio::test]
async fn every_option_refuses_what_it_is_not_by_name_and_place() {
    let policies = Policies::new().await;
    let functions = policies.functions().await;
    // It takes a path, and no table.
    let tables = FUNCTIONS.iter().filter(|name| **name != "configure_accounting_db_path");
    for wanted in tables.chain(&["make_queue_config", "make_egress_path", "make_listener_domain"]) {
        assert!(functions.iter().any(|name| name == wanted), "{wanted} is not among {functions:?}");
    }
    let (mut faults, mut options) = (Vec::new(), 0);
    for what in &functions {
        let base = policies.base(what);
        if let Some(said) = policies.refusal(what, &base).await {
            faults.push(format!("{what} {base} is to be taken: {said}"));
        }
        for section in [json!("text"), json!(1), json!(true), json!(["a", "b"]), Value::Null] {
            match policies.refusal(what, &section).await {
                Some(said) if says_what_is_accepted(&said) => {}
                said => faults.push(format!("{what} {section}: not refused with what is accepted: {said:?}")),
            }
        }
        let mut walk = Walk { policies: &policies, what, faults: &mut faults, options: 0 };
        walk.table(Vec::new()).await;
        options += walk.options;
    }
    assert!(faults.is_empty(), "{} faults in {options} options:\n{}", faults.len(), faults.join("\n"));
    assert!(options > 150, "only {options} options were found");
}
