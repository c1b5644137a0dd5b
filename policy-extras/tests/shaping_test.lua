-- Shaping of mail on its way out, out of files.

local t = require 'policy-extras.tests.stub_kumo'
local utils = require 'policy-extras.policy_utils'

local test, error_of = t.test, t.error_of
local eq = utils.assert_eq
local kumo = t.kumo

local FILE = {
  default = { connection_limit = 5, max_message_rate = '10/s', sources = { slow = { connection_limit = 1 } } },
  provider = {
    example = {
      match = { { MXSuffix = '.mail.example' }, { HostName = 'mx.example.net' } },
      connection_limit = 20,
      sources = { slow = { max_message_rate = '2/s' } },
    },
    country = { match = { { DomainSuffix = '.co.example' } }, idle_timeout = '7s' },
  },
  ['Example.com'] = { max_message_rate = '100/min' },
  ['hook.log_hook'] = { mx_rollup = false, max_ready = 10000 },
}

-- The daemon shows a limit as a table of its parts.
local function limit(path)
  local shown = path.connection_limit
  return type(shown) == 'table' and shown.limit or shown
end

local function fresh(files)
  package.loaded['policy-extras.shaping'] = nil
  kumo.dns = nil
  local world = t.world()
  local module = require 'policy-extras.shaping'
  return module:setup(files), world, module
end

local function automated(options)
  package.loaded['policy-extras.shaping'] = nil
  kumo.dns = nil
  local world = t.world()
  local module = require 'policy-extras.shaping'
  return module:setup_with_automation(options), world
end

test('our own numbers are there where nobody says anything, and yours win', function()
  eq(limit(fresh({})('example.com', 'unspecified', 'mx.example.com')), 10)
  eq(limit(fresh(FILE)('example.org', 'unspecified', 'mx.example.org')), 5)
  local shaper = automated { no_default_files = true, extra_files = { { default = { max_ready = 7 } } } }
  local path = shaper.load_shaping_data().domains.default
  eq({ path.max_ready, rawget(path, 'connection_limit') }, { 7 })
end)

test('what is nearer wins, and what is said about the source wins over that', function()
  local get = fresh(FILE)
  local function of(domain, source, site)
    local path = get(domain, source, site)
    return { limit(path), path.max_message_rate, path.provider_name }
  end
  local rate = function(spec)
    return kumo.make_egress_path({ max_message_rate = spec }).max_message_rate
  end
  eq(of('other.org', 'fast', 'mx.other.org'), { 5, rate '10/s' })
  eq(of('other.org', 'slow', 'mx.other.org'), { 1, rate '10/s' })
  eq(of('example.COM', 'fast', 'mx.other.org'), { 5, rate '100/min' })
  eq(of('other.org', 'fast', '(mx1|mx2).mail.example'), { 20, rate '10/s', 'example' })
  eq(of('other.org', 'fast', 'MX.example.net.'), { 20, rate '10/s', 'example' })
  eq(of('other.org', 'slow', 'mx.example.net'), { 1, rate '2/s', 'example' })
  eq(of('x.co.example', 'fast', 'mx.other.org'), { 5, rate '10/s', 'country' })
  eq(get('hook.log_hook', 'unspecified', 'hook.log_hook').max_ready, 10000)
end)

test('a section is for all domains of the same hosts where these are known', function()
  local get = fresh(FILE)
  kumo.dns = {
    lookup_mx = function(domain)
      assert(domain ~= 'hook.log_hook', 'mx_rollup = false')
      return { site_name = 'mx.shared.example' }
    end,
  }
  local expected = kumo.make_egress_path({ max_message_rate = '100/min' }).max_message_rate
  eq(get('alias.example', 'fast', 'mx.shared.example').max_message_rate, expected)
  assert(get('alias.example', 'fast', 'mx.other.example').max_message_rate ~= expected)
  kumo.dns = nil
end)

test('later files are laid over earlier ones, or replace a section', function()
  local get = fresh { FILE, { ['example.com'] = { max_ready = 9 } } }
  eq({ get('example.com', 'x', 'y').max_ready, limit(get('example.com', 'x', 'y')) }, { 9, 5 })
  local replaced = fresh { FILE, { default = { replace_base = true, max_ready = 9 } } }
  local path = replaced('other.org', 'x', 'y')
  eq(path.max_ready, 9)
  assert(limit(path) ~= 5)
end)

