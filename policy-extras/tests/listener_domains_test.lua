-- Which domains mail is taken for, out of files.

local t = require 'policy-extras.tests.stub_kumo'
local utils = require 'policy-extras.policy_utils'

local test, error_of = t.test, t.error_of
local eq = utils.assert_eq

local FILE = {
  ['Example.com'] = { relay_to = true, log_oob = true },
  ['*.example.com'] = { relay_to = true },
  ['send.example.com'] = { relay_from = { '10.0.0.0/24' }, relay_from_authz = { 'customer' } },
  listener = {
    ['127.0.0.1:25'] = { ['example.com'] = { relay_to = false }, ['*.b.example.com'] = { log_arf = true } },
  },
}

local function fresh(files)
  package.loaded['policy-extras.listener_domains'] = nil
  local world = t.world()
  local module = require 'policy-extras.listener_domains'
  return module:setup(files), world, module
end

local function meta(values)
  return {
    get_meta = function(_, name)
      return values[name]
    end,
  }
end

test('the nearest name wins', function()
  local get = fresh { FILE }
  eq(get('example.COM', 'x').log_oob, true)
  eq(get('a.b.example.com', 'x').relay_to, true)
  eq(get('example.org', 'x'), nil)
  local with_rest = fresh { FILE, { ['*'] = { log_oob = false } } }
  eq(with_rest('example.org', 'x').log_oob, false)
end)

test('an entry for the listener wins over one for all', function()
  local get = fresh(FILE)
  eq(get('example.com', '127.0.0.1:25').relay_to, false)
  eq(get('example.com', '127.0.0.1:2525').relay_to, true)
  eq(get('x.b.example.com', '127.0.0.1:25').log_arf, true)
  eq(get('x.c.example.com', '127.0.0.1:25').relay_to, true)
end)

test('who has authenticated may send from everywhere', function()
  local get = fresh(FILE)
  local from = function(values)
    local domain = get('send.example.com', 'x', meta(values))
    return { domain.relay_from[1], domain.relay_from[2] }
  end
  eq(from { authz_id = 'customer' }, { '0.0.0.0/0', '::/0' })
  eq(from { authz_id = 'another' }, { '10.0.0.0/24' })
  eq(from {}, { '10.0.0.0/24' })
end)

test('a wrong option is refused when the policy loads', function()
  utils.assert_matches(error_of(fresh, { ['a.example'] = { relay = true } }), "unknown field 'relay'")
  local authz = { ['a.example'] = { relay_from_authz = 'customer' } }
  utils.assert_matches(error_of(fresh, authz), "invalid value for field 'relay_from_authz'")
end)

test('it can be set up once, and validation finds odd wildcards', function()
  local _, world, module = fresh { ['a*.example'] = { relay_to = true }, ['*'] = {}, ['*.fine.example'] = {} }
  eq(t.printed(world.fire, 'validate_config'), {
    "policy-extras.listener_domains: 'a*.example': a '*' stands for what is in front of the first dot",
  })
  assert(world.validation_failed)
  utils.assert_matches(error_of(module.setup, module, FILE), 'has already been configured$')
end)

t.finish()
