//! nginx with one worker, which answers every request and counts them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::unused;
use crate::daemon::get;
use crate::process::{Running, wait_until};
use crate::scratch::Scratch;

/// A running nginx.
#[derive(Debug)]
pub(crate) struct Nginx {
    process: Running,
    _scratch: Scratch,
    address: SocketAddr,
    /// How often we asked, which nginx counts too.
    asked: u64,
}

impl Nginx {
    pub(crate) fn start() -> Result<Nginx> {
        Nginx::start_at(unused()?)
    }

    pub(crate) fn start_at(address: SocketAddr) -> Result<Nginx> {
        let scratch = Scratch::create(false)?;
        let config = scratch.write("nginx.conf", &config(address, scratch.path()))?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-p").arg(scratch.path()).arg("-e").arg(scratch.path().join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Running::start(&mut command)?;
        let mut asked = 0;
        wait_until("nginx answers", Duration::from_secs(10), || {
            process.must_run()?;
            let answers = get(address, "/status").is_ok();
            asked += u64::from(answers);
            Ok(answers)
        })?;
        Ok(Nginx { process, _scratch: scratch, address, asked })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/log", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Events that were posted, each request counting as one: those that asked for this number are left out.
    pub(crate) fn requests(&mut self) -> Result<u64> {
        self.process.must_run()?;
        self.asked += 1;
        let status = get(self.address, "/status")?;
        let counts = status.lines().nth(2).with_context(|| format!("not a stub_status: {status:?}"))?;
        let all: u64 = counts.split_whitespace().nth(2).context("stub_status counts no requests")?.parse()?;
        Ok(all - self.asked)
    }
}

/// No logs, and no limit on what one connection may ask.
fn config(address: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {address};
    location = /status {{ stub_status; }}
    location /log {{ return 200 \"ok\\n\"; }}
  }}
}}
"
    )
}
