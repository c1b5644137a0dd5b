-- What `policy-extras.log_hooks` registers, sends, and refuses.

local t = require 'policy-extras.tests.stub_kumo'
local real_build_client = t.kumo.http.build_client
local log_hooks = require 'policy-extras.log_hooks'
local utils = require 'policy-extras.policy_utils'

local test, error_of = t.test, t.error_of
local eq, matches = utils.assert_eq, utils.assert_matches

local function constructor()
  return {}
end

local taken = 0

-- Names are spent for good, so each test takes fresh ones.
local function fresh()
  taken = taken + 1
  return 'hook' .. taken
end

local function complaint(method, options)
  return (t.without_positions(error_of(function()
    log_hooks[method](log_hooks, options)
  end)):gsub('@ ', ''))
end

-- A hook made by `new_json`, and a connection of it.
local function connected(options)
  local world = t.world()
  options.name = fresh()
  options.url = options.url or 'http://127.0.0.1:4242/log'
  log_hooks:new_json(options)
  local domain = options.name .. '.log_hook'
  return world, world.fire('make.' .. domain, domain, nil, nil)
end

-- What becomes of one record when the endpoint answers like this.
local function verdict(answer)
  local world, connection = connected {}
  world.respond = answer
  local fine, result = pcall(connection.send, connection, t.message('id', '{}\n'))
  return fine, result
end

local function rejection(answer)
  local fine, result = verdict(answer)
  assert(not fine, 'expected a rejection')
  return result
end

-- Options --------------------------------------------------------------------

