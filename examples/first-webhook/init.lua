-- A first policy: mail in by SMTP, every event out as a webhook.
-- docs/guide/first-webhook.md walks through it line by line.
local kumo = require 'kumo'
local log_hooks = require 'policy-extras.log_hooks'

-- Where everything is kept, and where events go. `cargo xtask demo` sets both.
local dir = os.getenv 'WAYBILL_DEMO_DIR' or '/var/tmp/waybill'
local url = os.getenv 'WAYBILL_DEMO_WEBHOOK_URL' or 'http://127.0.0.1:4242/log'

-- Every event is sent to `url` as JSON; what cannot be sent now is tried again.
log_hooks:new_json {
  name = 'webhook',
  url = url,
  log_parameters = { headers = { 'Subject' } },
}

kumo.on('init', function()
  -- What is accepted is kept here, mail and events alike.
  kumo.define_spool { name = 'data', path = dir .. '/spool/data' }
  kumo.define_spool { name = 'meta', path = dir .. '/spool/meta' }

  -- The same events as files of compressed JSON lines.
  kumo.configure_local_logs { log_dir = dir .. '/logs' }

  -- Port 0 takes a free one; the daemon says which.
  kumo.start_esmtp_listener {
    listen = '127.0.0.1:0',
    relay_hosts = { '127.0.0.1' },
  }
  kumo.start_http_listener { listen = '127.0.0.1:0' }
end)

-- How mail leaves: one domain into a maildir, one is "busy", one refuses.
kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  if domain == 'deferred.example' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.busy' } } }
  end
  if domain == 'bounced.example' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.refusing' } } }
  end
  return kumo.make_queue_config { protocol = { maildir_path = dir .. '/maildir/{{ domain_part }}' } }
end)

-- A "connection" for custom_lua is a table with a `send` method.
kumo.on('make.busy', function(domain, tenant, campaign)
  local connection = {}
  function connection:send(message)
    kumo.reject(451, '4.7.0 come back later')
  end
  return connection
end)

kumo.on('make.refusing', function(domain, tenant, campaign)
  local connection = {}
  function connection:send(message)
    kumo.reject(550, '5.1.1 no such user')
  end
  return connection
end)
