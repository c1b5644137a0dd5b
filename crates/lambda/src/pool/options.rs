use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What children are, how many there are, and what a call may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolOptions {
    /// The program that runs [`run_worker`](crate::run_worker).
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Calls beside each other, and so the most children.
    pub workers: usize,
    /// A child that had nothing to do for this long is ended.
    pub idle: Duration,
    /// After so many calls a child is ended.
    pub calls: u64,
    /// From handing a call over to its result, requests included; then the child is killed.
    pub timeout: Duration,
    /// Instructions of Lua a call, in all its functions.
    pub instructions: u64,
    /// Bytes that Lua may hold.
    pub memory: usize,
}

impl PoolOptions {
    /// What Lua may hold at most: beside it the process needs room of its own within what it may map.
    pub const MOST_MEMORY: usize = 192 * 1024 * 1024;

    /// Children of the program that runs, whatever has become of its file: 4 of them, idle ones kept for 60 s; a call has
    /// 30 s, 500 million instructions and 64 MiB.
    pub fn this_program<const N: usize>(arguments: [&str; N]) -> Self {
        PoolOptions {
            program: "/proc/self/exe".into(),
            arguments: arguments.into_iter().map(OsString::from).collect(),
            workers: 4,
            idle: Duration::from_secs(60),
            calls: 1_000,
            timeout: Duration::from_secs(30),
            instructions: 500_000_000,
            memory: 64 * 1024 * 1024,
        }
    }
}
