//! The `maildir_path` protocol.

use crate::support::*;
use serde_json::{Value as Json, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use tempfile::TempDir;
use waybill_delivery::{BatchPolicy, ConnectContext, DeliveryProtocol, Fate, Outcome};
use waybill_maildir::Maildir;
use waybill_spool::Message;
use waybill_types::{EnhancedCode, QueueName};

fn section(root: &TempDir, template: &str) -> Json {
    json!({"maildir_path": format!("{}/{template}", root.path().display())})
}

/// The one outcome of one message.
async fn deliver_one(section: &Json, message: &Message) -> Outcome {
    let outcome = deliver(&Maildir::new(now), section, std::slice::from_ref(message)).await;
    assert_eq!((outcome.outcomes.len(), outcome.peer_spoke, outcome.session), (1, false, Fate::Keep));
    outcome.outcomes.into_iter().next().unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Everything below a folder that is no folder.
fn all_files(folder: &Path) -> Vec<PathBuf> {
    let (folders, mut found): (Vec<_>, Vec<_>) = files(folder).into_iter().partition(|path| path.is_dir());
    found.extend(folders.iter().flat_map(|folder| all_files(folder)));
    found
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_message_becomes_a_file_in_new() {
    let root = TempDir::new().unwrap();
    let section = section(&root, "{{ domain_part }}/{{ local_part }}");
    let Outcome::Delivered(response) = deliver_one(&section, &message(&["rcpt@Example.com"])).await else { panic!() };
    let folder = root.path().join("example.com/rcpt");
    let [file] = files(&folder.join("new")).try_into().unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), BODY);
    assert!(files(&folder.join("tmp")).is_empty() && files(&folder.join("cur")).is_empty());
    let name = file_name(&file);
    assert_eq!(response.code, 200);
    assert_eq!(response.enhanced_code, None);
    assert_eq!(response.content, format!("rcpt@Example.com: wrote to maildir with id={name}"));
    // As in samples/records.jsonl: 1795450376.#0M216538202P15265V65024I10035249.mta.example,S=297
    let (metadata, pid) = (fs::metadata(&file).unwrap(), std::process::id());
    let start = format!("1795450376.#0M216538202P{pid}V{}I{}.", metadata.dev(), metadata.ino());
    assert!(name.starts_with(&start) && name.ends_with(&format!(",S={}", BODY.len())), "{name}");
}

#[tokio::test]
async fn each_recipient_gets_a_file() {
    let root = TempDir::new().unwrap();
    let section = section(&root, "{{ email }}");
    let outcome = deliver_one(&section, &message(&["a@x.example", "b@x.example"])).await;
    let names: Vec<_> = ["a@x.example", "b@x.example"]
        .map(|folder| files(&root.path().join(folder).join("new")))
        .map(|files| file_name(&files[0]).to_owned())
        .into();
    let said = format!(
        "a@x.example: wrote to maildir with id={}, b@x.example: wrote to maildir with id={}",
        names[0], names[1]
    );
    assert_eq!(outcome.response().content, said);
}

#[tokio::test]
async fn many_deliveries_of_one_moment_do_not_collide() {
    let root = TempDir::new().unwrap();
    let protocol = Maildir::new(now);
    let section = section(&root, "all");
    let deliver_ten = || async {
        let batch: Vec<_> = (0..10).map(|_| message(&["a@x.example", "b@x.example"])).collect();
        deliver(&protocol, &section, &batch).await
    };
    let all = futures::future::join_all((0..5).map(|_| deliver_ten())).await;
    let fine = |outcome: &Outcome| matches!(outcome, Outcome::Delivered(_));
    assert!(all.iter().all(|outcome| outcome.outcomes.len() == 10 && outcome.outcomes.iter().all(fine)));
    assert_eq!(files(&root.path().join("all/new")).len(), 100);
    assert!(files(&root.path().join("all/tmp")).is_empty());
}

#[tokio::test]
async fn modes_apply_to_what_is_created_whatever_the_umask() {
    let root = TempDir::new().unwrap();
    let mut section = section(&root, "deep/{{ local_part }}");
    section["dir_mode"] = 0o2777.into();
    section["file_mode"] = 0o666.into();
    let before = mode(root.path());
    deliver_one(&section, &message(&["a@x.example"])).await;
    for folder in ["deep", "deep/a", "deep/a/tmp", "deep/a/new", "deep/a/cur"] {
        assert_eq!(mode(&root.path().join(folder)), 0o2777, "{folder}");
    }
    assert_eq!(mode(&files(&root.path().join("deep/a/new"))[0]), 0o666);
    assert_eq!(mode(root.path()), before, "what was there stays as it was");
}

#[tokio::test]
async fn a_local_part_cannot_leave_its_place() {
    let outside = TempDir::new().unwrap();
    let root = outside.path().join("mail");
    for (recipient, named) in
        [("a/b@x.example", "a/b"), ("/etc/passwd@x.example", "/etc/passwd"), ("\"../../up\"@x.example", "../../up")]
    {
        let section = json!({"maildir_path": format!("{}/{{{{ local_part }}}}", root.display())});
        let Outcome::Permanent(response) = deliver_one(&section, &message(&[recipient])).await else { panic!() };
        assert_eq!(response.code, 550);
        assert_eq!(response.enhanced_code, Some(EnhancedCode { class: 5, subject: 1, detail: 3 }));
        assert!(response.content.starts_with(recipient) && response.content.contains(named), "{response}");
    }
    assert!(files(outside.path()).is_empty());
}

#[tokio::test]
async fn a_message_with_one_impossible_recipient_is_written_for_nobody() {
    let root = TempDir::new().unwrap();
    let section = section(&root, "{{ local_part }}");
    let outcome = deliver_one(&section, &message(&["a@x.example", "b/c@x.example"])).await;
    assert!(matches!(outcome, Outcome::Permanent(_)));
    assert!(all_files(root.path()).is_empty());
    // The second recipient's folder cannot be made: where `b` should be there is a file.
    fs::write(root.path().join("b"), "").unwrap();
    let outcome = deliver_one(&section, &message(&["a@x.example", "b@x.example"])).await;
    assert!(matches!(outcome, Outcome::Transient(..)));
    assert_eq!(all_files(root.path()), [root.path().join("b")]);
}

#[tokio::test]
async fn trouble_with_the_disk_names_path_and_reason_and_is_tried_again() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let Outcome::Transient(response, None) = deliver_one(&section(&root, "file/x"), &message(&["a@x.example"])).await
    else {
        panic!()
    };
    let path = root.path().join("file");
    assert_eq!((response.code, response.enhanced_code.map(|code| code.class)), (451, Some(4)));
    let start = format!("a@x.example: failed to write to maildir {}", path.display());
    assert!(response.content.starts_with(&start) && response.content.contains("os error"), "{response}");
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_tried_again_until_it_may() {
    let root = TempDir::new().unwrap();
    let section = section(&root, "box");
    deliver_one(&section, &message(&["a@x.example"])).await;
    let tmp = root.path().join("box/tmp");
    fs::set_permissions(&tmp, Permissions::from_mode(0o500)).unwrap();
    // Root writes anywhere: nothing to see then.
    if fs::write(tmp.join("probe"), "").is_err() {
        let outcome = deliver_one(&section, &message(&["a@x.example"])).await;
        assert!(matches!(outcome, Outcome::Transient(..)), "{outcome:?}");
    }
    fs::set_permissions(&tmp, Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(deliver_one(&section, &message(&["a@x.example"])).await, Outcome::Delivered(_)));
}

#[tokio::test]
async fn a_name_that_no_file_system_takes_is_refused() {
    let root = TempDir::new().unwrap();
    let domain = ["d".repeat(60), "e".repeat(60), "f".repeat(60), "g".repeat(60)].join(".");
    let recipient = format!("{}@{domain}", "a".repeat(60));
    let outcome = deliver_one(&section(&root, "{{ email }}"), &message(&[&recipient])).await;
    assert!(matches!(&outcome, Outcome::Permanent(response) if response.code == 550), "{outcome:?}");
}

#[tokio::test]
async fn a_name_that_the_template_lacks_is_the_operator_s_to_mend() {
    let root = TempDir::new().unwrap();
    let outcome = deliver_one(&section(&root, "{{ tenant }}"), &message(&["a@x.example"])).await;
    let Outcome::Transient(response, None) = outcome else { panic!("{outcome:?}") };
    assert_eq!((response.code, response.enhanced_code.map(|code| code.detail)), (451, Some(5)));
    let with_tenant = message(&["a@x.example"]);
    with_tenant.set_meta("tenant", json!("t1"));
    assert!(matches!(deliver_one(&section(&root, "{{ tenant }}"), &with_tenant).await, Outcome::Delivered(_)));
    assert_eq!(files(&root.path().join("t1/new")).len(), 1);
}

#[test]
fn the_route_shows_in_records_what_records_of_a_maildir_show() {
    let protocol = Maildir::new(now);
    assert_eq!(protocol.name(), "maildir_path");
    let template = "/m/{{ domain_part }}";
    let route = route(&protocol, "c1:t1@example.com!routed.example", &json!({"maildir_path": template}));
    let name = "unspecified->routed.example@maildir:/m/{{ domain_part }}";
    assert_eq!(route.ready_queue().as_str(), name);
    assert_eq!((route.site(), route.protocol(), route.shows_egress()), ("", "Maildir", false));
    assert_eq!(route.batch(), BatchPolicy::single());
}

#[test]
fn a_section_that_makes_no_sense_is_refused_with_the_field() {
    for (section, names) in [
        (json!({}), "maildir_path"),
        (json!({"maildir_path": "/m/{{ local_part"}), "maildir_path"),
        (json!({"maildir_path": "/m", "colour": 1}), "`colour`"),
        (json!({"maildir_path": "/m", "dir_mode": 755}), "dir_mode"),
        (json!({"maildir_path": "/m", "file_mode": 644}), "file_mode"),
    ] {
        let error = complaint(&Maildir::new(now), &section);
        assert!(error.starts_with("protocol.") && error.contains(names), "{error}");
    }
}

#[tokio::test]
async fn a_disk_that_hangs_is_given_up_with_its_session() {
    let root = TempDir::new().unwrap();
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    // The clock stands in for the disk: both are asked on the thread that may block.
    let protocol = Maildir::new(move || {
        let _ = held.lock().unwrap().recv();
        now()
    });
    let context = ConnectContext {
        representative: QueueName::new("example.com"),
        session_id: "s1".into(),
        watchdog: Duration::from_millis(20),
    };
    let route = route(&protocol, "example.com", &section(&root, "box"));
    let mut session = route.connect(context).await.unwrap();
    let outcome = session.deliver(&[message(&["a@x.example"])]).await;
    assert_eq!((outcome.session, outcome.peer_spoke), (Fate::Broken, false));
    let [Outcome::Transient(response, None)] = outcome.outcomes.as_slice() else { panic!("{outcome:?}") };
    assert!(response.to_string().starts_with("451 4.4.1 dispatcher watchdog aborted task; "), "{response}");
    // Nobody knows what became of it: here it arrives after all.
    drop(release);
    while !root.path().join("box/new").is_dir() || files(&root.path().join("box/new")).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
