-- Sources and pools out of files.

local t = require 'policy-extras.tests.stub_kumo'
local utils = require 'policy-extras.policy_utils'

local test, error_of = t.test, t.error_of
local eq = utils.assert_eq

local FILES = {
  { source = { a = { source_address = '10.0.0.1' }, b = { source_address = '10.0.0.2' } } },
  {
    source = { b = { source_address = '10.0.0.3', ehlo_domain = 'b.example.com' } },
    pool = { p = { a = { weight = 3 }, b = {} } },
  },
}

-- A fresh module: one can be set up once only.
local function fresh(files)
  package.loaded['policy-extras.sources'] = nil
  local world = t.world()
  local sources = require 'policy-extras.sources'
  sources:setup(files)
  return world, sources
end

test('a source is what the files say of it, later ones over earlier ones', function()
  local world = fresh(FILES)
  local b = world.fire('get_egress_source', 'b')
  eq({ b.name, b.source_address, b.ehlo_domain }, { 'b', '10.0.0.3', 'b.example.com' })
  eq(world.fire('get_egress_source', 'a').source_address, '10.0.0.1')
end)

test('a pool lists its sources with their weights', function()
  local world = fresh(FILES)
  local pool = world.fire('get_egress_pool', 'p')
  eq({ pool.name, pool.entries[1].name, pool.entries[1].weight, pool.entries[2].name }, { 'p', 'a', 3, 'b' })
end)

test('what is not defined is an error that says which section is missing', function()
  local world = fresh(FILES)
  utils.assert_matches(error_of(world.fire, 'get_egress_source', 'c'), "source 'c' is not defined: .*%[source%.'c'%]")
  utils.assert_matches(error_of(world.fire, 'get_egress_pool', 'q'), "pool 'q' is not defined")
end)

test('a wrong option is refused when the policy loads', function()
  utils.assert_matches(error_of(fresh, { source = { a = { colour = 1 } } }), "unknown field 'colour'")
  utils.assert_matches(error_of(fresh, { sauce = {} }), "SourcesConfig: unknown field 'sauce'")
  utils.assert_matches(error_of(fresh, { source = { a = { colour = 1 } } }), "%[source%.'a'%]: Source: unknown")
  for _, weight in ipairs { -1, 1.5 } do
    local text = error_of(fresh, { pool = { p = { a = { weight = weight } } } })
    utils.assert_matches(text, "%[pool%.'p'%.'a'%]: PoolEntry: invalid value for field 'weight'\nExpected a whole number")
  end
  utils.assert_matches(error_of(fresh, 5), 'expected a file name or a list of them, got number')
end)

test('it can be set up once', function()
  local _, sources = fresh(FILES)
  utils.assert_matches(error_of(sources.setup, sources, FILES), 'policy%-extras%.sources has already been configured$')
end)

test('validation finds pools whose sources are missing', function()
  local world = fresh { pool = { p = { gone = {} }, empty = {}, fine = { unspecified = {} } } }
  local lines = t.printed(world.fire, 'validate_config')
  eq(lines, {
    "policy-extras.sources: pool 'empty' has no source",
    "policy-extras.sources: pool 'p' names source 'gone', which is not defined",
  })
  assert(world.validation_failed)
  local good = fresh(FILES)
  eq(t.printed(good.fire, 'validate_config'), {})
  assert(not good.validation_failed)
end)

t.finish()
