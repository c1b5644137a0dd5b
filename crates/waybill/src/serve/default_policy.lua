-- The policy of a daemon that was started without one: loopback only, state under the user's own directory,
-- mail goes into a maildir. Copy it to /etc/waybill/init.lua and change it.
local kumo = require 'kumo'
local state = _WAYBILL_STATE_DIR

kumo.on('init', function()
  kumo.define_spool { name = 'data', path = state .. '/spool/data' }
  kumo.define_spool { name = 'meta', path = state .. '/spool/meta' }
  kumo.configure_local_logs { log_dir = state .. '/logs', max_segment_duration = '1 hour' }
  kumo.start_esmtp_listener { listen = '127.0.0.1:2525' }
  kumo.start_http_listener { listen = '127.0.0.1:8000' }
end)

kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  return kumo.make_queue_config {
    protocol = { maildir_path = state .. '/maildir' },
  }
end)
