//! Every option of every function that takes a table of options, walked: a name that is none and values that are none are
//! refused with the option, what is accepted instead, and the place in the policy.
//!
//! Nothing here knows the options: their names come out of the refusal of a name that is none, those of tables within
//! tables as well.

use super::*;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::PathBuf;
use waybill_policy::{PolicyHost, Value as PolicyValue};

/// A name that no function knows.
const NOBODY: &str = "colour_of_the_bikeshed";
/// Another, within a table of that name.
const INNER: &str = "shape_of_the_bikeshed";
/// A text that is no name, number, address, duration, path or word of anything.
const CONTROL: &str = "neither \u{1} this";
/// Values that some types of options take, and why: the words are those in which the type refuses a switch.
const TAKEN_BY_TYPE: &[(&str, &str, &str)] = &[
    ("one and a half", "a duration", "a second has parts"),
    ("a text of a huge number", "a string", "digits are a name as good as another"),
    ("a text of a huge number", "the path of a file", "and so is the name of a file"),
    ("a text of a huge number", "a text without control characters", "digits are a text"),
    ("a text of a huge number", "Expected 'string'", "digits are a name as good as another"),
    ("one and a half", "Expected 'duration'", "a second has parts"),
];
/// Values that some options take, and why. Any other option that takes one of them is at fault.
const TAKEN: &[(&str, &[&str], &str)] = &[
    ("nothing", &["compression_level"], "zstd's own level"),
    ("a negative number", &["compression_level"], "zstd has levels below zero: they are fast"),
    ("nothing", &["min_free_space", "min_free_inodes"], "a disk may be used to its last byte"),
    (
        "nothing",
        &[
            "max_key_size",
            "max_value_size",
            "max_publish_size",
            "max_publish_messages",
            "max_poll",
            "max_waiting",
            "max_logs",
            "max_offsets",
            "max_egress_webhooks",
            "max_filters",
            "max_ingress_webhooks",
            "idempotency_window",
            "max_idempotency_keys",
        ],
        "limits of user logs: nobody may have any",
    ),
    ("nothing", &["retention", "max_size"], "a journal that keeps nothing that is settled"),
    ("nothing", &["cache_size"], "every response is classified anew"),
    ("nothing", &["backlog_size"], "every queue with a message is told of"),
    ("nothing", &["idle"], "no process is kept"),
    (
        "nothing",
        &["compaction_readahead_size", "memtable_huge_page_size", "log_file_time_to_roll", "obsolete_files_period"],
        "RocksDB's word for off",
    ),
    ("nothing", &["idle_timeout"], "a connection without work is closed at once"),
    ("nothing", &["system_shutdown_timeout"], "nobody waits for this path"),
    ("nothing", &["consecutive_connection_failures_before_delay"], "the first failure counts"),
    ("nothing", &["ttl"], "the event is asked each time"),
    ("nothing", &["pool_idle_timeout"], "no connection is kept"),
    ("nothing", &["duration"], "an order that is over at once"),
    ("nothing", &["poll"], "nobody waits"),
    ("one and a half", &["timestamp"], "parts of a second do not count"),
    ("control characters", MAIL, "who generates the mail checks or encodes it"),
    ("an empty text", MAIL, "who generates the mail checks or encodes it"),
    ("a list with control characters", &["kumo.api.inject include_meta_names"], "no meta has such a name"),
    ("a list with an empty text", &["kumo.api.inject include_meta_names"], "no meta has such a name"),
    ("nothing", &["max_response_size"], "of an answer the status counts, and a body is an error"),
    ("nothing", &["timestamp", "time", "offset"], "the beginning of time, and of a log"),
    ("a negative number", &["time", "offset"], "before 1970, and what comes next"),
    ("an empty text", &["key", "value", "payload"], "bytes, whatever they are"),
    ("control characters", &["key", "value", "payload"], "bytes, whatever they are"),
    ("a text of a huge number", &["key", "value", "payload"], "bytes, whatever they are"),
    ("nothing", &["weight"], "a source that gets nothing"),
    ("nothing", &["max_age"], "one attempt, and no other"),
    ("nothing", &["interval"], "a rule for every wait"),
    ("nothing", &["max_batch_latency"], "a batch never waits"),
    ("an empty text", &["suffix", "segment_header", "template", "banner"], "nothing stands there"),
    ("control characters", &["template", "segment_header"], "a text with lines"),
    ("nothing", &["capacity", "populate_timeout"], "as a cache of one, and as nobody who waits"),
    (
        "control characters",
        &["reason", "description", "campaign", "tenant", "domain", "routing_domain"],
        "words for people, and names that no queue has",
    ),
    (
        "an empty text",
        &["reason", "description", "campaign", "tenant", "domain", "routing_domain"],
        "words for people, and names that no queue has",
    ),
    ("control characters", &["kumo.api.admin.suspend_ready_q.suspend name"], "no queue has such a name"),
    ("an empty text", &["kumo.api.admin.suspend_ready_q.suspend name"], "no queue has such a name"),
    ("a list with control characters", &["queue_names"], "no queue has such a name"),
    ("a list with an empty text", &["queue_names"], "no queue has such a name"),
];
/// Texts of mail that is to be generated.
const MAIL: &[&str] = &[
    "kumo.api.inject envelope_sender",
    "kumo.api.inject content",
    "kumo.api.inject header_name",
    "kumo.api.inject text_body",
    "kumo.api.inject html_body",
    "kumo.api.inject amp_html_body",
    "kumo.api.inject subject",
    "kumo.api.inject email",
    "kumo.api.inject name",
    "kumo.api.inject data",
    "kumo.api.inject content_type",
    "kumo.api.inject content_id",
    "kumo.api.inject file_name",
];
/// Options that take anything, and why.
const ANYTHING: &[(&str, &str)] = &[
    ("meta", "a listener's meta is the operator's"),
    ("args", "the arguments of an event of the policy's own"),
    ("log_parameters", "the options of configure_log_hook: that refuses them, with the place of this call"),
    ("automation", "rules of a daemon that shapes traffic"),
    ("substitutions", "what a template names is its author's"),
    ("metadata", "the meta of a message is the sender's"),
];
/// What goes with an option that does not go alone, where any text will not do.
const BESIDE: &[(&str, &str)] = &[("trigger", "Immediate"), ("policy", "NoShrink"), ("addr", "192.0.2.1")];
/// What some functions take in place of a table of options, and why.
const TAKES_ELSE: &[(&str, &str, &str)] = &[
    ("kumo.apply_supplemental_trace_header", "null", "the defaults"),
    ("kumo.event_hooks.publish", "null", "an event without fields"),
    ("kumo.http.build_client", "null", "the defaults"),
    ("kumo.log.consume", "null", "the defaults"),
    ("msg:set_scheduling", "null", "no schedule"),
    ("msg:import_headers", "null", "an empty list of headers"),
    ("queue:setup", "\"text\"", "a file"),
    ("queue:setup", "[\"a\",\"b\"]", "files"),
    ("sources:setup", "\"text\"", "a file"),
    ("sources:setup", "[\"a\",\"b\"]", "files"),
    ("listener_domains:setup", "\"text\"", "a file"),
    ("listener_domains:setup", "[\"a\",\"b\"]", "files"),
    ("shaping:setup", "\"text\"", "a file"),
    ("shaping:setup", "[\"a\",\"b\"]", "files"),
];
/// Functions that take names that they do not know, as the contract has it: their options are these.
const LAX: &[(&str, &[&str])] = &[(
    "kumo.http.build_client",
    &[
        "user_agent",
        "timeout",
        "pool_idle_timeout",
        "connection_verbose",
        "accept_invalid_certs",
        "redirect",
        "max_response_size",
    ],
)];
/// The table itself.
const WHOLE: &[&[&str]] = &[&[]];
/// Where a file of a helper has tables with options: their names are the operator's.
const PLACES: &[(&str, &[&[&str]])] = &[
    ("queue:setup", &[&[], &["tenant", "t"], &["queue", "default"], &["queue", "d", "t"], &["queue", "d", "t", "c"]]),
    ("sources:setup", &[&[], &["source", "s"], &["pool", "p", "s"]]),
    ("listener_domains:setup", &[&["example.com"], &["listener", "127.0.0.1:25", "example.com"]]),
    (
        "shaping:setup",
        &[&["example.com"], &["example.com", "sources", "s"], &["provider", "p"], &["provider", "p", "match", "0"]],
    ),
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
        std::fs::write(&path, include_str!("options_tests.lua")).expect("write the policy");
        let collector = Arc::new(Collector::default());
        let parts = Parts::alone(collector.clone(), false);
        let engine = load(&Policy::File(path.clone()), dir.path(), parts).await.expect("the policy");
        Policies { engine, collector, path, dir }
    }

    /// The names that an event gives, in order.
    async fn names(&self, event: &str) -> Vec<String> {
        let names = self.engine.call(event, Vec::new()).await.expect("a list");
        let PolicyValue::Json(Value::Array(names)) = names.first() else { panic!("{names:?}") };
        let mut names: Vec<String> = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The functions that take nothing but a table of options.
    async fn functions(&self) -> Vec<String> {
        let starts = ["make_", "define_", "configure_", "start_"];
        let takes_options = |name: &&str| {
            let own = name.rsplit('.').next().unwrap_or_default();
            // These take a message's parts, a name with a rate, and a path.
            let others = ["make_message", "make_throttle", "configure_accounting_db_path"];
            starts.iter().any(|start| own.starts_with(start)) && !others.contains(&own)
        };
        let all = self.names("functions").await;
        all.into_iter().filter(|name| takes_options(&name.as_str())).collect()
    }

    /// What the function says to a section, without the section itself; `None` when it takes it.
    async fn refusal(&self, what: &str, section: &Value) -> Option<String> {
        let folder = self.dir.path().display().to_string();
        let args =
            vec![PolicyValue::from(what), PolicyValue::Json(section.clone()), PolicyValue::from(folder.as_str())];
        let result = self.engine.call("init", args).await;
        // What was bound is let go, and every name is free again.
        drop(self.collector.take());
        let error = result.err()?.to_string();
        let place = format!("{}:", self.path.display());
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
            "log_hooks:new" | "log_hooks:new_disposition_hook" => json!({"name": "hook"}),
            "log_hooks:new_json" => json!({"name": "hook", "url": "https://example.com/hook"}),
            "shaping:setup" => json!({"provider": {"p": {"match": [{"HostName": "mx.example"}]}}}),
            "queue:setup_with_options" => json!({"file_names": []}),
            "kumo.memoize" => json!({"name": "cache", "ttl": 1, "capacity": 1}),
            "kumo.spawn_task" => json!({"event_name": "nobody"}),
            "kumo.spawn_thread_pool" => json!({"name": "pool", "num_threads": 1}),
            "kumo.generate_rfc3464_message" => json!({"reporting_mta": {"name": "mta.example"}}),
            "kumo.jsonl.new_tailer" => json!({"directory": folder}),
            "kumo.jsonl.new_multi_tailer" => json!({"directory": folder, "consumers": [{"name": "one"}]}),
            "kumo.jsonl.new_writer" => json!({"log_dir": folder}),
            "msg:set_scheduling" => json!({"dow": "Mon", "tz": "UTC", "start": "10:00", "end": "11:00"}),
            what if what.ends_with("aws_sign_v4") => {
                json!({"access_key": "A", "secret_key": "S", "region": "r", "service": "s"})
            }
            what if what.starts_with("kumo.api.inject.") => json!({
                "envelope_sender": "a@example.com",
                "recipients": [{"email": "b@example.com"}],
                "content": "Subject: x\r\n\r\ny",
            }),
            "kumo.api.admin.suspend_ready_q.suspend" => json!({"name": "queue", "reason": "a test"}),
            what if what.starts_with("kumo.api.admin.") => json!({"reason": "a test"}),
            "msg:import_headers" => json!({"name": "X-Name"}),
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
        let first = base.get(0).cloned().unwrap_or_else(|| json!({}));
        return json!([with(&first, rest, value)]);
    }
    let mut section = base.as_object().cloned().unwrap_or_default();
    let inner = section.get(key).cloned().unwrap_or_else(|| json!({}));
    section.insert(key.clone(), with(&inner, rest, value));
    section.into()
}

