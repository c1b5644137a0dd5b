//! Debian's wrk as the judge of the bare loop: a loop much slower than wrk would make every ratio look good.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::scratch::Scratch;

/// A run in which the bare loop reaches less of wrk's rate than this is invalid.
pub(crate) const LEAST_SHARE: f64 = 0.8;

/// Requests a second that wrk posts to `/log` over so many connections, for some seconds.
pub(crate) fn run(address: SocketAddr, body: &[u8], connections: usize, seconds: u64) -> Result<f64> {
    let scratch = Scratch::create(false)?;
    let body = String::from_utf8(body.to_vec()).context("wrk takes bodies of text only")?;
    let file = scratch.write("body", &body)?;
    let script = scratch.write("post.lua", &script(&file))?;
    let mut command = Command::new("wrk");
    command.args(["-t", "2", "-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"]).arg(&script);
    command.arg(format!("http://{address}/log"));
    let output = command.output().context("run wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("wrk: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    rate(&text).with_context(|| format!("wrk told no rate:\n{text}"))
}

fn script(body: &Path) -> String {
    format!(
        "local file = io.open('{}', 'rb')\nwrk.method = 'POST'\nwrk.body = file:read('*a')\nfile:close()\n\
         wrk.headers['Content-Type'] = 'application/json'\n",
        body.display()
    )
}

fn rate(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_rate_is_read() {
        assert_eq!(rate("  1 requests in 1s\nRequests/sec:  68012.25\nTransfer/sec: 1MB\n"), Some(68012.25));
        assert_eq!(rate("unable to connect"), None);
    }
}
