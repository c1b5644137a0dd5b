-- A webhook by hand, out of the events themselves.

kumo.on('pre_init', function()
  kumo.configure_log_hook { name = 'events', headers = { 'Subject' } }
end)

kumo.on('should_enqueue_log_record', function(msg, hook_name)
  local record = msg:get_meta 'log_record'
  if record.queue == 'events' then
    return false
  end
  msg:set_meta('queue', 'events')
  return true
end)

kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  if domain == 'events' then
    return kumo.make_queue_config { protocol = { custom_lua = { constructor = 'make.events' } } }
  end
  return kumo.make_queue_config {}
end)

kumo.on('make.events', function(domain, tenant, campaign)
  local connection = {}
  local client = kumo.http.build_client {}

  function connection:send(message)
    local response = client
      :post('http://127.0.0.1:9/log')
      :header('Content-Type', 'application/json')
      :body(message:get_data())
      :send()
    local text = string.format('%d %s: %s', response:status_code(), response:status_reason(), response:text())
    if response:status_is_success() then
      return text
    end
    kumo.reject(500, text)
  end

  return connection
end)