test('a wrong option is refused when the policy loads', function()
  utils.assert_matches(error_of(fresh, { default = { colour = 1 } }), "ShapingSection: unknown field 'colour'")
  utils.assert_matches(error_of(fresh, { provider = { a = {} } }), "missing value for field 'match'")
  utils.assert_matches(error_of(fresh, { provider = { a = { match = { { MX = 'x' } } } } }), "unknown field 'MX'")
  utils.assert_matches(error_of(fresh, { provider = { a = { match = { { MXSuffix = '' } } } } }), 'Expected a text')
  utils.assert_matches(error_of(fresh, { default = 5 }), "shaping: 'default' must be a section, got number")
  utils.assert_matches(error_of(automated, { publich = {} }), "ShapingAutomationOptions: unknown field 'publich'")
end)

test('records go to the daemon, but for those that it does not care about', function()
  local url = 'http://10.0.0.1:8008'
  local shaper, world = automated {
    publish = url,
    back_pressure = 10,
    pre_filter = false,
    additional_skip_log_record_types = { 'Delivery' },
    tsa_queue_config = { retry_interval = '5s' },
  }
  local name = url .. '.tsa.kumomta'
  shaper.setup_publish()
  eq(world.log_hooks, { { name = name, back_pressure = 10 } })
  local wanted = function(kind)
    local message = t.message('id', '{}\n', { type = kind, reception_protocol = 'ESMTP' })
    return world.fire('should_enqueue_log_record', message, name), message.meta.queue
  end
  eq({ wanted 'TransientFailure' }, { true, name })
  eq({ wanted 'Reception' }, { false })
  eq({ wanted 'Delivery' }, { false })
  eq(world.fire('should_enqueue_log_record', t.message('id', '{}', {}), 'another'), nil)
  world.fire('get_queue_config', name)
  eq(world.queue_configs[1].retry_interval, '5s')
  eq(world.fire('get_queue_config', 'example.com'), nil)

  local connection = world.fire('make.' .. name)
  world.respond = { status = 200, reason = 'OK', body = 'fine' }
  eq(connection:send(t.message('id', '{"a":1}\n')), '200 OK: fine')
  eq({ world.requests[1].url, world.requests[1].bytes }, { url .. '/publish_log_v1', '{"a":1}\n' })
  world.respond = { status = 503, reason = 'Service Unavailable', body = 'later' }
  eq(error_of(connection.send, connection, t.message('id', '{}')), '400 503 Service Unavailable: later')
  connection:close()
  assert(world.clients[1].closed)
end)

test('with rules in the files only what one of them could be about is sent', function()
  local shaper, world = automated {
    publish = { 'http://tsa' },
    extra_files = { { default = { automation = { { regex = { 'rate limited', '^421 ' }, action = 'Suspend' } } } } },
  }
  assert(shaper)
  local wanted = function(code, content)
    local record = { type = 'TransientFailure', response = { code = code, content = content } }
    return world.fire('should_enqueue_log_record', t.message('id', '', record), 'http://tsa.tsa.kumomta')
  end
  eq({ wanted(451, 'you are rate limited'), wanted(421, 'later'), wanted(451, 'mailbox full') }, { true, true, false })
end)

test('what a daemon says is laid over the files, and its silence changes nothing', function()
  local answers = { { status = 200, body = 'connection_limit' }, { status = 500, body = 'boom' } }
  local logged = {}
  package.loaded['policy-extras.shaping'] = nil
  local world = t.world()
  local real = { kumo.memoize, kumo.log_error, kumo.serde.toml_parse }
  kumo.memoize = function(f)
    return f
  end
  kumo.log_error = function(text)
    logged[#logged + 1] = text
  end
  kumo.serde.toml_parse = function()
    return { default = { connection_limit = 3 } }
  end
  world.respond = function(request)
    eq(request.url, 'http://tsa/get_config_v1/shaping.toml')
    return table.remove(answers, 1)
  end
  local module = require 'policy-extras.shaping'
  local shaper = module:setup_with_automation { subscribe = 'http://tsa', extra_files = { FILE } }
  local limits = {
    limit(shaper.get_egress_path_config('a.example', 'fast', 'mx')),
    limit(shaper.get_egress_path_config('a.example', 'fast', 'mx')),
  }
  kumo.memoize, kumo.log_error, kumo.serde.toml_parse = table.unpack(real, 1, 3)
  eq(limits, { 3, 5 })
  eq(logged, { 'shaping data of http://tsa: 500 boom' })
end)

test('it can be set up once, and validation finds what does not fit', function()
  local _, world, module = fresh { provider = { nobody = { match = {} } } }
  eq(t.printed(world.fire, 'validate_config'), { "policy-extras.shaping: provider 'nobody' matches nothing" })
  assert(world.validation_failed)
  utils.assert_matches(error_of(module.setup, module, FILE), 'policy%-extras%.shaping has already been configured$')
end)

t.finish()
