//! Small disks of a scenario's own, which only root can make.

use super::Home;
use super::skip::skip;
use super::wait::wait_until;
use nix::sys::statvfs::statvfs;
use nix::unistd::{User, chown, geteuid};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

const MIB: u64 = 1 << 20;
/// What fills a disk up, so that it can be made free again.
const BALLAST: &str = "ballast";

/// A mounted disk in a home's folder; gone with this value, which must go after whoever uses it.
pub(crate) struct Mount {
    path: PathBuf,
    /// Of a disk that is a file.
    device: Option<String>,
}

impl Mount {
    /// One in memory of so many MiB. `None`, and said aloud, where we may not mount.
    pub(crate) fn memory(part: &str, home: &Home, name: &str, size: u64) -> Option<Mount> {
        let path = Mount::place(part, home, name)?;
        let options = format!("size={size}m");
        let output = run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path));
        Mount::mounted(part, home, path, None, &output)
    }

    /// One with ext4 in a file of so many MiB, which becomes read-only when something is wrong with it.
    pub(crate) fn ext4(part: &str, home: &Home, name: &str, size: u64) -> Option<Mount> {
        let path = Mount::place(part, home, name)?;
        let image = home.file(&format!("{name}.img"));
        File::create(&image).and_then(|file| file.set_len(size * MIB)).expect("make a file for the disk");
        let made = run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&image));
        assert!(made.status.success(), "mkfs.ext4: {}", said(&made));
        let looped = run(Command::new("losetup").args(["--find", "--show"]).arg(&image));
        if !looped.status.success() {
            skip(&format!("{part} (no loop device: {})", said(&looped).trim()), "run as root with loop devices");
            return None;
        }
        let device = String::from_utf8_lossy(&looped.stdout).trim().to_owned();
        let output = run(Command::new("mount").args(["-o", "errors=remount-ro", &device]).arg(&path));
        Mount::mounted(part, home, path, Some(device), &output)
    }

    fn place(part: &str, home: &Home, name: &str) -> Option<PathBuf> {
        if !geteuid().is_root() {
            skip(&format!("{part} (mounting a small disk)"), "sudo -E cargo xtask test");
            return None;
        }
        let path = home.file(name);
        fs::create_dir_all(&path).expect("make a place for the disk");
        Some(path)
    }

    fn mounted(part: &str, home: &Home, path: PathBuf, device: Option<String>, output: &Output) -> Option<Mount> {
        if !output.status.success() {
            skip(&format!("{part} (mount: {})", said(output).trim()), "run as root where disks can be mounted");
            return None;
        }
        if let Some(user) = home.user().and_then(|name| User::from_name(name).expect("look up a user")) {
            chown(&path, Some(user.uid), Some(user.gid)).expect("give the disk away");
        }
        Some(Mount { path, device })
    }

    /// How much is free, in bytes.
    pub(crate) fn free(&self) -> u64 {
        let disk = statvfs(&self.path).expect("look at the disk");
        disk.blocks_available() * disk.fragment_size()
    }

    /// Leaves only so many bytes free.
    pub(crate) fn fill_but(&self, left: u64) {
        let mut file = File::create(self.path.join(BALLAST)).expect("make a file on the disk");
        let piece = vec![0; 64 * 1024];
        while self.free() > left + piece.len() as u64 {
            file.write_all(&piece).expect("fill the disk");
        }
    }

    /// Takes away what filled it.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path.join(BALLAST)).expect("make room on the disk");
    }

    /// The kernel finds the disk broken, and lets nobody write to it any more.
    pub(crate) fn break_it(&self) {
        let device = self.device.as_deref().expect("a disk with a device").trim_start_matches("/dev/");
        let trigger = format!("/sys/fs/ext4/{device}/trigger_fs_error");
        fs::write(&trigger, "broken on purpose\n").expect("tell the kernel of an error");
        wait_until("the disk is read-only", || fs::write(self.path.join("probe"), "x").is_err().then_some(()));
    }

    /// What an operator does to a broken disk, once nobody uses it.
    pub(crate) fn mend(&self) {
        let device = self.device.as_deref().expect("a disk with a device");
        wait_until("nobody uses the disk", || {
            run(Command::new("umount").arg(&self.path)).status.success().then_some(())
        });
        // 1 says that it found something and mended it.
        let checked = run(Command::new("fsck.ext4").args(["-p", "-f", device]));
        assert!(matches!(checked.status.code(), Some(0 | 1)), "fsck.ext4: {}", said(&checked));
        let mounted = run(Command::new("mount").args(["-o", "errors=remount-ro", device]).arg(&self.path));
        assert!(mounted.status.success(), "mount: {}", said(&mounted));
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a failing scenario may still have something open.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        if let Some(device) = &self.device {
            let _ = Command::new("losetup").args(["-d", device]).status();
        }
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{:?} is of every system: {error}", command.get_program()))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
