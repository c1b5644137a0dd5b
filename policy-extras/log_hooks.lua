--[[
Log hooks: every log record becomes a message, queued and retried like mail, and
is handed to a connection object in Lua. Use it at the top level of a policy, and
before any helper that answers `get_queue_config` for every domain.

  local log_hooks = require 'policy-extras.log_hooks'

POST records as JSON

  log_hooks:new_json {
    name = 'webhook',
    url = 'http://10.0.0.1:4242/log',
    -- the rest is optional
    log_parameters = { headers = { 'Subject' }, meta = { 'tenant' } },
    queue_config = { max_age = '1 day' },
    batch_size = 100,            -- POST arrays of up to 100 records
    min_batch_size = 10,         -- wait for 10 of them,
    max_batch_latency = '2s',    -- but no longer than this
    filter = function(msg, hook_name)  -- true: leave this record out
      return msg:get_meta('log_record').type == 'Delayed'
    end,
    headers = { Authorization = 'Bearer xyzzy' },
    secret = 'whsec_...',        -- sign (Standard Webhooks, v1)
    timeout = '30s',             -- for the whole request
  }

  2xx                    delivered
  408, 425, 429, 5xx     tried again, not before `Retry-After`; so is whatever
                         keeps the request from being answered
  anything else          given up; redirects are not followed

The body of a single record is what the hook's template (or JSON) made of it. A
batch is `[record,record,...]`, the records byte for byte as they would be alone,
so templates for batches must produce JSON.

`x-waybill-hops` says through how many webhooks the record has come, so that hooks
which cause each other's mail come to an end.

`webhook-id` is the same in every attempt at a record. That of a batch follows
from the records in it; retries may group them anew, so tell records apart by
their own fields. With a secret come `webhook-timestamp` and `webhook-signature`.

Anything else than HTTP

  log_hooks:new {
    name = 'queue',
    constructor = function(domain, tenant, campaign)
      local connection = {}
      function connection:send(message) return 'sent ' .. message:id() end
      function connection:close() end
      return connection
    end,
    -- log_parameters, queue_config, batch_size, min_batch_size,
    -- max_batch_latency and filter as above; with a batch_size above 1 the
    -- connection has `send_batch(messages)` instead of `send(message)`
  }

`log_parameters` go to kumo.configure_log_hook, `queue_config` (by default
retry_interval = '1m', max_retry_interval = '20m') to kumo.make_queue_config.
Whatever `protocol` it names, the hook's own is used.

See records inline, before the message leaves the spool

  log_hooks:new_disposition_hook {
    name = 'audit',
    hook = function(msg, log_record) end,
  }
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local mod = {
  -- Names in use, over all kinds of hooks.
  CONFIGURED = {},
}

local QUEUE_DEFAULTS = { retry_interval = '1m', max_retry_interval = '20m' }

-- Long enough for a slow endpoint, short enough to free the connection of a dead one.
local DEFAULT_TIMEOUT = '30s'

-- What a response adds to the log, at most.
local LONGEST_BODY = 1024
-- No more of an answer is read; a longer one counts by its status alone.
local LONGEST_ANSWER = 1024 * 1024

-- A hint to come back later than this is no hint but a broken clock.
local LONGEST_RETRY_AFTER = 7 * 24 * 60 * 60

local SHORTEST_KEY, LONGEST_KEY = 24, 64

-- Each field is judged by the function that will use it, so the list of names is
-- never out of date here.
local QueueConfig = typing.record('QueueConfig', {}, function(key, value)
  return kumo.make_queue_config { [key] = value } ~= nil
end)

-- Checked one by one: within a whole queue config, a bad batch option would only show
-- as a protocol that matches nothing.
local function batch_option(kind, option)
  return typing.option(typing.refine(kind, function(value)
    local section = { constructor = 'check', [option] = value }
    if option == 'min_batch_size' then
      section.batch_size = value -- or the default of 1 might be too few for it
    end
    local fits, err = pcall(kumo.make_queue_config, { protocol = { custom_lua = section } })
    if not fits then
      return typing.extract_deserialize_error(err)
    end
  end))
end

local hook_fields = {
  name = typing.text,
  log_parameters = typing.option(typing.map(typing.string, typing.any)),
  queue_config = typing.option(QueueConfig),
  batch_size = batch_option(typing.number, 'batch_size'),
  min_batch_size = batch_option(typing.number, 'min_batch_size'),
  max_batch_latency = batch_option(typing.string, 'max_batch_latency'),
  filter = typing.option(typing.Function),
}

local function hook_fields_and(more)
  return utils.merge_into(more, utils.merge_into(hook_fields, {}))
end

local LogHookOptions = typing.record(
  'LogHookOptions',
  hook_fields_and {
    constructor = typing.Function,
  }
)

-- The key inside `whsec_...`, or nil.
local function signing_key(secret)
  local encoded = secret:match '^whsec_(.+)$'
  if not encoded then
    return nil
  end
  local decoded, key = pcall(kumo.encode.base64_decode, encoded)
  if decoded and #key >= SHORTEST_KEY and #key <= LONGEST_KEY then
    return key
  end
  return nil
end

-- `any`, as the error of `string` shows the value it refuses.
local Secret = typing.refine(typing.any, function(value)
  if type(value) ~= 'string' or not signing_key(value) then
    return string.format(
      "Expected 'whsec_' followed by the base64 of %d to %d random bytes",
      SHORTEST_KEY,
      LONGEST_KEY
    )
  end
end)

local Headers = typing.refine(typing.map(typing.string, typing.string), function(headers)
  local seen = {}
  -- By name: with several problems, the same one is reported each time.
  for _, name in ipairs(utils.table_keys(headers)) do
    local lower = name:lower()
    if not name:match "^[%w!#$%%&'*+.^_`|~-]+$" then
      return string.format("'%s' is not a header name", name)
    end
    if utils.starts_with(lower, 'webhook-') then
      return string.format("'%s' cannot be set: webhook-* headers are the hook's own", name)
    end
    if seen[lower] then
      return string.format("'%s' and '%s' are the same header", seen[lower], name)
    end
    -- The value stays out of the message: it may be a credential.
    if headers[name]:match '[\0-\8\10-\31\127]' then
      return string.format("the value of '%s' has control characters", name)
    end
    seen[lower] = name
  end
end)

local Timeout = typing.refine(typing.variant('duration', typing.string, typing.number), function(value)
  local parsed, duration = pcall(kumo.time.parse_duration, value)
  if not parsed then
    return string.format("Expected a duration such as '30s', got '%s'", value)
  end
  if not (duration.seconds > 0) then
    return 'Expected a duration longer than zero'
  end
end)

-- One that cannot be asked at all would be tried for days.
local Url = typing.refine(typing.string, function(value)
  if not value:match '^[Hh][Tt][Tt][Pp][Ss]?://[^%s/?#][^%s]*$' then
    return 'Expected an address such as https://example.com/hook'
  end
end)

local JsonLogHookOptions = typing.record(
  'JsonLogHookOptions',
  hook_fields_and {
    url = Url,
    headers = typing.option(Headers),
    secret = typing.option(Secret),
    timeout = typing.default(Timeout, DEFAULT_TIMEOUT),
  }
)

local DispHookOptions = typing.record('DispHookOptions', {
  name = typing.text,
  hook = typing.Function,
})

local function reserve(name)
  if mod.CONFIGURED[name] then
    error(string.format("log_hook with name '%s' has already been configured", name))
  end
  mod.CONFIGURED[name] = true
end

-- Where the policy asks for a hook, as `FILE:LINE: `: what is wrong with its
-- `log_parameters` shows only later, in an event.
local function place_of_caller()
  -- `pcall`, this function and the method of `mod` have levels of their own.
  local _, place = pcall(error, '', 4)
  return type(place) == 'string' and place or ''
end

-- `options` are those of LogHookOptions, checked; `constructor` is beside them, as
-- `new_json` makes its own. `place` is where the policy asked for it.
local function register(options, constructor, place)
  local name = options.name
  local domain = name .. '.log_hook'
  local event = 'make.' .. domain

  -- A `name` among the parameters wins, as it does in KumoMTA. The records of such a
  -- hook are none of ours: the policy must decide about them itself.
  local log_parameters = utils.merge_into(options.log_parameters or {}, { name = name })

  local queue_config = utils.merge_into(options.queue_config or {}, utils.merge_into(QUEUE_DEFAULTS, {}))
  queue_config.protocol = {
    custom_lua = {
      constructor = event,
      batch_size = options.batch_size,
      min_batch_size = options.min_batch_size,
      max_batch_latency = options.max_batch_latency,
    },
  }

  -- As a whole, too, and now: in the event below an error would strand the queue.
  QueueConfig(queue_config)
  reserve(name)

  local filter = options.filter

  kumo.on('pre_init', function()
    local configured, problem = pcall(kumo.configure_log_hook, log_parameters)
    if not configured then
      problem = tostring(problem):gsub('\nstack traceback:.*', '')
      error(string.format("%slog_parameters of log_hook '%s': %s", place, name, problem), 0)
    end
  end)

  local function should_enqueue(msg, hook_name)
    if hook_name ~= name then
      return -- no value at all: the next handler decides
    end
    -- The daemon keeps such records from hooks. One that slipped through would beget
    -- another for ever, so ask again.
    if msg:get_meta('log_record').reception_protocol == 'LogRecord' then
      return false
    end
    if filter and filter(msg, hook_name) then
      return false
    end
    msg:set_meta('queue', domain)
    return true
  end

  -- Waybill's own: without a filter the rule says all that the function does.
  local rule = not filter and { hook = name, queue = domain, handler = should_enqueue } or nil
  kumo.on('should_enqueue_log_record', should_enqueue, rule)

  kumo.on('get_queue_config', function(queue_domain)
    if queue_domain ~= domain then
      return
    end
    return kumo.make_queue_config(queue_config)
  end)

  kumo.on(event, constructor)
end

function mod:new(options)
  local checked = LogHookOptions(options)
  register(checked, checked.constructor, place_of_caller())
end

-- The first bytes of `text`, ending where a character ends.
local function shorten(text)
  if #text <= LONGEST_BODY then
    return text
  end
  local last = LONGEST_BODY
  while last > 0 and text:byte(last + 1) & 0xC0 == 0x80 do
    last = last - 1
  end
  return text:sub(1, last)
end

local function body_of(response)
  -- The status decides; a body that cannot be read must not turn success into failure.
  local read, text = pcall(response.text, response)
  if not read or not utf8.len(text) then
    return '<unreadable body>'
  end
  return shorten(text)
end

-- Seconds to wait from `Retry-After` (a number of them, or a date), or nil.
local function retry_after(value)
  if not value then
    return nil
  end
  local seconds = tonumber(value:match '^%s*(%d+)%s*$')
  if not seconds then
    local parsed, time = pcall(kumo.time.parse_rfc2822, value)
    if not parsed then
      return nil
    end
    seconds = time.unix_timestamp - kumo.time.now().unix_timestamp
  end
  if seconds <= 0 then
    return nil
  end
  return math.min(seconds, LONGEST_RETRY_AFTER)
end

local function is_transient(status)
  return status == 408 or status == 425 or status == 429 or status >= 500
end

-- Returns the text for the Delivery record, or rejects.
local function judge(response)
  local status = response:status_code()
  -- Headers first: reading the body uses the response up.
  local wait = is_transient(status) and retry_after(response:headers()['retry-after'])
  local text = string.format('%d %s: %s', status, response:status_reason() or '', body_of(response))

  if status >= 200 and status < 300 then
    return text
  end
  if not is_transient(status) then
    kumo.reject(550, text)
  end
  -- What a reject says must be 4xx to mean "later".
  local code = status < 500 and status or 451
  if wait then
    -- The third argument is Waybill's own.
    kumo.reject(code, text, { retry_after = wait })
  end
  kumo.reject(code, text)
end

local function batch_body(messages)
  local records = {}
  for i, message in ipairs(messages) do
    -- In parentheses: `gsub` also returns a count.
    records[i] = (message:get_data():gsub('\r?\n$', ''))
  end
  return '[' .. table.concat(records, ',') .. ']'
end

local function batch_id(messages)
  local ids = {}
  for i, message in ipairs(messages) do
    ids[i] = message:id()
  end
  return 'batch_' .. kumo.digest.sha256(table.concat(ids)).hex:sub(1, 32)
end

-- The value of `x-waybill-hops`: what is injected on account of the request counts on from here.
local function hops(messages)
  local most = 0
  for _, message in ipairs(messages) do
    most = math.max(most, message:webhook_hops())
  end
  return tostring(most + 1)
end

-- The value of `webhook-signature`.
local function sign(key, id, timestamp, body)
  local signed = string.format('%s.%d.%s', id, timestamp, body)
  return 'v1,' .. kumo.digest.hmac_sha256({ key_data = key }, signed).base64
end

-- A client's `header` may add to what is there, so every name is set exactly once.
local function fixed_headers(headers)
  local fixed = { ['content-type'] = { 'Content-Type', 'application/json' } }
  for name, value in pairs(headers or {}) do
    fixed[name:lower()] = { name, value }
  end
  return fixed
end

function mod:new_json(options)
  local checked = JsonLogHookOptions(options)
  local place = place_of_caller()

  local url, timeout = checked.url, checked.timeout
  local headers = fixed_headers(checked.headers)
  local key = checked.secret and signing_key(checked.secret)
  local batched = (checked.batch_size or 1) > 1

  register(checked, function()
    local connection = {}
    local client = kumo.http.build_client {
      timeout = timeout,
      -- Waybill's own: a redirect would take records, and their signature, elsewhere.
      redirect = 'none',
      -- Also ours: a record shows the first kilobyte of an answer, and ten connections of a hook hold one answer each.
      max_response_size = LONGEST_ANSWER,
    }

    -- Of the request at hand: a connection has one at a time.
    local sent = {}
    for _, header in pairs(headers) do
      sent[header[1]] = header[2]
    end

    local function post(messages, id, body)
      sent['webhook-id'] = id
      sent['x-waybill-hops'] = hops(messages)
      if key then
        local timestamp = kumo.time.now().unix_timestamp
        sent['webhook-timestamp'] = string.format('%d', timestamp)
        sent['webhook-signature'] = sign(key, id, timestamp, body)
      end
      -- What goes wrong here, on the way, is raised: tried again.
      local status, response = client:exchange(url, sent, body)
      local text = status >= 200 and status < 300 and response:summary(LONGEST_BODY)
      return text or judge(response)
    end

    -- What is ours alone: the same without Lua on the way, unless something has to be judged. Nil where it cannot be.
    -- Of a secret that lacks its padding the key is known, too: it gets one that has it.
    local secret = key and 'whsec_' .. kumo.encode.base64_encode(key)
    local straight = kumo.http.poster
      and kumo.http.poster(client, { url = url, headers = sent, secret = secret, otherwise = judge })
    if straight then
      connection[batched and 'send_batch' or 'send'] = straight
    elseif batched then
      function connection:send_batch(messages)
        return post(messages, batch_id(messages), batch_body(messages))
      end
    else
      function connection:send(message)
        return post({ message }, message:id(), message:get_data())
      end
    end

    function connection:close()
      client:close()
    end

    return connection
  end, place)
end

function mod:new_disposition_hook(options)
  local checked = DispHookOptions(options)
  local name = checked.name
  reserve(name)

  kumo.on('pre_init', function()
    kumo.configure_log_disposition_hook { name = name }
  end)

  kumo.on('log_disposition_' .. name, checked.hook)
end

return mod
