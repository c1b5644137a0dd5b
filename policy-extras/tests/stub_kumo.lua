--[[
What the tests of this directory share: a stand-in for `kumo` where there is none,
a recorder over whichever `kumo` there is, and a few lines to count tests with.

  local t = require 'policy-extras.tests.stub_kumo'
  t.test('two is two', function() assert(2 == 2) end)
  t.finish()

Under a plain Lua the stand-in becomes `require 'kumo'` and has `_stub` set; within
Waybill the real module stays. Run from the root of the repository:

  lua5.4 policy-extras/tests/log_hooks_test.lua
]]

local t = {}

-- The stand-in ---------------------------------------------------------------

local function json(value)
  if type(value) == 'table' then
    local parts = {}
    for key, inner in pairs(value) do
      parts[#parts + 1] = json(tostring(key)) .. ':' .. json(inner)
    end
    table.sort(parts)
    return '{' .. table.concat(parts, ',') .. '}'
  end
  return type(value) == 'string' and '"' .. value .. '"' or tostring(value)
end

-- In the style of serde's words for it.
local function shown(value)
  if type(value) == 'table' then
    return 'type: map'
  elseif type(value) == 'string' then
    return string.format('value: string "%s"', value)
  end
  return 'type: ' .. type(value)
end

local UNITS = { ms = 0.001, s = 1, sec = 1, m = 60, min = 60, mins = 60, minute = 60, minutes = 60, h = 3600, hour = 3600, hours = 3600, d = 86400, day = 86400, days = 86400 }

local function seconds(text)
  local total
  for amount, unit in text:gmatch '(%d+)%s*(%a+)' do
    if not UNITS[unit] then
      return nil
    end
    total = (total or 0) + tonumber(amount) * UNITS[unit]
  end
  return total
end

local function is_duration(value)
  return type(value) == 'number' or type(value) == 'string' and seconds(value) ~= nil
end

local function duration(value)
  if not is_duration(value) then
    return 'invalid ' .. shown(value) .. ', expected a duration'
  end
end

local function text(value)
  if type(value) ~= 'string' then
    return 'invalid ' .. shown(value) .. ', expected a string'
  end
end

local function count(value)
  return math.type(value) == 'integer' and value > 0
end

local function protocol(value)
  local custom = type(value) == 'table' and value.custom_lua
  if custom then
    local judges = { constructor = function(v) return type(v) == 'string' end, batch_size = count, min_batch_size = count, max_batch_latency = is_duration }
    for key, inner in pairs(custom) do
      if not (judges[key] and judges[key](inner)) then
        return 'data did not match any variant of untagged enum DeliveryProto'
      end
    end
    if (custom.min_batch_size or 1) > (custom.batch_size or 1) then
      return 'min_batch_size is larger than batch_size'
    end
  end
end

local function anything() end

local QUEUE_KEYS = {
  'retry_interval', 'max_retry_interval', 'max_age', 'egress_pool', 'max_message_rate', 'protocol', 'reap_interval',
  'refresh_interval', 'timerwheel_tick_interval', 'strategy', 'refresh_strategy', 'provider_name', 'shrink_policy',
}
local QUEUE_JUDGES = {
  retry_interval = duration, max_retry_interval = duration, max_age = duration, egress_pool = text, protocol = protocol,
}

local function make_queue_config(params)
  local known, copy = {}, {}
  for _, key in ipairs(QUEUE_KEYS) do
    known[key] = QUEUE_JUDGES[key] or anything
  end
  for key, value in pairs(params) do
    local problem
    if known[key] then
      problem = known[key](value)
    else
      problem = string.format('unknown field `%s`, expected one of `%s`', key, table.concat(QUEUE_KEYS, '`, `'))
    end
    if problem then
      error(string.format('deserialize error: %s, while processing %s', problem, json(params)), 0)
    end
    copy[key] = value
  end
  return copy
end

-- A `make_*` that only knows its keys.
local function maker(...)
  local known = {}
  for _, key in ipairs { ... } do
    known[key] = true
  end
  return function(params)
    local copy = {}
    for key, value in pairs(params) do
      if not known[key] then
        local text = 'deserialize error: unknown field `%s`, while processing %s'
        error(string.format(text, key, json(params)), 0)
      end
      copy[key] = value
    end
    return copy
  end
end

local ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

local function base64_encode(bytes)
  local out = {}
  for i = 1, #bytes, 3 do
    local a, b, c = bytes:byte(i, i + 2)
    local n = a << 16 | (b or 0) << 8 | (c or 0)
    for place = 0, 3 do
      local digit = n >> (18 - 6 * place) & 63
      local used = place < 2 or place == 2 and b or place == 3 and c
      out[#out + 1] = used and ALPHABET:sub(digit + 1, digit + 1) or '='
    end
  end
  return table.concat(out)
end

local function base64_decode(encoded)
  local digits = encoded:gsub('=*$', '')
  local out, n, bits = {}, 0, 0
  for digit in digits:gmatch '.' do
    local value = ALPHABET:find(digit, 1, true)
    if not value then
      error('invalid base64: ' .. encoded, 0)
    end
    n, bits = (n << 6 | value - 1) & 0xFFFF, bits + 6
    if bits >= 8 then
      bits = bits - 8
      out[#out + 1] = string.char(n >> bits & 0xFF)
    end
  end
  return table.concat(out)
end

local function fraction(root)
  return math.floor(root % 1 * 2 ^ 32)
end

local function first_primes(amount)
  local primes, n = {}, 2
  while #primes < amount do
    local prime = true
    for _, p in ipairs(primes) do
      prime = prime and n % p ~= 0
    end
    primes[#primes + 1] = prime and n or nil
    n = n + 1
  end
  return primes
end

-- FIPS 180-4.
local function sha256(message)
  local function rotate(x, by)
    return (x >> by | x << (32 - by)) & 0xFFFFFFFF
  end
  local k, h = {}, {}
  for i, prime in ipairs(first_primes(64)) do
    k[i] = fraction(prime ^ (1 / 3))
    h[i] = i <= 8 and fraction(prime ^ 0.5) or nil
  end
  local padded = message .. '\x80' .. ('\0'):rep((55 - #message) % 64) .. string.pack('>I8', #message * 8)
  for at = 1, #padded, 64 do
    local w = { string.unpack(('>' .. ('I4'):rep(16)), padded, at) }
    for i = 17, 64 do
      local s0 = rotate(w[i - 15], 7) ~ rotate(w[i - 15], 18) ~ w[i - 15] >> 3
      local s1 = rotate(w[i - 2], 17) ~ rotate(w[i - 2], 19) ~ w[i - 2] >> 10
      w[i] = w[i - 16] + s0 + w[i - 7] + s1 & 0xFFFFFFFF
    end
    local v = { table.unpack(h) }
    for i = 1, 64 do
      local s1 = rotate(v[5], 6) ~ rotate(v[5], 11) ~ rotate(v[5], 25)
      local choice = v[5] & v[6] ~ ~v[5] & v[7]
      local one = v[8] + s1 + choice + k[i] + w[i]
      local s0 = rotate(v[1], 2) ~ rotate(v[1], 13) ~ rotate(v[1], 22)
      local majority = v[1] & v[2] ~ v[1] & v[3] ~ v[2] & v[3]
      table.move(v, 1, 7, 2)
      v[5] = v[5] + one & 0xFFFFFFFF
      v[1] = one + s0 + majority & 0xFFFFFFFF
    end
    for i = 1, 8 do
      h[i] = h[i] + v[i] & 0xFFFFFFFF
    end
  end
  return string.pack('>' .. ('I4'):rep(8), table.unpack(h, 1, 8))
end

local function hmac(key, message)
  if #key > 64 then
    key = sha256(key)
  end
  key = key .. ('\0'):rep(64 - #key)
  local function masked(mask)
    return (key:gsub('.', function(c)
      return string.char(c:byte() ~ mask)
    end))
  end
  return sha256(masked(0x5c) .. sha256(masked(0x36) .. message))
end

local function digest(bytes)
  return {
    bytes = bytes,
    base64 = base64_encode(bytes),
    hex = (bytes:gsub('.', function(c)
      return string.format('%02x', c:byte())
    end)),
  }
end

local MONTHS = { Jan = 1, Feb = 2, Mar = 3, Apr = 4, May = 5, Jun = 6, Jul = 7, Aug = 8, Sep = 9, Oct = 10, Nov = 11, Dec = 12 }

-- Days since 1970, by counting leap years.
local function days(year, month, day)
  local before = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 }
  local past = year - 1
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  local count_of = past * 365 + past // 4 - past // 100 + past // 400 + before[month] + day
  return count_of + (leap and month > 2 and 1 or 0) - 719163
end

local function parse_rfc2822(value)
  local day, month, year, hour, min, sec = value:match '^%a+, (%d+) (%a+) (%d+) (%d+):(%d+):(%d+) GMT$'
  if not MONTHS[month] then
    error('premature end of input', 0)
  end
  local date = days(tonumber(year), MONTHS[month], tonumber(day))
  return { unix_timestamp = date * 86400 + hour * 3600 + min * 60 + sec }
end

local stub = {
  _stub = true,
  make_queue_config = make_queue_config,
  make_egress_source = maker('name', 'source_address', 'ehlo_domain', 'remote_port', 'ttl'),
  make_egress_pool = maker('name', 'entries', 'ttl'),
  make_listener_domain = maker('relay_to', 'relay_from', 'relay_from_authz', 'log_oob', 'log_arf'),
  make_egress_path = maker(
    'connection_limit', 'max_connection_rate', 'max_message_rate', 'max_deliveries_per_connection', 'idle_timeout',
    'enable_tls', 'provider_name', 'consecutive_connection_failures_before_delay', 'max_ready'
  ),
  validation_failed = function() end,
  encode = { base64_encode = base64_encode, base64_decode = base64_decode },
  digest = {
    sha256 = function(...)
      return digest(sha256(table.concat { ... }))
    end,
    hmac_sha256 = function(key, message)
      return digest(hmac(key.key_data, message))
    end,
  },
  time = {
    now = function()
      return { unix_timestamp = os.time() }
    end,
    parse_duration = function(value)
      local parsed = type(value) == 'number' and value >= 0 and value or seconds(tostring(value))
      if not parsed then
        error('expected a duration', 0)
      end
      return { seconds = parsed }
    end,
    parse_rfc2822 = parse_rfc2822,
  },
  serde = {},
  http = {},
  -- Good enough for the patterns of the tests, which Lua reads as a regex would.
  regex = {
    compile = function(pattern)
      return {
        is_match = function(_, line)
          return line:find(pattern) ~= nil
        end,
      }
    end,
  },
}

local found, kumo = pcall(require, 'kumo')
if not found then
  kumo = stub
  package.loaded.kumo = stub
end
t.kumo = kumo

-- The recorder ---------------------------------------------------------------

-- What `kumo.reject` raises, as the recorder has it.
local Rejection = {
  __tostring = function(self)
    return self.code .. ' ' .. self.text
  end,
}

local Response = {}
Response.__index = Response

function Response:status_code()
  return self.status
end

function Response:status_reason()
  return self.reason
end

function Response:status_is_success()
  return self.status >= 200 and self.status < 300
end

function Response:headers()
  assert(not self.taken, 'broken response wrapper')
  return setmetatable({}, {
    __index = function(_, name)
      return (self.header_values or {})[name:lower()]
    end,
  })
end

function Response:text()
  self.taken = true
  if type(self.body) == 'function' then
    return self.body()
  end
  return self.body or ''
end

function Response:summary()
  return nil -- the body is still on its way
end

local Request = {}
Request.__index = Request

-- Adds, as the real one may: a header that is set twice shows in `header_names`.
function Request:header(name, value)
  self.headers[name:lower()] = value
  self.header_names[#self.header_names + 1] = name:lower()
  return self
end

function Request:body(bytes)
  self.bytes = bytes
  return self
end

function Request:send()
  local answer = self.respond
  if type(answer) == 'function' then
    answer = answer(self)
  end
  -- A copy: taking the body of one response must not spend the next.
  local response = setmetatable({}, Response)
  for key, value in pairs(answer) do
    response[key] = value
  end
  return response
end

local real_make_queue_config = kumo.make_queue_config

-- Replaces what has effects, and returns what it noted: `handlers` by event, in order
-- of registration; `order`, the events; `log_hooks`, `disposition_hooks` and
-- `queue_configs`: parameters; `clients` and `requests`. `world.respond` answers
-- requests, `world.now` is the time.
function t.world()
  local world = {
    handlers = {}, order = {}, log_hooks = {}, disposition_hooks = {}, queue_configs = {}, clients = {}, requests = {},
    respond = { status = 200, reason = 'OK' },
    now = 1700000000,
    throttled = {},
  }

  function kumo.on(event, handler)
    world.handlers[event] = world.handlers[event] or {}
    table.insert(world.handlers[event], handler)
    table.insert(world.order, event)
  end

  function kumo.configure_log_hook(params)
    table.insert(world.log_hooks, params)
  end

  function kumo.configure_log_disposition_hook(params)
    table.insert(world.disposition_hooks, params)
  end

  function kumo.make_queue_config(params)
    table.insert(world.queue_configs, params)
    return real_make_queue_config(params)
  end

  function kumo.validation_failed()
    world.validation_failed = true
  end

  -- `world.throttled[name]` says whether a rate is spent.
  function kumo.make_throttle(name, spec)
    if not spec:match '^[%d_,]+/%w+' then
      error(string.format("expected 'limit/period', got %s", spec), 0)
    end
    local throttle = {}
    function throttle:delay_message_if_throttled(message)
      message.delayed_by = world.throttled[name] and name .. ' ' .. spec or nil
      return message.delayed_by ~= nil
    end
    return throttle
  end

  function kumo.reject(code, why, options)
    error(setmetatable({ code = code, text = why, options = options }, Rejection))
  end

  function kumo.time.now()
    return { unix_timestamp = world.now }
  end

  function kumo.http.build_client(params)
    local client = { params = params, closed = false }
    table.insert(world.clients, client)
    function client:get(url)
      return self:post(url)
    end
    function client:post(url)
      assert(not self.closed, 'client was closed')
      local request = setmetatable({ url = url, headers = {}, header_names = {}, respond = world.respond }, Request)
      table.insert(world.requests, request)
      return request
    end
    function client:exchange(url, headers, body)
      local request = self:post(url)
      for name, value in pairs(headers) do
        request:header(name, value)
      end
      local response = request:body(body):send()
      return response.status, response
    end
    function client:close()
      self.closed = true
    end
    return client
  end

  -- As the daemon would for one event that may have many handlers.
  function world.fire(event, ...)
    for _, handler in ipairs(world.handlers[event] or {}) do
      local answer = table.pack(handler(...))
      if answer.n > 0 then
        return table.unpack(answer, 1, answer.n)
      end
    end
  end

  return world
end

-- The lines that `f` prints.
function t.printed(f, ...)
  local real, lines = print, {}
  print = function(line)
    lines[#lines + 1] = line
  end
  local fine, err = pcall(f, ...)
  print = real
  assert(fine, err)
  return lines
end

-- A message as hooks see one.
function t.message(id, data, record)
  local message = { meta = { log_record = record or {} }, headers = {} }
  function message:id()
    return id
  end
  function message:get_data()
    return data
  end
  function message:webhook_hops()
    return 0
  end
  function message:get_meta(name)
    return self.meta[name]
  end
  function message:set_meta(name, value)
    self.meta[name] = value
  end
  function message:get_first_named_header_value(name)
    return self.headers[name]
  end
  function message:remove_all_named_headers(name)
    self.headers[name] = nil
  end
  function message:import_scheduling_header(name, remove)
    self.schedule = self.headers[name]
    if remove then
      self.headers[name] = nil
    end
  end
  return message
end

-- The tests ------------------------------------------------------------------

local passed, failures = 0, {}

function t.test(name, body)
  local fine, err = pcall(body)
  if fine then
    passed = passed + 1
  else
    failures[#failures + 1] = string.format('FAILED %s: %s', name, tostring(err))
  end
end

function t.finish()
  print(string.format('%d passed, %d failed', passed, #failures))
  if #failures > 0 then
    error(table.concat(failures, '\n'), 0)
  end
end

-- The text of the error that `f` raises.
function t.error_of(f, ...)
  local fine, err = pcall(f, ...)
  assert(not fine, 'expected an error')
  return (tostring(err):gsub('\nstack traceback:.*', ''))
end

-- Positions differ from run to run and from KumoMTA's: however many begin a line,
-- they become one `@`.
function t.without_positions(value)
  local lines = {}
  for line in (value .. '\n'):gmatch '(.-)\n' do
    line = line:gsub('%[string "[^"]*"%]:%d+:? ', '@ '):gsub('%S+%.lua:%d+:? ', '@ ')
    repeat
      local replaced
      line, replaced = line:gsub('@ @ ', '@ ')
    until replaced == 0
    lines[#lines + 1] = line
  end
  return table.concat(lines, '\n')
end

return t
