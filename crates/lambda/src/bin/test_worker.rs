//! The worker that the tests of this crate start. The program has its own: `waybill lambda-worker`.

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};
use std::error::Error;
use std::process::ExitCode;

/// From here on this kernel is one without seccomp, as far as the process can see.
fn without_seccomp() -> Result<(), Box<dyn Error>> {
    let rules = [(libc::SYS_seccomp, Vec::new())].into();
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, unknown, arch)?.try_into()?;
    Ok(apply_filter(&program)?)
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("without-seccomp") && without_seccomp().is_err() {
        return ExitCode::FAILURE;
    }
    waybill_lambda::run_worker()
}
