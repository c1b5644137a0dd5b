-- Three hooks through the helper: JSON, one record at a time, and batches.

local kumo = require 'kumo'
local log_hooks = require 'policy-extras.log_hooks'

log_hooks:new_json { name = 'json', url = 'http://127.0.0.1:9/log', log_parameters = { headers = { 'Subject' } } }

log_hooks:new {
  name = 'single',
  queue_config = { retry_interval = '5m' },
  constructor = function()
    return {
      send = function(_, message)
        return 'sent ' .. message:get_meta('log_record').type
      end,
    }
  end,
}

log_hooks:new {
  name = 'batch',
  batch_size = 100,
  filter = function(msg)
    return msg:get_meta('log_record').type == 'Reception'
  end,
  constructor = function()
    local connection = {}
    local client = kumo.http.build_client {}
    function connection:send_batch(messages)
      local payload = {}
      for _, msg in ipairs(messages) do
        table.insert(payload, msg:get_meta 'log_record')
      end
      local response = client:post('http://127.0.0.1:9/log'):body(kumo.encode_all(payload)):send()
      if response:status_is_success() then
        return string.format('%d %s', response:status_code(), response:text())
      end
      kumo.reject(500, 'no')
    end
    function connection:close()
      client:close()
    end
    return connection
  end,
}
