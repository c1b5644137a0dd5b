//! Parts that cannot run here, said aloud.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// Where `cargo xtask test` reads what was left out: a line `WHAT<tab>COMMAND` each.
const LIST: &str = "WAYBILL_SKIPPED";
/// Where Debian keeps programs that are not for everybody's PATH.
const MORE_PLACES: [&str; 2] = ["/usr/sbin", "/usr/bin"];

/// Says what does not run, and the command that would make it run.
pub(crate) fn skip(what: &str, enable: &str) {
    eprintln!("skipped: {what}; to enable: {enable}");
    let Some(list) = std::env::var_os(LIST) else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(list).expect("open the list of what is skipped");
    file.write_all(format!("{what}\t{enable}\n").as_bytes()).expect("name what is skipped");
}

/// Where a program is; a part that needs it is skipped when it is nowhere.
pub(crate) fn program(part: &str, name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(MORE_PLACES.map(PathBuf::from));
    let found = places.map(|place| place.join(name)).find(|program| program.is_file());
    if found.is_none() {
        skip(&format!("{part} (no {name})"), &format!("sudo apt-get install {package}"));
    }
    found
}

/// A Python that has this module. Debian's comes first: its packages are for it alone.
pub(crate) fn python_with(part: &str, module: &str, package: &str) -> Option<PathBuf> {
    let imports = |python: &&str| {
        let asked = Command::new(python).args(["-c", &format!("import {module}")]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let found = ["/usr/bin/python3", "python3"].into_iter().find(imports);
    if found.is_none() {
        skip(&format!("{part} (no Python with {module})"), &format!("sudo apt-get install {package}"));
    }
    found.map(PathBuf::from)
}

/// A Python that has modules of `xtask/python/requirements.txt`, and of Debian's packages beside them; the path that it
/// needs is set.
pub(crate) fn python_of_pip(part: &str, modules: &str) -> Option<Command> {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
    let folder = std::env::var_os("WAYBILL_PYTHON").map_or_else(|| home.join(".cache/waybill/python"), PathBuf::from);
    let command = |python: &str| {
        let mut command = Command::new(python);
        command.env("PYTHONPATH", &folder);
        command
    };
    let imports = |python: &&str| {
        let asked = command(python).args(["-c", &format!("import {modules}")]).output();
        asked.is_ok_and(|output| output.status.success())
    };
    let found = ["/usr/bin/python3", "python3"].into_iter().find(imports);
    if found.is_none() {
        let enable = "sudo apt-get install python3-pip python3-cryptography && bash xtask/python/install.sh";
        skip(&format!("{part} (no Python with {modules})"), enable);
    }
    found.map(command)
}

/// Whether programs that leave SASL to Cyrus' library can say AUTH PLAIN.
pub(crate) fn sasl_plain(part: &str) -> bool {
    let Ok(folders) = std::fs::read_dir("/usr/lib") else { return false };
    let here = folders.flatten().any(|folder| folder.path().join("sasl2/libplain.so").exists());
    if !here {
        skip(&format!("{part} (no SASL PLAIN)"), "sudo apt-get install libsasl2-modules");
    }
    here
}
