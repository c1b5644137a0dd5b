//! Policies: a scenario's own lines, word for word, between the few that every daemon needs.

use super::Home;

/// A line for `init`: endpoints on this machine may be called.
pub(crate) const OPEN: &str = "  kumo.configure_webhooks { allow_targets = { '127.0.0.0/8' } }";

/// A policy in the making.
#[derive(Default)]
pub(crate) struct Policy {
    before: String,
    init: String,
    listener: String,
    queue: String,
    body: String,
}

impl Policy {
    /// With these lines at the top level.
    pub(crate) fn new(body: impl Into<String>) -> Policy {
        Policy { body: body.into(), ..Policy::default() }
    }

    /// These lines first: handlers registered here are asked before all others.
    pub(crate) fn before(mut self, lines: &str) -> Policy {
        self.before.push_str(lines);
        self
    }

    /// These lines in `init`.
    pub(crate) fn init(mut self, lines: &str) -> Policy {
        self.init.push_str(lines);
        self
    }

    /// These fields for the SMTP listener.
    pub(crate) fn listener(mut self, fields: &str) -> Policy {
        self.listener.push_str(fields);
        self
    }

    /// These fields for the queues of `example.com` and what is under it.
    pub(crate) fn queue(mut self, fields: &str) -> Policy {
        self.queue.push_str(fields);
        self
    }

    /// The file. Mail to `example.com` and what is under it ends in a maildir; `dir` is the scenario's folder. A client may
    /// say nothing for as long as its scenario waits for something else.
    pub(crate) fn text(&self, home: &Home) -> String {
        let Policy { before, init, listener, queue, body } = self;
        let dir = home.path().display();
        format!(
            "local kumo = require 'kumo'
local dir = '{dir}'
{before}
kumo.on('get_queue_config', function(domain)
  if domain == 'example.com' or domain:match '%.example%.com$' then
    return kumo.make_queue_config {{ protocol = {{ maildir_path = dir .. '/maildir/{{{{ domain_part }}}}' }}, {queue} }}
  end
end)

kumo.on('init', function()
  kumo.define_spool {{ name = 'data', path = dir .. '/spool/data', min_free_space = 1, min_free_inodes = 1 }}
  kumo.define_spool {{ name = 'meta', path = dir .. '/spool/meta', min_free_space = 1, min_free_inodes = 1 }}
  kumo.configure_local_logs {{ log_dir = dir .. '/logs', min_free_space = 1, min_free_inodes = 1 }}
  kumo.start_esmtp_listener {{ listen = '127.0.0.1:0', relay_hosts = {{ '127.0.0.1' }}, client_timeout = '1h', {listener} }}
  kumo.start_http_listener {{ listen = '127.0.0.1:0' }}
{init}
end)

{body}
"
        )
    }
}
