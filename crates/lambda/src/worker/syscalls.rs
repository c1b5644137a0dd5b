//! The filter of system calls: what a worker needs to compute, to talk to its parent and to end. Everything else is refused
//! with `EPERM`: whoever breaks out of Lua finds no files, no sockets, no other processes, and no way to make memory
//! executable.

use nix::libc;
use nix::unistd::Pid;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::io::{self, Error};

/// What may be called whatever its arguments are.
const ALLOWED: &[libc::c_long] = &[
    // Standard input, the way to the parent, and last words.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Time, chance, and what was used.
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_getpid,
    libc::SYS_gettid,
    // Locks.
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_restart_syscall,
    // Its end, an abort too.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// What may be called where an argument is so: the call, the argument, the bits that are looked at, and what they have to be.
fn conditional(own: Pid) -> [(libc::c_long, u8, u64, u64); 5] {
    let (all, executable) = (u64::from(u32::MAX), u64::from(libc::PROT_EXEC.unsigned_abs()));
    let own = u64::from(own.as_raw().unsigned_abs());
    [
        (libc::SYS_mmap, 2, executable, 0),
        (libc::SYS_mprotect, 2, executable, 0),
        // Its own limits, which can only be lowered.
        (libc::SYS_prlimit64, 0, all, 0),
        // An abort is a signal to itself.
        (libc::SYS_tgkill, 0, all, own),
        (libc::SYS_tkill, 0, all, own),
    ]
}

/// Whether the filter is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Filter {
    /// It is, for good.
    On,
    /// There is none here, and why.
    Missing(String),
}

/// Puts the calling thread, and whatever it starts, behind the filter.
pub(super) fn install() -> io::Result<Filter> {
    let Ok(arch) = TargetArch::try_from(ARCH) else {
        return Ok(Filter::Missing(format!("none is known for {ARCH}")));
    };
    let program = program(arch, nix::unistd::getpid()).map_err(Error::other)?;
    match apply_filter(&program) {
        Ok(()) => Ok(Filter::On),
        Err(seccompiler::Error::Seccomp(error))
            if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) =>
        {
            Ok(Filter::Missing(format!("this kernel has no seccomp: {error}")))
        }
        Err(error) => Err(Error::other(error.to_string())),
    }
}

