//! Configuration that policy gives in `pre_init` and `init`.

mod support;

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use support::{complaint, policy};
use waybill_lua::{Engine, Setup};
use waybill_policy::PolicyHost;

#[derive(Default)]
struct Recorder(Mutex<Vec<(String, Json, String)>>);

impl Recorder {
    fn note(&self, what: String, section: Json, at: &str) {
        self.0.lock().unwrap().push((what, section, at.to_owned()));
    }

    fn noted(&self) -> Vec<(String, Json, String)> {
        self.0.lock().unwrap().clone()
    }
}

impl Setup for Recorder {
    fn configure(&self, what: &str, section: Json, at: &str) -> Result<Json, String> {
        if section["name"] == "taken" {
            return Err("A logging hook with name `taken` has already been registered".into());
        }
        self.note(what.to_owned(), section, at);
        Ok(json!({"port": 25}))
    }

    fn check(&self, what: &str, section: Json, at: &str) -> Result<(), String> {
        self.note(format!("check {what}"), section, at);
        Ok(())
    }
}

const NAMES: [&str; 4] = ["define_spool", "configure_log_hook", "start_esmtp_listener", "set_diagnostic_log_filter"];

async fn engine(code: &str, validating: bool) -> (Engine, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let builder = policy(code).setup(recorder.clone(), &NAMES).validating(validating);
    (builder.build().await.unwrap(), recorder)
}

#[tokio::test]
async fn sections_arrive_as_json_with_their_place() {
    let code = "kumo.on('pre_init', function()\n kumo.configure_log_hook { name = 'a', headers = { 'Subject' } }\nend)
        kumo.on('init', function()
          assert(kumo.start_esmtp_listener { listen = '127.0.0.1:0' }.port == 25)
          kumo.set_diagnostic_log_filter 'debug'
          kumo.define_spool('data', 1)
        end)";
    let (engine, recorder) = engine(code, false).await;
    engine.call("pre_init", vec![]).await.unwrap();
    engine.call("init", vec![]).await.unwrap();
    let expected: [(&str, Json, &str); 4] = [
        ("configure_log_hook", json!({"name": "a", "headers": ["Subject"]}), "init.lua:2"),
        ("start_esmtp_listener", json!({"listen": "127.0.0.1:0"}), "init.lua:5"),
        ("set_diagnostic_log_filter", json!("debug"), "init.lua:6"),
        ("define_spool", json!(["data", 1]), "init.lua:7"),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(w, s, a)| (w.to_owned(), s, a.to_owned())).collect();
    assert_eq!(recorder.noted(), expected);
}

#[tokio::test]
async fn a_handler_that_returns_what_configuration_returns_lets_the_next_run() {
    struct Quiet(Recorder);

    impl Setup for Quiet {
        fn configure(&self, what: &str, section: Json, at: &str) -> Result<Json, String> {
            self.0.note(what.to_owned(), section, at);
            Ok(Json::Null)
        }
    }

    let code = "for i = 1, 3 do kumo.on('pre_init', function() return kumo.configure_log_hook { name = i } end) end";
    let quiet = Arc::new(Quiet(Recorder::default()));
    let engine = policy(code).setup(quiet.clone(), &NAMES).build().await.unwrap();
    engine.call("pre_init", vec![]).await.unwrap();
    assert_eq!(quiet.0.noted().len(), 3);
}

#[tokio::test]
async fn a_refusal_is_raised_where_the_script_called() {
    let (engine, _) =
        engine("kumo.on('init', function()\nkumo.configure_log_hook { name = 'taken' } end)", false).await;
    assert_eq!(
        complaint(&engine, "init").await,
        "init.lua:2: A logging hook with name `taken` has already been registered"
    );
}

#[tokio::test]
async fn elsewhere_it_says_what_would_be_right() {
    let top = policy("kumo.define_spool {}").setup(Arc::new(Recorder::default()), &NAMES).build().await;
    let error = top.err().unwrap().to_string();
    assert!(error.contains("kumo.define_spool is called at the top level of the policy"), "{error}");
    let (engine, _) = engine("kumo.on('ev', function() kumo.define_spool {} end)", false).await;
    let error = complaint(&engine, "ev").await;
    assert!(error.contains("within the handler of 'ev'") && error.contains("'pre_init' and 'init'"), "{error}");
}

#[tokio::test]
async fn validation_opens_nothing_but_checks_everything() {
    let code = "assert(_VALIDATING_CONFIG == true)
        kumo.on('init', function()
          kumo.define_spool { name = 'data' }
          kumo.start_esmtp_listener { listen = 'x' }
          kumo.configure_log_hook { name = 'a' }
          kumo.validation_failed()
        end)";
    let (engine, recorder) = engine(code, true).await;
    assert!(!engine.validation_failed());
    engine.call("init", vec![]).await.unwrap();
    assert!(engine.validation_failed());
    let names: Vec<_> = recorder.noted().into_iter().map(|(what, ..)| what).collect();
    assert_eq!(names, ["check define_spool", "check start_esmtp_listener", "configure_log_hook"]);
}

#[tokio::test]
async fn outside_of_validation_the_global_is_absent() {
    engine("assert(_VALIDATING_CONFIG == nil)", false).await;
}
