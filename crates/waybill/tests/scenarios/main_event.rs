//! `--script`: the policy as a program; and what the program knows of itself.

use crate::harness::daemon::{program, serve};
use crate::harness::{Daemon, Home, Policy};
use serde_json::Value;
use std::process::{Command, Output};

const POLICY: &str = "
kumo.on('main', function(...)
  local given = { ... }
  if given[1] == 'fail' then error 'I was told to' end
  local out = io.open(dir .. '/out', 'w')
  for _, arg in ipairs(given) do
    out:write(type(arg), ' ', arg, '\\n')
  end
  out:close()
end)";

fn script(home: &Home, args: &[&str]) -> Output {
    let mut command: Command = serve(home);
    command.arg("--script").args(args).output().expect("run the script")
}

#[test]
fn main_gets_its_arguments_as_texts_the_older_ones_first_and_nothing_is_opened() {
    let home = Home::new();
    home.write_policy(&Policy::new(POLICY).text(&home));
    let done = script(&home, &["--script-args", "-1", "--script-args", "two words", "--", "3", "--four"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let written = std::fs::read_to_string(home.file("out")).expect("what main wrote");
    assert_eq!(written, "string -1\nstring two words\nstring 3\nstring --four\n");
    assert!(!home.file("spool").exists() && !home.file("logs").exists());
    assert!(!String::from_utf8_lossy(&done.stderr).contains("listener on"));
}

#[test]
fn what_goes_wrong_in_main_is_the_failure_of_the_program() {
    let home = Home::new();
    home.write_policy(&Policy::new(POLICY).text(&home));
    Daemon::refuses(serve(&home).args(["--script", "--", "fail"])).says(&["I was told to", "policy.lua:"]);
    home.write_policy(&Policy::new("").text(&home));
    Daemon::refuses(serve(&home).arg("--script")).says(&["kumo.on('main'"]);
    for args in [&["--script-args", "x"][..], &["--", "x"], &["--script", "--validate"]] {
        let refused = serve(&home).args(args).output().expect("run it");
        assert_eq!(refused.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&refused.stderr));
    }
}

#[test]
fn what_the_program_knows_of_itself_is_printed_as_json_without_a_policy() {
    let dump = |flag: &str| -> Value {
        let output = program().args(["serve", flag]).output().expect("run it");
        assert!(output.status.success(), "{flag}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{flag}: {error}"))
    };
    assert!(dump("--dump-openapi-spec")["paths"]["/api/admin/trace-smtp-server/v1"]["get"].is_object());
    let caches = dump("--dump-lruttl-caches");
    let acl = caches.as_array().expect("a list").iter().find(|cache| cache["name"] == "get_acl_definition");
    assert_eq!(acl.expect("the cache of access lists")["ttl"], "1m");
    let metrics = dump("--dump-metric-metadata");
    let ready = metrics.as_array().expect("a list").iter().find(|metric| metric["name"] == "ready_count");
    assert_eq!(ready.expect("a metric")["type"], "gauge");
}

#[test]
fn diagnostics_go_to_a_file_of_the_hour() {
    let home = Home::new();
    home.write_policy(&Policy::new("").text(&home));
    let dir = home.state().join("diag");
    let daemon = Daemon::start_as(serve(&home).arg("--diag-log-dir").arg(&dir));
    daemon.stop();
    let files: Vec<_> =
        std::fs::read_dir(&dir).expect("the directory").map(|file| file.expect("a file").path()).collect();
    assert!(files.iter().all(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log."))));
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).expect("lines")).collect();
    assert!(text.contains("shutting down") && text.contains("stopped"), "{text}");
}

#[test]
fn diagnostics_have_the_form_that_is_asked_for() {
    let home = Home::new();
    home.write_policy(&Policy::new("").text(&home));
    let lines_of = |format: &str| -> Vec<String> {
        let dir = home.state().join(format);
        let mut command = serve(&home);
        Daemon::start_as(command.args(["--diag-format", format, "--diag-log-dir"]).arg(&dir)).stop();
        let files = std::fs::read_dir(&dir).expect("the directory").map(|file| file.expect("a file").path());
        let text: String = files.map(|file| std::fs::read_to_string(file).expect("lines")).collect();
        text.lines().map(str::to_owned).collect()
    };
    const WORDS: &str = "SIGTERM: shutting down";
    let json = lines_of("json");
    let records: Vec<Value> = json.iter().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let stop = records.iter().find(|record| record["fields"]["message"] == WORDS).expect("the line about the stop");
    assert_eq!(stop["level"], "INFO");
    let line_with = |lines: &[String]| lines.iter().find(|line| line.contains(WORDS)).expect("the line").clone();
    let (full, compact) = (line_with(&lines_of("full")), line_with(&lines_of("compact")));
    for line in [&full, &compact] {
        assert!(line.contains(" INFO ") && line.ends_with(WORDS), "{line}");
    }
    assert!(full.contains("waybill::"), "who says it stands in front: {full}");
    let pretty = lines_of("pretty");
    let place = pretty.iter().position(|line| line.contains(WORDS)).expect("the line");
    assert!(pretty[place + 1].trim_start().starts_with("at crates/waybill/src/"), "{pretty:?}");
}
