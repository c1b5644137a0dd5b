//! Every target over its corpus, and over inputs made of it by a seed: as many as it says, however long that takes.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use waybill_fuzz_targets::{Mutator, TARGETS, Target, find};

/// Inputs that are made up for each target; `WAYBILL_FUZZ_RUNS` makes them more.
const RUNS: u64 = 4000;
/// Where they begin; `WAYBILL_FUZZ_SEED` begins elsewhere.
const SEED: u64 = 1;

fn folder(target: Target) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "corpus", target.name].iter().collect()
}

fn corpus(target: Target) -> Vec<(String, Vec<u8>)> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let input = fs::read(&path).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), input)
    };
    files.into_iter().map(read).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is to be a number, got {text:?}")),
        Err(_) => default,
    }
}

/// Runs one input, and says how to run it again when something does not hold.
fn feed(target: Target, input: &[u8], what: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err() {
        let kept = std::env::temp_dir().join(format!("waybill-fuzz-{}", target.name));
        let kept = fs::write(&kept, input).map_or_else(|error| error.to_string(), |()| kept.display().to_string());
        panic!(
            "{}, {what}: see above. The input is in {kept}; once mended, keep it as {}/found-WHAT\n{}",
            target.name,
            folder(target).display(),
            input.escape_ascii()
        );
    }
}

fn holds(name: &str) {
    let target = find(name).expect("a target");
    let corpus = corpus(target);
    assert!(corpus.len() >= 3, "{name} has hardly a corpus");
    for (file, input) in &corpus {
        feed(target, input, file);
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let seed = number("WAYBILL_FUZZ_SEED", SEED);
    let mut mutator = Mutator::new(seed);
    for run in 0..number("WAYBILL_FUZZ_RUNS", RUNS) {
        let input = mutator.next(&inputs, target.words);
        feed(target, &input, &format!("WAYBILL_FUZZ_SEED={seed}, run {run}"));
    }
}

/// A test for each target, so that they run side by side.
macro_rules! targets {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            holds($name);
        })*

        #[test]
        fn every_target_has_a_test_here() {
            let tested = [$($name),*];
            for target in TARGETS {
                assert!(tested.contains(&target.name), "{} has no test", target.name);
            }
            assert_eq!(tested.len(), TARGETS.len());
        }
    };
}

targets! {
    a_conversation_is_what_its_bytes_say_in_whatever_pieces_they_come: "smtp_session",
    nothing_is_said_before_a_proxy_has_named_the_client: "proxy_header",
    an_edited_header_leaves_all_others_as_they_were: "mime_headers",
    a_part_is_changed_where_it_was_and_all_else_is_as_it_was: "mime_parts",
    a_report_yields_no_more_than_it_may: "reports",
    an_injection_gives_messages_or_names_the_field: "injection",
    every_request_gets_an_answer_with_a_reason: "http_request",
    a_request_about_logs_is_done_or_refused_with_a_code_and_then_nothing_has_changed: "logs_request",
    an_answer_says_the_same_in_whatever_pieces_it_comes: "http_answer",
    a_queue_name_is_its_parts: "queue_name",
    a_rate_prints_as_it_parses: "throttle_spec",
    words_print_as_they_parse: "words",
    a_table_is_refused_with_a_sentence_or_reads_as_it_is_shown: "config_table",
    a_zone_is_refused_with_its_line_or_answers: "dns_zone",
    a_policy_of_mta_sts_is_refused_or_means_what_it_says: "mta_sts",
    what_we_sign_verifies_and_what_we_seal_holds_whatever_the_mail_is: "mail_signatures",
    a_record_of_spf_is_followed_to_an_end: "spf_record",
    nobody_is_believed_without_the_secret_and_whoever_has_it_is: "ingress",
    a_frame_is_refused_with_a_reason_or_reads_as_it_was_written: "lambda_frame",
    what_is_sealed_opens_in_its_place_alone_and_anything_else_is_refused: "sealed",
    a_condition_is_refused_with_a_reason_or_says_the_same_each_time: "condition",
    a_template_is_refused_with_a_reason_and_renders_nothing_twice: "template",
    a_filter_says_the_same_each_time_and_the_index_misses_nobody: "hook_filter",
    headers_are_refused_with_a_reason_or_each_is_one_header: "headers",
}
