-- How `policy-extras.typing` accepts, copies, and complains.

local t = require 'policy-extras.tests.stub_kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local test, error_of = t.test, t.error_of
local eq = utils.assert_eq

-- What is said, without where.
local function complaint(...)
  return (t.without_positions(error_of(...)):gsub('@ ', ''))
end

test('primitives take their own kind and nothing else', function()
  eq(typing.string 'x', 'x')
  eq(typing.number(1.5), 1.5)
  eq(typing.boolean(false), false)
  eq(typing.Function(print), print)
  eq(typing.any(nil), nil)
  eq(complaint(typing.string, 5), "Expected 'string', got 'number' 5")
  eq(complaint(typing.number, 'x'), "Expected 'number', got 'string' 'x'")
  eq(complaint(typing.boolean, nil), "Expected 'boolean', got 'nil'")
  eq(complaint(typing.Function, {}), "Expected 'function', got 'table'")
end)

test('a long value is shown in part', function()
  local text = complaint(typing.number, ('x'):rep(5000))
  assert(#text < 200, #text)
end)

test('an option takes nil, and complains like what is inside', function()
  local T = typing.option(typing.number)
  eq(T.name, 'option<number>')
  eq(T(nil), nil)
  eq(T(1), 1)
  eq(complaint(T, 'x'), "Expected 'number', got 'string' 'x'")
end)

test('a default is given for nil only, and is nobody else\'s table', function()
  local T = typing.default(typing.list(typing.string), { 'a' })
  local first = T(nil)
  eq(first, { 'a' })
  table.insert(first, 'b')
  eq(T(nil), { 'a' })
  eq(typing.default(typing.boolean, true)(false), false)
end)

test('a default that is no value of its type is refused at once', function()
  local text = complaint(typing.default, typing.number, 'x')
  eq(text, "invalid default value\nExpected 'number', got 'string' 'x'")
end)

test('a list is checked item by item and copied', function()
  local T = typing.list(typing.number)
  local mine = { 1, 2 }
  local checked = T(mine)
  eq(checked, { 1, 2 })
  assert(checked ~= mine)
  eq(complaint(T, { 1, 'x' }), "invalid value for item 2\nExpected 'number', got 'string' 'x'")
  utils.assert_matches(complaint(T, { 1, x = 2 }), 'other keys than 1 to 2')
  eq(complaint(T, 'x'), "Expected 'list<number>', got 'string' 'x'")
end)

test('a map is checked by key and value and copied', function()
  local T = typing.map(typing.string, typing.any)
  eq(T.name, 'map<string,Any>')
  local mine = { a = 1 }
  local checked = T(mine)
  eq(checked, mine)
  assert(not rawequal(checked, mine))
  eq(complaint(T, { 'x' }), "invalid key 'number' 1\nExpected 'string', got 'number' 1")
  local numbers = typing.map(typing.string, typing.number)
  eq(complaint(numbers, { a = 'x' }), "invalid value for key 'a'\nExpected 'number', got 'string' 'x'")
end)

test('an enum takes its values, listed or in a table', function()
  for _, T in ipairs { typing.enum('Mode', 'push', 'pull'), typing.enum('Mode', { 'push', 'pull' }) } do
    eq(T 'push', 'push')
    eq(complaint(T, 'shove'), "Expected 'Mode' (one of 'push', 'pull'), got 'string' 'shove'")
  end
end)

test('a variant takes the first type that fits', function()
  local T = typing.variant('Size', typing.number, typing.string)
  eq(T(1), 1)
  eq(T 'big', 'big')
  utils.assert_matches(complaint(T, {}), "^Expected 'Size', got 'table'\n")
end)

test('a refinement has its say after the type, and only its own words are shown', function()
  local T = typing.refine(typing.string, function(value)
    return #value < 8 and 'too short' or nil
  end)
  eq(T 'long enough', 'long enough')
  eq(complaint(T, 'hush'), 'too short')
  eq(complaint(T, 1), "Expected 'string', got 'number' 1")
end)

test('a text is shown somewhere: it is there, and stays in its line', function()
  eq(typing.text 'größe 1', 'größe 1')
  for _, wrong in ipairs { '', 'a\nb', '\0', '\127' } do
    utils.assert_matches(complaint(typing.text, wrong), "^Expected a text without control characters, got 'string'")
  end
  eq(complaint(typing.text, 1), "Expected 'string', got 'number' 1")
end)

local Endpoint = typing.record('Endpoint', {
  url = typing.string,
  retries = typing.default(typing.number, 3),
  headers = typing.option(typing.map(typing.string, typing.string)),
})

test('a record has its fields, its defaults, and raises for other names', function()
  local mine = { url = 'http://x/' }
  local endpoint = Endpoint(mine)
  eq(endpoint.url, 'http://x/')
  eq(endpoint.retries, 3)
  eq(endpoint.headers, nil)
  eq(mine, { url = 'http://x/' })
  local text = error_of(function()
    return endpoint.colour
  end)
  eq(t.without_positions(text), "@ Endpoint: unknown field 'colour'\n@ Expected one of 'headers', 'retries', 'url'")
end)

test('pairs of a record are the fields that are set', function()
  local seen = {}
  for key, value in pairs(Endpoint { url = 'http://x/' }) do
    seen[key] = value
  end
  eq(seen, { url = 'http://x/', retries = 3 })
end)

test('a record that was checked is taken as it is', function()
  local endpoint = Endpoint { url = 'http://x/' }
  assert(rawequal(Endpoint(endpoint), endpoint))
end)

test('assigning a field that is not set is checked', function()
  local endpoint = Endpoint { url = 'http://x/' }
  endpoint.headers = { a = 'b' }
  eq(endpoint.headers, { a = 'b' })
  utils.assert_matches(
    error_of(function()
      endpoint.colour = 1
    end),
    "Endpoint: unknown field 'colour'\n.* Expected one of 'headers', 'retries', 'url'$"
  )
end)

test('missing, unknown and ill-typed fields are told apart', function()
  eq(complaint(Endpoint, {}), "Endpoint: missing value for field 'url' of type 'string'")
  local unknown = "Endpoint: unknown field 'colour'\nExpected one of 'headers', 'retries', 'url'"
  eq(complaint(Endpoint, { colour = 1 }), unknown)
  eq(complaint(Endpoint, { url = 5 }), "Endpoint: invalid value for field 'url'\nExpected 'string', got 'number' 5")
  eq(complaint(Endpoint, 5), "Expected 'Endpoint', got 'number' 5")
end)

test('a record within a record says which of them failed', function()
  local Outer = typing.record('Outer', { endpoint = typing.option(Endpoint) })
  eq(Outer({ endpoint = { url = 'u' } }).endpoint.retries, 3)
  eq(
    complaint(Outer, { endpoint = { colour = 1 } }),
    "Outer: invalid value for field 'endpoint'\n"
      .. "Expected value of type 'Endpoint' and encountered an error during coercion\n"
      .. "Endpoint: unknown field 'colour'\nExpected one of 'headers', 'retries', 'url'"
  )
end)

test('every line of an error carries the position of the caller', function()
  -- Both errors are raised on one line, so Lua itself says which.
  local where, text
  where, text = error_of(function() error 'x' end), error_of(function() local _ = Endpoint { url = 5 } end)
  local place = where:match '^(.*): x$'
  local source, line = place:match '^(.*):(%d+)$'
  place = (source:match '^%[string "(.*)"%]$' or source) .. ':' .. line
  local first, second = text:match '^(.-)\n(.*)$'
  eq(first, place .. " Endpoint: invalid value for field 'url'")
  eq(second, place .. " Expected 'string', got 'number' 5")
end)

test('the error as a whole carries the position of the caller of the helper', function()
  local function helper(options)
    local checked = Endpoint(options)
    return checked
  end
  local text = error_of(function()
    local _ = helper {}
  end)
  -- `FILE:LINE: FILE:LINE Endpoint: ...`
  utils.assert_matches(text, '^.-:%d+: .-:%d+ Endpoint: missing value')
end)

test('dynamic fields are asked about one by one', function()
  local asked = {}
  local T = typing.record('T', { fixed = typing.option(typing.string) }, function(key, value)
    asked[#asked + 1] = key
    if value == 'bad' then
      error('deserialize error: no good, while processing {"b":"bad"}', 0)
    elseif value == 'strange' then
      error(string.format('deserialize error: unknown field `%s`, expected one of `a`, while processing {}', key), 0)
    elseif value == 'inside' then
      error('deserialize error: unknown field `deeper`, while processing {}', 0)
    end
    return key ~= 'refused'
  end)
  local record = T { fixed = 'x', a = 1, b = 2 }
  eq({ record.a, record.b, record.c }, { 1, 2 })
  eq(asked, { 'a', 'b' })
  eq(complaint(T, { refused = 1 }), "T: unknown field 'refused'")
  eq(complaint(T, { c = 'strange' }), "T: unknown field 'c'\nExpected one of 'fixed', 'a'")
  eq(complaint(T, { c = 'bad' }), "T: invalid value for field 'c'\nno good")
  eq(complaint(T, { c = 'inside' }), "T: invalid value for field 'c'\nunknown field `deeper`")
end)

test('dynamic may also be given among the fields', function()
  local T = typing.record('T', {
    _dynamic = function(key)
      return key == 'a'
    end,
  })
  eq(T({ a = 1 }).a, 1)
  eq(complaint(T, { b = 1 }), "T: unknown field 'b'")
end)

test('the telling part of a deserialize error is found, or all of it', function()
  local extract = typing.extract_deserialize_error
  eq(extract 'deserialize error: field `a`: no good, while processing {}', 'no good')
  eq(extract 'deserialize error: field `a[0].b`: no good, while processing {}', 'field `a[0].b`: no good')
  eq(extract 'runtime error: deserialize error: bad, worse, while processing {"a":1}\nstack traceback:\n\t...', 'bad, worse')
  eq(extract 'something else\nstack traceback:\n\t...', 'something else')
end)

test('what kumo.make_queue_config says is understood', function()
  local Queue = typing.record('Queue', {}, function(key, value)
    return t.kumo.make_queue_config { [key] = value } ~= nil
  end)
  eq(Queue({ max_age = '1d' }).max_age, '1d')
  local unknown = complaint(Queue, { colour = 1 })
  utils.assert_matches(unknown, "^Queue: unknown field 'colour'\nExpected one of 'retry_interval', .*'shrink_policy'$")
  eq(complaint(Queue, { retry_interval = {} }), "Queue: invalid value for field 'retry_interval'\ninvalid type: map, expected a duration")
end)

test('what is not a type is refused where a type belongs', function()
  utils.assert_matches(error_of(typing.record, 'R', { a = 'string' }), "field 'a' of 'R' is not a type")
  utils.assert_matches(error_of(typing.list, nil), 'the item of list is not a type')
end)

t.finish()