/// What stands at a place of a section.
fn at<'a>(section: &'a Value, place: &[String]) -> Option<&'a Value> {
    place.iter().try_fold(section, |inner, key| if key == "0" { inner.get(0) } else { inner.get(key) })
}

/// The names that a refusal says would have been right.
fn accepted(refusal: &str) -> Vec<String> {
    let behind = refusal.rsplit_once("xpected").map_or("", |(_, behind)| behind);
    let line = behind.lines().next().unwrap_or_default();
    let mark = if line.contains('`') { '`' } else { '\'' };
    let is_name = |word: &&str| !word.contains([':', '.']);
    line.split(mark).skip(1).step_by(2).filter(is_name).map(str::to_owned).collect()
}

fn says_what_is_accepted(refusal: &str) -> bool {
    // The latter ones are of values that are of the right type, and cannot be had or meant.
    let phrases = ["expected", "Expected", "is to be", "is neither"];
    let others = ["` needs `", "cannot read", "belongs to the whole listener", "is not supported yet", " such as '"];
    phrases.iter().chain(&others).any(|words| refusal.contains(words))
}

/// What is no value of most options, and what may be a key in front of one, each with what it is.
fn nonsense() -> Vec<(&'static str, Value)> {
    let strange = json!({ NOBODY: { INNER: [true] } });
    vec![
        ("a strange table", strange.clone()),
        ("a list of strange tables", json!([strange])),
        ("a record type with a strange table", json!({"Any": strange})),
        ("a network with a strange table", json!({"192.0.2.0/24": strange})),
        ("a constructor of a strange table", json!({"custom_lua": strange})),
        ("hosts of a strange table", json!({"smtp": strange})),
        ("a switch", json!(true)),
        ("control characters", json!(CONTROL)),
        ("an empty text", json!("")),
        ("nothing", json!(0)),
        ("a negative number", json!(-1)),
        ("one and a half", json!(1.5)),
        ("a number without end", json!(1e300)),
        ("a text of a huge number", json!("18446744073709551616")),
        ("a list in lists", json!([[["a"]]])),
        ("a list of lists", json!([["name"]])),
        ("a list in a table", json!({"name": ["name"]})),
        ("a list in a network", json!({"192.0.2.0/24": ["name"]})),
        ("a list of switches", json!([true])),
        ("a list of numbers", json!([1])),
        ("a list with control characters", json!([CONTROL])),
        ("a list with an empty text", json!([""])),
        ("a table of switches", json!({"name": true})),
    ]
}

