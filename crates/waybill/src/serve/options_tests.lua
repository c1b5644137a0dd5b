-- The functions and helpers whose options `options_tests.rs` walks, each by its name.

local RECORD = { type = 'Bounce', sender = 'a@example.com', recipient = 'b@example.com', response = { code = 550 } }

local function message()
  return kumo.make_message('a@example.com', 'b@example.com', 'Subject: x\r\n\r\ny')
end

-- A method of a helper, as if it had never been called; what it registers goes nowhere. `beside` are functions that it
-- cannot do without.
local function helper(name, method, beside)
  return function(options)
    local module = require('policy-extras.' .. name)
    module.CONFIGURED = name == 'log_hooks' and {} or nil
    for key, value in pairs(type(options) == 'table' and beside or {}) do
      options[key] = options[key] == nil and value or options[key]
    end
    local on = kumo.on
    kumo.on = function() end
    local fine, why = pcall(module[method], module, options)
    kumo.on = on
    if not fine then
      error(why, 0)
    end
  end
end

local function nothing() end

-- What needs a spool, which nobody has opened here: what comes before that is asked counts.
local function before_the_spool(f, ...)
  local fine, why = pcall(f, ...)
  local waits = { 'the spool is not open yet', 'no mail is taken before init is done' }
  if not fine and not (tostring(why):find(waits[1], 1, true) or tostring(why):find(waits[2], 1, true)) then
    error(why, 0)
  end
end

local CALLS = {
  ['kumo.memoize'] = function(options)
    kumo.memoize(nothing, options)
  end,
  ['kumo.spawn_task'] = function(options)
    kumo.spawn_task(options)
  end,
  ['kumo.spawn_thread_pool'] = function(options)
    kumo.spawn_thread_pool(options)
  end,
  ['kumo.apply_supplemental_trace_header'] = function(options)
    kumo.apply_supplemental_trace_header(message(), options)
  end,
  ['kumo.generate_rfc3464_message'] = function(options)
    kumo.generate_rfc3464_message(options, message(), RECORD)
  end,
  ['kumo.jsonl.new_tailer'] = function(options)
    kumo.jsonl.new_tailer(options)
  end,
  ['kumo.jsonl.new_multi_tailer'] = function(options)
    kumo.jsonl.new_multi_tailer(options)
  end,
  ['kumo.jsonl.new_writer'] = function(options, folder)
    -- A directory has one writer, and other options would be refused for that alone. What is taken for the name of one
    -- is made in the folder of the test.
    if type(options) == 'table' and type(options.log_dir) == 'string' and options.log_dir:find '^[/%d]' then
      options.log_dir = folder .. '/' .. kumo.uuid.new_v4().simple
    end
    kumo.jsonl.new_writer(options)
  end,
  ['kumo.crypto.aws_sign_v4'] = function(options)
    kumo.crypto.aws_sign_v4(options)
  end,
  ['kumo.http.build_client'] = function(options)
    kumo.http.build_client(options)
  end,
  ['request:aws_sign_v4'] = function(options)
    kumo.http.build_client({}):get('https://example.com/'):aws_sign_v4(options)
  end,
  ['kumo.dns.configure_test_resolver'] = function(zones)
    kumo.dns.configure_test_resolver(zones)
  end,
  ['kumo.log.publish'] = function(message)
    before_the_spool(kumo.log.publish, 'log', message)
  end,
  ['kumo.log.consume'] = function(options)
    before_the_spool(kumo.log.consume, 'log', options)
  end,
  ['kumo.api.inject.inject_v1'] = function(request)
    before_the_spool(kumo.api.inject.inject_v1, request)
  end,
  ['kumo.api.inject.build_v1'] = function(request)
    before_the_spool(kumo.api.inject.build_v1, request)
  end,
  ['msg:set_scheduling'] = function(schedule)
    message():set_scheduling(schedule)
  end,
  ['kumo.api.admin.bounce.bounce'] = function(options)
    kumo.api.admin.bounce.bounce(options)
  end,
  ['kumo.api.admin.suspend.suspend'] = function(options)
    kumo.api.admin.suspend.suspend(options)
  end,
  ['kumo.api.admin.suspend_ready_q.suspend'] = function(options)
    kumo.api.admin.suspend_ready_q.suspend(options)
  end,
  ['kumo.event_hooks.publish'] = function(options)
    kumo.event_hooks.publish('mine', 'happened', options)
  end,
  ['msg:import_headers'] = function(options)
    message():import_headers { options }
  end,
  ['log_hooks:new'] = helper('log_hooks', 'new', { constructor = nothing }),
  ['log_hooks:new_json'] = helper('log_hooks', 'new_json'),
  ['log_hooks:new_disposition_hook'] = helper('log_hooks', 'new_disposition_hook', { hook = nothing }),
  ['queue:setup'] = helper('queue', 'setup'),
  ['queue:setup_with_options'] = helper('queue', 'setup_with_options'),
  ['sources:setup'] = helper('sources', 'setup'),
  ['listener_domains:setup'] = helper('listener_domains', 'setup'),
  ['shaping:setup'] = helper('shaping', 'setup'),
  ['shaping:setup_with_automation'] = helper('shaping', 'setup_with_automation'),
}

kumo.on('init', function(what, section, folder)
  if CALLS[what] then
    CALLS[what](section, folder)
    return
  end
  local f = kumo
  for part in what:gmatch '[^.]+' do
    f = f[part]
  end
  f(section)
end)

kumo.on('functions', function()
  local names = {}
  for name, value in pairs(kumo) do
    if type(value) == 'function' then
      names[#names + 1] = name
    end
  end
  for name in pairs(kumo.aaa) do
    names[#names + 1] = 'aaa.' .. name
  end
  return names
end)

kumo.on('calls', function()
  local names = {}
  for name in pairs(CALLS) do
    -- It takes a list of texts.
    names[#names + 1] = name ~= 'kumo.dns.configure_test_resolver' and name or nil
  end
  return names
end)
