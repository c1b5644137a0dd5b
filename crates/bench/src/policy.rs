//! The policies that are measured: what a user of KumoMTA would write, nothing of ours.

use std::fmt::Write;
use std::path::Path;

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mail {
    /// Discarded after reception, through the queue `null`.
    Discarded,
}

/// How a hook sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `new_json`, an event a request.
    Json,
    /// `new` with a `send_batch` like the one in KumoMTA's manual, so many events a request.
    Batches(u32),
}

/// Whether the hook's queue and path have options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tuning {
    /// Nothing is configured.
    OutOfTheBox,
    /// What an operator would set after reading.
    Tuned,
}

/// One hook.
#[derive(Clone, Debug)]
pub(crate) struct Hook {
    pub(crate) url: String,
    pub(crate) kind: Kind,
}

/// A policy to write.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) mail: Mail,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) tuning: Tuning,
}

impl Policy {
    /// Mail is discarded, nobody is told.
    pub(crate) fn without_hooks() -> Policy {
        Policy { mail: Mail::Discarded, hooks: Vec::new(), tuning: Tuning::Tuned }
    }

    /// So many hooks with one endpoint.
    pub(crate) fn with_hooks(count: usize, kind: Kind, url: &str, tuning: Tuning) -> Policy {
        let hook = Hook { url: url.to_owned(), kind };
        Policy { mail: Mail::Discarded, hooks: vec![hook; count], tuning }
    }

    /// The script.
    pub(crate) fn lua(&self, folder: &Path) -> String {
        let mut lua = "local kumo = require 'kumo'\nlocal log_hooks = require 'policy-extras.log_hooks'\n\n".to_owned();
        for (number, hook) in self.hooks.iter().enumerate() {
            hook.write(&mut lua, number + 1);
        }
        let folder = folder.display();
        let Mail::Discarded = self.mail;
        // Writing into a String cannot fail.
        let _ = write!(
            lua,
            "
kumo.on('init', function()
  kumo.define_spool {{ name = 'data', path = '{folder}/spool/data', kind = 'RocksDB', min_free_space = '1%' }}
  kumo.define_spool {{ name = 'meta', path = '{folder}/spool/meta', kind = 'RocksDB', min_free_space = '1%' }}
  kumo.start_esmtp_listener {{ listen = '127.0.0.1:0', relay_hosts = {{ '127.0.0.1' }} }}
  kumo.start_http_listener {{ listen = '127.0.0.1:0' }}
end)

kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('queue', 'null')
end)
"
        );
        if self.tuning == Tuning::Tuned && !self.hooks.is_empty() {
            lua.push_str(TUNED);
        }
        lua
    }
}

/// A path as the manual advises for webhooks: more room, and connections that stay.
const TUNED: &str = "
kumo.on('get_egress_path_config', function(domain, source, site)
  return kumo.make_egress_path { connection_limit = 10, max_ready = 10000, max_deliveries_per_connection = 100000 }
end)
";

impl Hook {
    fn write(&self, lua: &mut String, number: usize) {
        let Hook { url, kind } = self;
        let _ = match kind {
            Kind::Json => writeln!(lua, "log_hooks:new_json {{ name = 'hook{number}', url = '{url}' }}"),
            Kind::Batches(size) => write!(
                lua,
                "
log_hooks:new {{
  name = 'hook{number}',
  batch_size = {size},
  constructor = function(domain, tenant, campaign)
    local connection = {{}}
    local client = kumo.http.build_client {{}}
    function connection:send_batch(messages)
      local payload = {{}}
      for _, msg in ipairs(messages) do
        table.insert(payload, msg:get_meta 'log_record')
      end
      local response = client:post('{url}'):header('Content-Type', 'application/json')
        :body(kumo.json_encode(payload)):send()
      local disposition = string.format('%d %s: %s', response:status_code(), response:status_reason(), response:text())
      if response:status_is_success() then
        return disposition
      end
      kumo.reject(500, disposition)
    end
    function connection:close()
      client:close()
    end
    return connection
  end,
}}
"
            ),
        };
    }
}