fn program(arch: TargetArch, own: Pid) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    for (call, argument, bits, value) in conditional(own) {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(bits), value)?;
        rules.insert(call, vec![SeccompRule::new(vec![condition])?]);
    }
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use nix::sys::{ptrace, signal};
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    /// Runs it in a thread of its own behind the filter: those of other tests stay as they are.
    fn behind<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::spawn(move || {
            assert_eq!(install().expect("a filter"), Filter::On);
            what()
        });
        thread.join().expect("the thread ends")
    }

    fn refused<T>(result: io::Result<T>) -> Option<i32> {
        result.err().and_then(|error| error.raw_os_error())
    }

    #[test]
    fn behind_the_filter_there_are_no_sockets() {
        let came = behind(|| {
            [
                refused(TcpListener::bind("127.0.0.1:0")),
                refused(TcpStream::connect("127.0.0.1:9")),
                refused(UdpSocket::bind("127.0.0.1:0")),
                refused(UnixStream::pair()),
            ]
        });
        assert_eq!(came, [Some(libc::EPERM); 4]);
    }

    #[test]
    fn behind_the_filter_there_are_no_files() {
        let directory = std::env::temp_dir().join(format!("waybill-filter-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let (there, new) = (directory.join("there"), directory.join("new"));
        std::fs::write(&there, "text").expect("a file");
        let came = behind(move || {
            [
                refused(File::create(&new)),
                refused(File::open(&there)),
                refused(std::fs::rename(&there, &new)),
                refused(std::fs::remove_file(&there)),
                refused(std::fs::create_dir(&new)),
                refused(std::os::unix::fs::symlink(&there, &new)),
            ]
        });
        assert_eq!(came, [Some(libc::EPERM); 6]);
        let left: Vec<_> = std::fs::read_dir(&directory).expect("it is there").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        std::fs::remove_dir_all(&directory).expect("it goes");
    }

    #[test]
    fn behind_the_filter_there_are_no_other_processes() {
        let own = nix::unistd::getpid();
        let came = behind(move || {
            let nothing = c"/nothing/is/there";
            [
                nix::unistd::execv(nothing, &[nothing]).err(),
                // Nobody has this number: without the filter it would not be found.
                ptrace::attach(Pid::from_raw(i32::MAX)).err(),
                signal::kill(Pid::from_raw(i32::MAX), None).err(),
                signal::kill(own, None).err(),
                nix::sys::prctl::set_dumpable(false).err(),
            ]
        });
        assert_eq!(came, [Some(Errno::EPERM); 5]);
        assert_eq!(behind(|| refused(Command::new("/bin/true").spawn())), Some(libc::EPERM));
        assert!(behind(|| std::thread::Builder::new().spawn(|| ()).is_err()), "nor threads");
    }

    #[test]
    fn what_a_worker_does_goes_on_behind_it() {
        let words = behind(|| {
            let mut text = String::new();
            // Enough for the allocator to ask the kernel, and to give it back.
            for number in 0..50 {
                text = vec![number; 8 << 20].iter().take(3).map(u8::to_string).collect();
            }
            let map: std::collections::HashMap<u8, u8> = [(1, 2)].into();
            super::super::confine::allow_cpu(3600).map(|()| (text, map[&1]))
        });
        assert_eq!(words.expect("its limits are its own"), ("494949".to_owned(), 2));
    }

    const ARGUMENTS: usize = 6;
    const OWN: i32 = 4711;

    /// What the kernel would make of a call: the few instructions that such programs have, on the words of `seccomp_data`.
    fn verdict(program: &BpfProgram, call: u32, arguments: [u32; ARGUMENTS]) -> u32 {
        // The number, the architecture (that of the program, which looks), the place, and six arguments of two words.
        let arch = program[1].k;
        let mut words = vec![call, arch, 0, 0];
        words.extend(arguments.iter().flat_map(|low| [*low, 0]));
        let (mut at, mut value) = (0, 0);
        loop {
            let step = &program[at];
            let jump = |holds: bool| 1 + usize::from(if holds { step.jt } else { step.jf });
            at += match step.code {
                0x20 => {
                    value = words[step.k as usize / 4];
                    1
                }
                0x54 => {
                    value &= step.k;
                    1
                }
                0x05 => 1 + step.k as usize,
                0x15 => jump(value == step.k),
                0x06 => return step.k,
                other => panic!("an instruction {other:#x}"),
            };
        }
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();

    #[test]
    fn of_all_calls_those_are_allowed_that_stand_here_and_all_others_are_refused() {
        let program = program(TargetArch::try_from(ARCH).expect("known"), Pid::from_raw(OWN)).expect("a program");
        let named = |call: libc::c_long| u32::try_from(call).expect("a number");
        let mut open: Vec<u32> = ALLOWED.iter().copied().map(named).collect();
        for (call, argument, bits, value) in conditional(Pid::from_raw(OWN)) {
            let with = |word: u64| {
                let mut arguments = [0; ARGUMENTS];
                arguments[usize::from(argument)] = u32::try_from(word).expect("a word");
                verdict(&program, named(call), arguments)
            };
            assert_eq!((with(value), with(value ^ bits)), (ALLOW, REFUSE), "{call}");
            // The calls below are without arguments.
            open.extend((value == 0).then_some(named(call)));
        }
        open.sort_unstable();
        // The second row of numbers is that of x32, which the kernel takes on x86-64 too.
        for first in [0, 0x4000_0000] {
            let found: Vec<u32> =
                (first..first + 1000).filter(|call| verdict(&program, *call, [0; ARGUMENTS]) == ALLOW).collect();
            assert_eq!(found, if first == 0 { open.clone() } else { Vec::new() });
        }
    }
}