/// Whether an option may take what it took; `switch` is how it refused a switch. A switch takes switches and nothing else.
fn may_take(function: &str, option: &[String], what: &str, taken: &[&str], switch: &str) -> bool {
    let name = option.last().map_or("", String::as_str);
    // Both functions of it take the same.
    let function = if function.starts_with("kumo.api.inject.") { "kumo.api.inject" } else { function };
    let full = format!("{function} {name}");
    taken == ["a switch"]
        || ANYTHING.iter().any(|(option, _)| *option == name)
        || TAKEN_BY_TYPE.iter().any(|(kind, words, _)| *kind == what && switch.contains(words))
        || TAKEN
            .iter()
            .any(|(kind, options, _)| *kind == what && (options.contains(&name) || options.contains(&full.as_str())))
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
        let (mut waiting, mut walked) = (vec![place], HashSet::new());
        while let Some(place) = waiting.pop() {
            let names = self.names(&place).await;
            // Under a name that is the operator's one is as good as another.
            let above = place.split_last().map(|(_, above)| above.to_vec());
            if !walked.insert((above, names.clone())) {
                continue;
            }
            for name in names {
                let option = [place.clone(), vec![name]].concat();
                self.options += 1;
                let inner = self.option(&option).await;
                waiting.extend(inner.into_iter().filter(|place| place.len() < 2 * DEPTH));
            }
        }
    }

    /// An option that is none is refused; the names of those that are.
    async fn names(&mut self, place: &[String]) -> Vec<String> {
        if let Some((_, options)) = LAX.iter().find(|(function, _)| *function == self.what) {
            return options.iter().map(|option| (*option).to_owned()).collect();
        }
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

    /// What is said to a value, with what it cannot do without beside it.
    async fn refusal_of(&self, option: &[String], value: &Value) -> Option<String> {
        let mut section = with(&self.policies.base(self.what), option, value.clone());
        loop {
            let said = self.policies.refusal(self.what, &section).await?;
            let Some(missing) = said.split_once("missing field `").and_then(|(_, rest)| rest.split('`').next()) else {
                return Some(said);
            };
            let other = BESIDE.iter().find(|(name, _)| *name == missing).map_or("5 mins", |(_, text)| *text);
            let place = [&option[..option.len() - 1], &[missing.to_owned()]].concat();
            // What is missing is missing in the value itself.
            if place == option || at(&section, &place).is_some() {
                return Some(said);
            }
            section = with(&section, &place, json!(other));
        }
    }

    /// Values that are none are refused by the option's name; gives the tables that may be in it.
    async fn option(&mut self, option: &[String]) -> Vec<Place> {
        let name = option.last().expect("a name").clone();
        let (mut inner, mut taken, mut list, mut switch) = (Vec::new(), Vec::new(), false, String::new());
        for (what, value) in nonsense() {
            let Some(said) = self.refusal_of(option, &value).await else {
                taken.push(what);
                continue;
            };
            if what == "a switch" {
                switch.clone_from(&said);
            }
            list |= said.contains("a sequence") || said.contains("a list");
            inner.extend(below(&value, &said).map(|keys| [option, &keys].concat()));
            // Within a table whose names are the operator's the unknown name says more.
            if !said.contains(&name) && !said.contains(NOBODY) {
                self.fault(option, &said, &format!("{value} is refused without the option's name"));
            }
            if !says_what_is_accepted(&said) {
                self.fault(option, &said, &format!("{value} is refused without what is accepted"));
            }
        }
        for what in &taken {
            if !may_take(self.what, option, what, &taken, &switch) {
                self.fault(option, "nothing", &format!("it takes {what}"));
            }
        }
        if list {
            let section = with(&self.policies.base(self.what), option, json!({}));
            let said = self.policies.refusal(self.what, &section).await;
            if let Some(said) = said.filter(|said| !said.contains("expected at least one")) {
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
    let unknown =
        |name: &str| ['`', '\''].iter().any(|mark| said.contains(&format!("unknown field {mark}{name}{mark}")));
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
    let (faults, options) = walked(&policies, &functions).await;
    assert!(faults.is_empty(), "{} faults in {options} options:\n{}", faults.len(), faults.join("\n"));
    assert!(options > 150, "only {options} options were found");
}

#[tokio::test]
async fn every_option_of_helpers_and_of_functions_that_take_more_than_options_is_refused_likewise() {
    let policies = Policies::new().await;
    let (faults, options) = walked(&policies, &policies.names("calls").await).await;
    assert!(faults.is_empty(), "{} faults in {options} options:\n{}", faults.len(), faults.join("\n"));
    assert!(options > 150, "only {options} options were found");
}

#[tokio::test]
async fn a_test_resolver_takes_texts_of_zones_and_nothing_else() {
    const NAME: &str = "kumo.dns.configure_test_resolver";
    let policies = Policies::new().await;
    assert_eq!(policies.refusal(NAME, &json!(["example.com. 60 A 192.0.2.1"])).await, None);
    let wrong =
        nonsense().into_iter().filter(|(what, _)| !["an empty text", "a list with an empty text"].contains(what));
    for (what, zones) in wrong {
        let said = policies.refusal(NAME, &zones).await.unwrap_or_else(|| panic!("{what} is taken"));
        assert!(said.contains(NAME) && says_what_is_accepted(&said), "{zones}: {said}");
    }
}

/// Walks these functions; what was wrong, and how many options there are.
async fn walked(policies: &Policies, functions: &[String]) -> (Vec<String>, usize) {
    let (mut faults, mut options) = (Vec::new(), 0);
    for what in functions {
        let base = policies.base(what);
        if let Some(said) = policies.refusal(what, &base).await {
            faults.push(format!("{what} {base} is to be taken: {said}"));
        }
        for section in [json!("text"), json!(1), json!(true), json!(["a", "b"]), Value::Null] {
            if TAKES_ELSE.iter().any(|(function, other, _)| {
                function == what && serde_json::from_str::<Value>(other).is_ok_and(|other| other == section)
            }) {
                continue;
            }
            match policies.refusal(what, &section).await {
                Some(said) if says_what_is_accepted(&said) => {}
                said => faults.push(format!("{what} {section}: not refused with what is accepted: {said:?}")),
            }
        }
        let mut walk = Walk { policies, what, faults: &mut faults, options: 0 };
        let places = PLACES.iter().find(|(function, _)| function == what).map_or(WHOLE, |(_, places)| *places);
        for place in places {
            walk.table(place.iter().map(|key| (*key).to_owned()).collect()).await;
        }
        options += walk.options;
    }
    (faults, options)
}
