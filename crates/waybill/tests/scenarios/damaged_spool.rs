//! A spool whose files are not as the daemon left them: what was being written when the machine died is dropped, and
//! anything else is refused with its place, so that nothing that was accepted is silently gone.

use crate::harness::{Daemon, Home};
use crate::restart::Stage;
use std::fs;
use std::path::{Path, PathBuf};

/// The files of the database with this ending, in order.
fn files(home: &Home, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.file("spool/meta")).expect("list the spool");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths
        .retain(|path| path.to_string_lossy().ends_with(ending) && fs::metadata(path).is_ok_and(|file| file.len() > 0));
    paths.sort();
    paths
}

/// The log that was written last: it has everything, as nothing else was written yet.
fn last_log(home: &Home) -> PathBuf {
    files(home, ".log").pop().expect("a log of the database")
}

/// Changes a byte in the middle of a file; the place and what was there.
fn damage(path: &Path) -> (usize, u8) {
    let mut bytes = fs::read(path).expect("read a file of the spool");
    let place = bytes.len() / 2;
    let was = bytes[place];
    bytes[place] = !was;
    fs::write(path, bytes).expect("change a file of the spool");
    (place, was)
}

fn mend(path: &Path, (place, was): (usize, u8)) {
    let mut bytes = fs::read(path).expect("read a file of the spool");
    bytes[place] = was;
    fs::write(path, bytes).expect("mend a file of the spool");
}

/// What a write leaves that is cut off behind so many bytes of a log: a checksum, a length, a kind, and less than that
/// length. A record ends with its block of 32 KiB, where RocksDB goes on with another one.
fn begin_of_a_record(written: usize) -> Vec<u8> {
    const BLOCK: usize = 32 * 1024;
    const HEADER: usize = 7;
    let room = BLOCK - written % BLOCK;
    // Too little for a header and two bytes is left empty.
    let (empty, room) = if room < HEADER + 2 { (room, BLOCK) } else { (0, room) };
    let length = (room - HEADER).min(5000);
    let [low, high] = u16::try_from(length).expect("a length").to_le_bytes();
    let header = [0x17, 0x2a, 0x3b, 0x4c, low, high, 1];
    [&vec![0; empty][..], &header, &vec![b'x'; (length - 1).min(400)]].concat()
}

#[test]
fn a_write_that_was_cut_off_is_dropped_and_all_that_was_accepted_is_there() {
    // Room that was reserved and never written to.
    for tail in [begin_of_a_record, |_: usize| vec![0; 5000]] {
        let stage = Stage::set();
        let (daemon, ids) = stage.fill();
        daemon.kill9();
        let log = last_log(&stage.home);
        let mut bytes = fs::read(&log).expect("read the log");
        bytes.extend(tail(bytes.len()));
        fs::write(&log, bytes).expect("write the log");
        let daemon = Daemon::start(&stage.home, &stage.policy);
        stage.assert_complete(daemon, &ids);
    }
}

#[test]
fn a_log_that_is_damaged_before_its_end_is_refused_with_its_place_and_nothing_is_changed() {
    let stage = Stage::set();
    let (daemon, ids) = stage.fill();
    daemon.kill9();
    let log = last_log(&stage.home);
    let damaged = damage(&log);
    let before = fs::read(&log).expect("read the log");
    for _ in 0..2 {
        let refusal = Daemon::refused(&stage.home, &stage.policy);
        refusal.says(&["spool", log.to_str().expect("a path"), "is damaged at byte", "truncate"]);
    }
    assert_eq!(fs::read(&log).expect("read the log"), before, "it was left as it was");
    mend(&log, damaged);
    let daemon = Daemon::start(&stage.home, &stage.policy);
    stage.assert_complete(daemon, &ids);
}

#[test]
fn a_list_of_files_that_is_damaged_is_refused_with_its_path_and_nothing_is_changed() {
    let stage = Stage::set();
    let (daemon, ids) = stage.fill();
    daemon.kill9();
    let current = fs::read_to_string(stage.home.file("spool/meta/CURRENT")).expect("read which list it is");
    let list = stage.home.file("spool/meta").join(current.trim());
    let damaged = damage(&list);
    Daemon::refused(&stage.home, &stage.policy).says(&["the spool", "spool/meta", "cannot be opened", "orruption"]);
    mend(&list, damaged);
    let daemon = Daemon::start(&stage.home, &stage.policy);
    stage.assert_complete(daemon, &ids);
}

#[test]
fn a_table_that_is_damaged_is_told_of_and_nothing_that_was_accepted_is_dropped() {
    let stage = Stage::set();
    let (daemon, ids) = stage.fill();
    daemon.stop();
    // Opening writes what the log held into tables.
    let daemon = Daemon::start(&stage.home, &stage.policy);
    daemon.stop();
    let tables = files(&stage.home, ".sst");
    assert!(!tables.is_empty(), "there are tables");
    let damaged: Vec<_> = tables.iter().map(|table| damage(table)).collect();
    Daemon::refused(&stage.home, &stage.policy).says(&["spool/meta", "orruption"]);
    for (table, place) in tables.iter().zip(damaged) {
        mend(table, place);
    }
    let daemon = Daemon::start(&stage.home, &stage.policy);
    stage.assert_complete(daemon, &ids);
}
