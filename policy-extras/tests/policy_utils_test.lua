-- The small things of `policy-extras.policy_utils`.

local t = require 'policy-extras.tests.stub_kumo'
local utils = require 'policy-extras.policy_utils'
local kumo = t.kumo

local test, error_of = t.test, t.error_of
local eq = utils.assert_eq

test('equals compares what tables hold', function()
  assert(utils.equals(1, 1))
  assert(utils.equals('a', 'a'))
  assert(not utils.equals(1, '1'))
  assert(utils.equals({ a = { 1, 2 } }, { a = { 1, 2 } }))
  assert(not utils.equals({ 1, 2 }, { 1 }))
  assert(not utils.equals({ 1 }, { 1, 2 }))
  assert(not utils.equals({ a = 1 }, { a = false }))
  assert(not utils.equals({}, nil))
end)

test('equals ends on cycles', function()
  local a, b, c = { 1 }, { 1 }, { 2 }
  a.self, b.self, c.self = a, b, c
  assert(utils.equals(a, b))
  assert(not utils.equals(a, c))
end)

test('assertions pass in silence and fail with both sides', function()
  utils.assert_eq({ 1 }, { 1 })
  utils.assert_ne(1, 2)
  utils.assert_matches('250 OK', '^%d+ ')
  utils.assert_matches(error_of(utils.assert_eq, { a = 1 }, 2, 'sizes'), 'sizes: expected {a = 1} == 2$')
  utils.assert_matches(error_of(utils.assert_ne, 1, 1), 'expected 1 ~= 1$')
  utils.assert_matches(error_of(utils.assert_matches, 'x', '%d'), 'expected "x" to match "%%d"$')
  utils.assert_matches(error_of(utils.assert_matches, nil, '%d'), 'expected nil to match "%%d"$')
end)

test('a failed assertion points at the line that made it', function()
  local where, text
  where, text = error_of(function() error 'x' end), error_of(function() utils.assert_eq(1, 2) end)
  eq(text, where:gsub('x$', '') .. 'expected 1 == 2')
end)

test('merge_into copies entries, over what is there', function()
  local dest = { a = 1, b = { x = 1 } }
  assert(rawequal(utils.merge_into({ b = { y = 2 }, c = 3 }, dest), dest))
  eq(dest, { a = 1, b = { y = 2 }, c = 3 })
end)

test('recursive_merge_into merges tables within and replaces lists', function()
  local src = { b = { y = 2 }, list = { 'x' }, new = { z = 1 } }
  local dest = { a = 1, b = { x = 1 }, list = { 'a', 'b' } }
  utils.recursive_merge_into(src, dest)
  eq(dest, { a = 1, b = { x = 1, y = 2 }, list = { 'x' }, new = { z = 1 } })
  dest.new.z, dest.list[1] = 2, 'changed'
  eq(src, { b = { y = 2 }, list = { 'x' }, new = { z = 1 } })
end)

test('tables are asked about values, keys, and being empty', function()
  assert(utils.table_contains({ 'a', 'b' }, 'b'))
  assert(utils.table_contains({ k = { 1 } }, { 1 }))
  assert(not utils.table_contains({ 'a' }, 'c'))
  eq(utils.table_keys { b = 1, a = 2, [2] = 3, [1] = 4, [true] = 5 }, { true, 1, 2, 'a', 'b' })
  assert(utils.table_is_empty {})
  assert(not utils.table_is_empty { false })
end)

test('starts and ends', function()
  assert(utils.starts_with('webhook-id', 'webhook-'))
  assert(not utils.starts_with('web', 'webhook'))
  assert(utils.starts_with('x', ''))
  assert(utils.ends_with('a.toml', '.toml'))
  assert(not utils.ends_with('toml', '.toml'))
  assert(utils.ends_with('x', ''))
end)

test('IP and port are split, with and without brackets', function()
  eq({ utils.split_ip_port '10.0.0.1:25' }, { '10.0.0.1', '25' })
  eq({ utils.split_ip_port '[::1]:2525' }, { '::1', '2525' })
  eq({ utils.split_ip_port '10.0.0.1' }, { '10.0.0.1' })
  eq({ utils.split_ip_port '[::1]' }, { '::1' })
  eq({ utils.split_ip_port '2001:db8::1' }, { '2001:db8::1' })
end)

test('dumps shows nested values, in order', function()
  eq(utils.dumps(nil), 'nil')
  eq(utils.dumps 'a"b\n', '"a\\"b\\n"')
  eq(utils.dumps { 1, { x = true }, b = 2, ['a-b'] = 'c' }, '{1, {x = true}, ["a-b"] = "c", b = 2}')
  local cycle = {}
  cycle.me = cycle
  eq(utils.dumps(cycle), '{me = <cycle>}')
end)

test('a file is loaded by its suffix, and a table is loaded already', function()
  local json_load, toml_load = kumo.serde.json_load, kumo.serde.toml_load
  function kumo.serde.json_load(name)
    return { json = name }
  end
  function kumo.serde.toml_load(name)
    return { toml = name }
  end
  local given = {}
  local loaded = { utils.load_json_or_toml_file 'a.json', utils.load_json_or_toml_file 'b.toml' }
  local same = rawequal(utils.load_json_or_toml_file(given), given)
  kumo.serde.json_load, kumo.serde.toml_load = json_load, toml_load
  eq(loaded, { { json = 'a.json' }, { toml = 'b.toml' } })
  assert(same)
end)

t.finish()
