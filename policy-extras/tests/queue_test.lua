-- Tenants, campaigns and the settings of queues out of files.

local t = require 'policy-extras.tests.stub_kumo'
local utils = require 'policy-extras.policy_utils'

local test, error_of = t.test, t.error_of
local eq = utils.assert_eq

local FILE = {
  tenant_header = 'X-Tenant',
  remove_tenant_header = true,
  campaign_header = 'X-Campaign',
  scheduling_header = 'X-Schedule',
  remove_scheduling_header = true,
  default_tenant = 'standard',
  tenant = {
    standard = { egress_pool = 'pool-0', max_age = '10 hours' },
    guarded = { require_authz = { 'customer' }, egress_pool = 'pool-1' },
    limited = { overall_max_message_rate = '100/hr' },
  },
  queue = {
    default = { max_age = '24 hours', retry_interval = '20 mins', standard = { retry_interval = '1 min' } },
    ['Example.com'] = {
      max_age = '22 hours',
      shrink_policy = { { interval = '1 hour', policy = 'ShrinkData' } },
      standard = { max_age = '2 days', welcome = { max_age = '1 hour' } },
    },
  },
}

local function fresh(files, options)
  package.loaded['policy-extras.queue'] = nil
  local world = t.world()
  local module = require 'policy-extras.queue'
  local helper
  if options then
    options.file_names = { files }
    helper = module:setup_with_options(options)
  else
    helper = module:setup(files)
  end
  return helper, world, module
end

local function message(headers, meta)
  local m = t.message('id', 'data')
  m.headers = headers
  for name, value in pairs(meta or {}) do
    m.meta[name] = value
  end
  return m
end

test('each level is laid over the one before', function()
  local helper = fresh(FILE)
  local ages = {}
  for i, key in ipairs { {}, { 'example.com' }, { 'other.com', 'standard' }, { 'EXAMPLE.com', 'standard' }, { 'example.com', 'standard', 'welcome' }, { 'example.com', 'standard', 'other' }, { 'example.com', 'guarded' } } do
    ages[i] = helper:resolve_config(table.unpack(key)).max_age
  end
  eq(ages, { '24 hours', '22 hours', '10 hours', '2 days', '1 hour', '2 days', '22 hours' })
  eq(helper:resolve_config('other.com', 'standard').retry_interval, '1 min')
  eq(helper:resolve_config('example.com', 'guarded').egress_pool, 'pool-1')
  eq(helper:resolve_config('example.com').shrink_policy[1].policy, 'ShrinkData')
end)

test('queues are asked for again when the policy changes, unless the file says otherwise', function()
  local helper = fresh(FILE)
  eq(helper:resolve_config('a.example').refresh_strategy, 'Epoch')
  local other = fresh { queue = { default = { refresh_strategy = 'Ttl' } } }
  eq(other:resolve_config('a.example').refresh_strategy, 'Ttl')
end)

test('get_queue_config answers for every domain, unless it is left out', function()
  local _, world = fresh(FILE)
  eq(world.fire('get_queue_config', 'example.com', 'standard', 'welcome').max_age ~= nil, true)
  eq(world.queue_configs[#world.queue_configs].max_age, '1 hour')
  local _, without = fresh(FILE, { skip_queue_config_hook = true })
  eq(without.handlers.get_queue_config, nil)
end)

test('headers become tenant, campaign and schedule', function()
  local helper = fresh(FILE)
  local m = message { ['X-Tenant'] = 'limited', ['X-Campaign'] = 'spring', ['X-Schedule'] = '{}' }
  helper:apply(m)
  eq({ m.meta.tenant, m.meta.campaign, m.schedule }, { 'limited', 'spring', '{}' })
  eq(m.headers, { ['X-Campaign'] = 'spring' })
  local plain = message {}
  helper:apply(plain)
  eq({ plain.meta.tenant, plain.meta.campaign }, { 'standard' })
end)

test('a tenant may be used by whom it says only', function()
  local helper = fresh(FILE)
  local stranger = message({ ['X-Tenant'] = 'guarded' }, { authz_id = 'another' })
  eq(error_of(helper.apply, helper, stranger), "550 5.7.1 tenant 'guarded' may not be used by another")
  local nobody = message { ['X-Tenant'] = 'guarded' }
  eq(error_of(helper.apply, helper, nobody), "550 5.7.1 tenant 'guarded' may not be used by somebody unknown")
  local customer = message({ ['X-Tenant'] = 'guarded' }, { authz_id = 'customer' })
  helper:apply(customer)
  eq(customer.meta.tenant, 'guarded')
end)

test('a rate of a tenant holds messages of all its queues back', function()
  local _, world = fresh(FILE)
  world.throttled['tenant-limited'] = true
  local m = message({}, { tenant = 'limited' })
  eq(world.fire('throttle_insert_ready_queue', m), true)
  eq(m.delayed_by, 'tenant-limited 100/hr')
  eq(world.fire('throttle_insert_ready_queue', message({}, { tenant = 'standard' })), nil)
  eq(world.fire('throttle_insert_ready_queue', message {}), nil)
  local _, unlimited = fresh { tenant = { a = { max_age = '1h' } } }
  eq(unlimited.handlers.throttle_insert_ready_queue, nil)
end)

test('a wrong option is refused when the policy loads', function()
  for file, expected in pairs {
    [{ colour = 1 }] = "QueueHelperConfig: unknown field 'colour'",
    [{ tenant = { a = { max_age = {} } } }] = "invalid value for field 'max_age'",
    [{ tenant = { a = { overall_max_message_rate = 'lots' } } }] = "Expected a rate such as '1000/hr', got 'lots'",
    [{ tenant_header = 'X-Tenant\n' }] = 'Expected a text without control characters',
    [{ default_tenant = '' }] = 'Expected a text without control characters',
    [{ queue = { { max_age = '1h' } } }] = '%[queue%]: expected sections with names, got a list',
    [{ tenant = { 'a' } }] = '%[tenant%]: expected sections with names, got a list',
    [{ tenant = { a = { colour = 1 } } }] = "Tenant: unknown field 'colour'",
    [{ queue = { default = { colour = 1 } } }] = "QueueConfig: unknown field 'colour'",
    [{ queue = { ['a.example'] = { t = { c = { colour = 1 } } } } }] = "QueueConfig: unknown field 'colour'",
  } do
    utils.assert_matches(error_of(fresh, file), expected)
  end
  utils.assert_matches(error_of(fresh, FILE, { colour = 1 }), "QueueHelperOptions: unknown field 'colour'")
end)

test('validation finds what does not fit together', function()
  local _, world = fresh {
    remove_campaign_header = true,
    default_tenant = 'gone',
  }
  local lines = t.printed(world.fire, 'validate_config')
  eq(#lines, 2)
  eq(lines[1], "policy-extras.queue: default_tenant 'gone' has no section [tenant.'gone']")
  eq(lines[2], 'policy-extras.queue: remove_campaign_header is set, and campaign_header is not')
  assert(world.validation_failed)
  local _, good = fresh(FILE)
  eq(t.printed(good.fire, 'validate_config'), {})
end)

test('it can be set up once', function()
  local _, _, module = fresh(FILE)
  utils.assert_matches(error_of(module.setup, module, FILE), 'policy%-extras%.queue has already been configured$')
end)

t.finish()