test('bad options are refused in the words that scripts may know', function()
  t.world()
  local new = 'LogHookOptions: '
  local json = 'JsonLogHookOptions: '
  local coercion = "Expected value of type 'QueueConfig' and encountered an error during coercion\n"

  eq(complaint('new', { constructor = constructor }), new .. "missing value for field 'name' of type 'string'")
  eq(
    complaint('new', { name = 'a', constructor = constructor, batch_size = 'x' }),
    new .. "invalid value for field 'batch_size'\nExpected 'number', got 'string' 'x'"
  )
  -- What is accepted stands behind it, in a line of its own.
  local unknown = complaint('new', { name = 'b', constructor = constructor, colour = 1 })
  utils.assert_matches(unknown, '^' .. new .. "unknown field 'colour'\nExpected one of 'batch_size', 'constructor', ")
  eq(complaint('new_json', { name = 'c' }), json .. "missing value for field 'url' of type 'string'")
  unknown = complaint('new_json', { name = 'd', url = 'http://x/', constructor = constructor })
  utils.assert_matches(unknown, '^' .. json .. "unknown field 'constructor'\nExpected one of ")
  eq(
    complaint('new_json', { name = 'e', url = 'not a url' }),
    json .. "invalid value for field 'url'\nExpected an address such as https://example.com/hook"
  )
  eq(
    complaint('new_json', { name = 'e', url = 5 }),
    json .. "invalid value for field 'url'\nExpected 'string', got 'number' 5"
  )
  unknown = complaint('new', { name = 'g', constructor = constructor, queue_config = { colour = 1 } })
  local expected = new .. "invalid value for field 'queue_config'\n" .. coercion .. "QueueConfig: unknown field 'colour'\n"
  eq(unknown:sub(1, #expected), expected)
  utils.assert_matches(unknown, "\nExpected one of 'retry_interval', ")
  eq(
    complaint('new', { name = 'h', constructor = constructor, queue_config = { retry_interval = {} } }),
    new
      .. "invalid value for field 'queue_config'\n"
      .. coercion
      .. "QueueConfig: invalid value for field 'retry_interval'\n"
      .. 'invalid type: map, expected a duration'
  )
  eq(
    complaint('new', { name = 'i', constructor = constructor, max_batch_latency = 5 }),
    new .. "invalid value for field 'max_batch_latency'\nExpected 'string', got 'number' 5"
  )
  eq(complaint('new', { name = 'i' }), new .. "missing value for field 'constructor' of type 'function'")
  eq(complaint('new_disposition_hook', { name = 'i' }), "DispHookOptions: missing value for field 'hook' of type 'function'")
end)

test('an error of the options carries the line of the policy and that of the helper', function()
  t.world()
  local text = error_of(function()
    log_hooks:new { constructor = constructor }
  end)
  matches(text, '^.-log_hooks_test.-:%d+: .-policy%-extras/log_hooks%.lua:%d+ LogHookOptions: ')
end)

test('a batch option that no queue would take is reported under its own name', function()
  t.world()
  local text = complaint('new', { name = 'j', constructor = constructor, max_batch_latency = 'soon' })
  matches(text, "^LogHookOptions: invalid value for field 'max_batch_latency'\n.")
  text = complaint('new_json', { name = 'j', url = 'http://x/', batch_size = -1 })
  matches(text, "^JsonLogHookOptions: invalid value for field 'batch_size'\n.")
end)

test('a name is used once, over all kinds of hooks', function()
  t.world()
  local name = fresh()
  log_hooks:new { name = name, constructor = constructor }
  local expected = string.format("log_hook with name '%s' has already been configured", name)
  eq(complaint('new', { name = name, constructor = constructor }), expected)
  eq(complaint('new_json', { name = name, url = 'http://x/' }), expected)
  eq(complaint('new_disposition_hook', { name = name, hook = constructor }), expected)
  assert(log_hooks.CONFIGURED[name])
end)

test('a name whose options were refused is free', function()
  t.world()
  local name = fresh()
  complaint('new', { name = name, constructor = constructor, batch_size = 'x' })
  log_hooks:new { name = name, constructor = constructor }
end)

-- Handlers -------------------------------------------------------------------

test('handlers are registered in a fixed order', function()
  local world = t.world()
  local name = fresh()
  log_hooks:new { name = name, constructor = constructor }
  eq(world.order, { 'pre_init', 'should_enqueue_log_record', 'get_queue_config', 'make.' .. name .. '.log_hook' })
  assert(rawequal(world.handlers['make.' .. name .. '.log_hook'][1], constructor))
end)

test('log parameters go to configure_log_hook when the daemon starts', function()
  local world = t.world()
  local name = fresh()
  log_hooks:new { name = name, constructor = constructor, log_parameters = { headers = { 'Subject' } } }
  eq(world.log_hooks, {})
  world.fire 'pre_init'
  eq(world.log_hooks, { { name = name, headers = { 'Subject' } } })
end)

test('a name among the log parameters wins', function()
  local world = t.world()
  log_hooks:new { name = fresh(), constructor = constructor, log_parameters = { name = 'other' } }
  world.fire 'pre_init'
  eq(world.log_hooks, { { name = 'other' } })
end)

test('records of the hook are queued for it, those of others left to others', function()
  local world = t.world()
  local name = fresh()
  log_hooks:new { name = name, constructor = constructor }
  local enqueue = world.handlers.should_enqueue_log_record[1]

  local message = t.message('id', '{}\n', { type = 'Delivery' })
  eq(select('#', enqueue(message, 'another')), 0)
  eq(message:get_meta 'queue', nil)
  eq(enqueue(message, name), true)
  eq(message:get_meta 'queue', name .. '.log_hook')
end)

test('a record about a log record is refused', function()
  local world = t.world()
  local name = fresh()
  log_hooks:new { name = name, constructor = constructor }
  local message = t.message('id', '{}\n', { reception_protocol = 'LogRecord' })
  eq(world.fire('should_enqueue_log_record', message, name), false)
  eq(message:get_meta 'queue', nil)
end)

test('the filter sees message and hook name, and true refuses', function()
  for method, more in pairs { new = { constructor = constructor }, new_json = { url = 'http://x/' } } do
    local world = t.world()
    local name = fresh()
    local seen
    local options = {
      name = name,
      filter = function(msg, hook_name)
        seen = hook_name
        return msg:get_meta('log_record').type == 'Delayed'
      end,
    }
    log_hooks[method](log_hooks, utils.merge_into(more, options))
    local function asked(kind)
      return world.fire('should_enqueue_log_record', t.message('id', '{}\n', { type = kind }), name)
    end
    eq({ asked 'Delayed', asked 'Delivery' }, { false, true })
    eq(seen, name)
  end
end)

test('the queue has its defaults, what the caller set, and the hook as its protocol', function()
  local world = t.world()
  local name = fresh()
  local mine = { max_retry_interval = '5m', max_age = '1d', protocol = { smtp = {} } }
  log_hooks:new {
    name = name,
    constructor = constructor,
    queue_config = mine,
    batch_size = 10,
    min_batch_size = 2,
    max_batch_latency = '2s',
  }
  world.queue_configs = {}
  eq(select('#', world.fire('get_queue_config', 'example.com', nil, nil, nil)), 0)
  eq(world.queue_configs, {})

  assert(world.fire('get_queue_config', name .. '.log_hook', nil, nil, nil))
  eq(world.queue_configs, {
    {
      retry_interval = '1m',
      max_retry_interval = '5m',
      max_age = '1d',
      protocol = {
        custom_lua = {
          constructor = 'make.' .. name .. '.log_hook',
          batch_size = 10,
          min_batch_size = 2,
          max_batch_latency = '2s',
        },
      },
    },
  })
  eq(mine, { max_retry_interval = '5m', max_age = '1d', protocol = { smtp = {} } })
end)

test('a disposition hook is configured at start and called by its event', function()
  local world = t.world()
  local name = fresh()
  log_hooks:new_disposition_hook { name = name, hook = constructor }
  eq(world.order, { 'pre_init', 'log_disposition_' .. name })
  assert(rawequal(world.handlers['log_disposition_' .. name][1], constructor))
  world.fire 'pre_init'
  eq(world.disposition_hooks, { { name = name } })
end)

-- new_json -------------------------------------------------------------------

test('the table of the caller is left alone', function()
  t.world()
  local options = { name = fresh(), url = 'http://x/', headers = { a = 'b' } }
  local before = utils.merge_into(options, {})
  log_hooks:new_json(options)
  eq(options, before)
end)

test('a record is posted as it is', function()
  local world, connection = connected { url = 'http://10.0.0.1:4242/log' }
  world.respond = { status = 200, reason = 'OK', body = 'thanks' }
  eq(connection:send(t.message('0a1b', '{"a":null}\n')), '200 OK: thanks')

  local request = world.requests[1]
  eq(request.url, 'http://10.0.0.1:4242/log')
  eq(request.bytes, '{"a":null}\n')
  eq(request.headers, {
    ['content-type'] = 'application/json',
    ['webhook-id'] = '0a1b',
    ['x-waybill-hops'] = '1',
  })
  eq(connection.send_batch, nil)
end)

test('the client has a time limit and stays where it was sent', function()
  local world = connected {}
  eq(world.clients[1].params, { timeout = '30s', redirect = 'none', max_response_size = 1048576 })
  world = connected { timeout = 5 }
  eq(world.clients[1].params.timeout, 5)
  world = connected { timeout = '1m 30s' }
  eq(world.clients[1].params.timeout, '1m 30s')
end)

test('close closes the client', function()
  local world, connection = connected {}
  connection:close()
  assert(world.clients[1].closed)
end)

test('a batch is an array of the records, byte for byte, without their newlines', function()
  local world, connection = connected { batch_size = 3 }
  world.respond = { status = 202, reason = 'Accepted' }
  local messages = { t.message('1', '{"a":null}\n'), t.message('2', '{"b":[]}'), t.message('3', '{"c":"\\n"}\n') }
  eq(connection:send_batch(messages), '202 Accepted: ')
  eq(world.requests[1].bytes, '[{"a":null},{"b":[]},{"c":"\\n"}]')
  eq(connection.send, nil)
end)

test('the id of a batch follows from its messages', function()
  local world, connection = connected { batch_size = 2 }
  local one, two = t.message('ab', '1\n'), t.message('c', '2\n')
  connection:send_batch { one, two }
  connection:send_batch { one, two }
  connection:send_batch { two }
  local ids = {}
  for i, request in ipairs(world.requests) do
    ids[i] = request.headers['webhook-id']
  end
  -- SHA-256 of `abc`.
  eq(ids[1], 'batch_ba7816bf8f01cfea414140de5dae2223')
  eq(ids[2], ids[1])
  utils.assert_ne(ids[3], ids[1])
end)

test('a batch size of one means single records', function()
  local _, connection = connected { batch_size = 1 }
  assert(connection.send and not connection.send_batch)
end)

test('more headers may be sent, and Content-Type replaced', function()
  local world, connection = connected { headers = { Authorization = 'Bearer x', ['content-TYPE'] = 'application/x-json' } }
  connection:send(t.message('id', '{}\n'))
  local request = world.requests[1]
  eq(request.headers.authorization, 'Bearer x')
  eq(request.headers['content-type'], 'application/x-json')
  table.sort(request.header_names)
  eq(request.header_names, { 'authorization', 'content-type', 'webhook-id', 'x-waybill-hops' })
end)

test('headers that cannot be are refused, their values kept quiet', function()
  t.world()
  local function refused(headers)
    return complaint('new_json', { name = 'h', url = 'http://x/', headers = headers })
  end
  matches(refused { ['Webhook-Id'] = 'x' }, "field 'headers'\n'Webhook%-Id' cannot be set")
  matches(refused { ['a b'] = 'x' }, "'a b' is not a header name$")
  matches(refused { [''] = 'x' }, "'' is not a header name$")
  matches(refused { a = 'x', A = 'y' }, "'A' and 'a' are the same header$")
  local text = refused { Authorization = 'hush\r\nX: y' }
  matches(text, "the value of 'Authorization' has control characters$")
  assert(not text:find 'hush')
end)

test('time limits that are none are refused', function()
  t.world()
  for _, timeout in ipairs { 0, -1, 'soon', '0s', {}, true } do
    matches(complaint('new_json', { name = 't', url = 'http://x/', timeout = timeout }), "invalid value for field 'timeout'\n")
  end
end)

-- What the answer means ------------------------------------------------------

test('success is 2xx, whatever the body', function()
  eq({ verdict { status = 200, reason = 'OK', body = 'fine' } }, { true, '200 OK: fine' })
  eq({ verdict { status = 204, reason = 'No Content' } }, { true, '204 No Content: ' })
  eq({ verdict { status = 299, body = 'odd' } }, { true, '299 : odd' })
  eq({ verdict { status = 200, reason = 'OK', body = '\xff' } }, { true, '200 OK: <unreadable body>' })
  local broken = function()
    error 'connection reset'
  end
  eq({ verdict { status = 200, reason = 'OK', body = broken } }, { true, '200 OK: <unreadable body>' })
end)

test('statuses that pass are tried again', function()
  for status, code in pairs { [408] = 408, [425] = 425, [429] = 429, [500] = 451, [502] = 451, [503] = 451, [504] = 451, [599] = 451 } do
    local rejected = rejection { status = status, reason = 'Reason', body = 'body' }
    eq(rejected.code, code, status)
    eq(rejected.text, status .. ' Reason: body')
    eq(rejected.options, nil)
  end
end)

test('other statuses are final', function()
  for _, status in ipairs { 301, 302, 304, 307, 400, 401, 403, 404, 410, 413, 421, 422 } do
    local rejected = rejection { status = status, reason = 'Reason', header_values = { ['retry-after'] = '5' } }
    eq(rejected.code, 550, status)
    eq(rejected.text, status .. ' Reason: ')
    eq(rejected.options, nil)
  end
end)

test('Retry-After is passed on, as seconds or as a date', function()
  local function wait(value)
    local rejected = rejection { status = 503, reason = 'Unavailable', header_values = { ['retry-after'] = value } }
    eq(rejected.code, 451)
    return rejected.options and rejected.options.retry_after
  end
  eq(wait '120', 120)
  eq(wait ' 7 ', 7)
  -- 1700000000 is Tue, 14 Nov 2023 22:13:20 GMT.
  eq(wait 'Tue, 14 Nov 2023 22:15:20 GMT', 120)
  eq(wait 'Tue, 14 Nov 2023 22:13:20 GMT', nil)
  eq(wait 'Mon, 13 Nov 2023 22:13:20 GMT', nil)
  eq(wait '0', nil)
  eq(wait '-5', nil)
  eq(wait 'later', nil)
  eq(wait '', nil)
  eq(wait(('9'):rep(400)), 7 * 24 * 60 * 60)
end)

test('a long body is cut where a character ends', function()
  local fine, text = verdict { status = 200, reason = 'OK', body = ('x'):rep(1023) .. 'é' .. 'tail' }
  eq({ fine, text }, { true, '200 OK: ' .. ('x'):rep(1023) })
  fine, text = verdict { status = 200, reason = 'OK', body = ('x'):rep(1022) .. 'é' .. 'tail' }
  eq({ fine, text }, { true, '200 OK: ' .. ('x'):rep(1022) .. 'é' })
  fine, text = verdict { status = 200, reason = 'OK', body = ('x'):rep(1024) }
  eq({ fine, text }, { true, '200 OK: ' .. ('x'):rep(1024) })
end)

test('network trouble is raised as it came', function()
  local world, connection = connected {}
  world.respond = function()
    error('error sending request', 0)
  end
  eq(error_of(connection.send, connection, t.message('id', '{}\n')), 'error sending request')
end)

-- Signatures -----------------------------------------------------------------

local SHORTEST = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX'
local LONGEST = 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=='

test('signatures are those of Standard Webhooks', function()
  local vectors = {
    {
      'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      1614265330,
      '{"test": 2432232314}',
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    { SHORTEST, 'msg_00000000000000000000000001', 1700000000, '{"type":"Delivery","id":1}', 'v1,/PUDm6IPij1fqEdcj/011h7whBX6+Qj4/L2aXolbyRA=' },
    { LONGEST, 'msg_00000000000000000000000001', 1700000000, '{"type":"Delivery","id":1}', 'v1,WouWXLopWWjYvcoNA/ZVjBt3goETmw1pc+6i/FUJlvY=' },
    { SHORTEST, 'msg_e', 1700000000, '', 'v1,XYu6YzYUZ00ZCyNa0Zen3RUF/FIzM/srbtKgU4a+Qjw=' },
    { SHORTEST, 'msg_u', 1700000000, '{"s":"é✓"}', 'v1,THMIrBovYHi4PRqb17MYC6Z8vN5H8msShYcdsjgEnM4=' },
  }
  for _, vector in ipairs(vectors) do
    local secret, id, timestamp, body, signature = table.unpack(vector)
    local world, connection = connected { secret = secret }
    world.now = timestamp
    connection:send(t.message(id, body))
    local headers = world.requests[1].headers
    eq(headers['webhook-id'], id)
    eq(headers['webhook-timestamp'], tostring(timestamp))
    eq(headers['webhook-signature'], signature)
  end
end)

test('each attempt is signed with its own time, under the same id', function()
  local world, connection = connected { secret = SHORTEST, batch_size = 10 }
  local messages = { t.message('1', '{}\n') }
  connection:send_batch(messages)
  world.now = world.now + 60
  connection:send_batch(messages)
  local first, second = world.requests[1].headers, world.requests[2].headers
  eq(first['webhook-id'], second['webhook-id'])
  eq(second['webhook-timestamp'], '1700000060')
  utils.assert_ne(first['webhook-signature'], second['webhook-signature'])
end)

test('a bad secret is refused and not shown', function()
  t.world()
  local bad = {
    'hushhush',
    'whsec_',
    'whsec_hushhush', -- 6 bytes
    'whsec_hush!hush!hush!hush!hush!hush!hush!',
    SHORTEST:sub(1, -5), -- 21 bytes
    'whsec_' .. ('hush'):rep(22), -- 66 bytes
    4711,
    { key_data = 'hush' },
  }
  for _, secret in ipairs(bad) do
    local text = complaint('new_json', { name = 's', url = 'http://x/', secret = secret })
    eq(
      text,
      "JsonLogHookOptions: invalid value for field 'secret'\n"
        .. "Expected 'whsec_' followed by the base64 of 24 to 64 random bytes"
    )
  end
end)

-- Stand-in or real thing -----------------------------------------------------

if t.kumo._stub then
  -- Only the stand-in is sure to mind these two together.
  test('options that do not go together are refused while the policy loads', function()
    local world = t.world()
    local text = complaint('new', { name = fresh(), constructor = constructor, batch_size = 2, min_batch_size = 3 })
    matches(text, "^QueueConfig: invalid value for field 'protocol'\n.")
    eq(world.order, {})
  end)
end

if not t.kumo._stub then
  test('the real HTTP client takes our options', function()
    for _, timeout in ipairs { '30s', 5, 1.5 } do
      real_build_client({ timeout = timeout, redirect = 'none' }):close()
    end
  end)
end

t.finish()
