--[[
What `policy-extras.shaping` begins with, before your own files: polite towards hosts
that nobody has said anything about, and room for the few that take most mail. Numbers
of our own choosing; yours win. `no_default_files` leaves them out.
]]

return {
  default = {
    connection_limit = 10,
    max_connection_rate = '100/min',
    max_deliveries_per_connection = 100,
    max_message_rate = '100/s',
    idle_timeout = '30s',
    enable_tls = 'Opportunistic',
    consecutive_connection_failures_before_delay = 100,
  },
  provider = {
    google = {
      match = { { MXSuffix = '.google.com' }, { MXSuffix = '.googlemail.com' } },
      connection_limit = 50,
      max_deliveries_per_connection = 50,
    },
    microsoft = {
      match = { { MXSuffix = '.olc.protection.outlook.com' }, { MXSuffix = '.mail.protection.outlook.com' } },
      connection_limit = 20,
    },
    yahoo = {
      match = { { MXSuffix = '.yahoodns.net' } },
      connection_limit = 20,
      max_deliveries_per_connection = 20,
    },
  },
}
