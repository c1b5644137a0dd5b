--[[
Types for the tables that operators hand to helpers: a wrong name or value fails
while the policy loads, with a message that says where and why.

  local typing = require 'policy-extras.typing'

  local Endpoint = typing.record('Endpoint', {
    url = typing.string,
    retries = typing.default(typing.number, 3),
    headers = typing.option(typing.map(typing.string, typing.string)),
    mode = typing.option(typing.enum('Mode', 'push', 'pull')),
  })

  local endpoint = Endpoint { url = 'http://10.0.0.1/' }
  print(endpoint.retries)  --> 3
  print(endpoint.headers)  --> nil
  print(endpoint.colour)   --> raises: Endpoint: unknown field 'colour'
                           --  Expected one of 'headers', 'mode', 'retries', 'url'
  Endpoint { url = 5 }     --> raises:
      policy.lua:12 Endpoint: invalid value for field 'url'
      policy.lua:12 Expected 'string', got 'number' 5

A type is called with a value and returns the checked value, or raises. The
value itself is never changed: records, lists and maps come back as new tables.

  any, string, number, boolean, Function   what `type` says (`any`: no question)
  text                    a string that is shown somewhere: not empty, and without
                          control characters
  option(T)               T or nil
  default(T, value)       T; `value` when nil (a table is copied for each use)
  list(T), map(K, V)      tables whose every entry fits
  enum(name, ...)         one of these values
  variant(name, ...)      the first of these types that fits
  refine(T, check)        T for which `check(value)` finds nothing: it returns
                          nil, or a text that says what is wrong. The text is
                          all that is reported, so a secret can stay one.
  record(name, fields [, dynamic])
                          named fields. `dynamic(key, value)` is asked about
                          names that `fields` lacks: true takes the field,
                          false refuses the name, an error is the problem with
                          the value. `fields._dynamic` means the same.
  extract_deserialize_error(err)
                          the telling part of an error of a `kumo.make_*`

Fields are checked when a record is made and when an unset one is assigned.
Each line of an error names the nearest caller outside this file.
]]

local mod = {}

-- Where level `level` stands, as `FILE:LINE: `; empty for C functions and past
-- the end. Level 1 is the caller. There is no `debug` in a policy; `error` knows.
local function position(level)
  -- + 2: `pcall` and this function have levels of their own.
  local _, place = pcall(error, '', level + 2)
  return type(place) == 'string' and place or ''
end

local HERE = position(1):match '^(.*):%d+: $'

-- `[string "policy.lua"]` is how Lua shows a chunk that was named without `@`.
local function shown(place)
  local source, line = place:match '^(.*):(%d+): $'
  return (source:match '^%[string "(.*)"%]$' or source) .. ':' .. line
end

local DEEPEST = 200

-- Raises `problems`, one a line. They carry the position of whoever used the type;
-- the error as a whole, like any Lua error, that of whoever called *them*.
local function raise(problems)
  for level = 1, DEEPEST do
    local place = position(level)
    local source = place:match '^(.*):%d+: $'
    if source and source ~= HERE then
      local at = shown(place)
      error(at .. ' ' .. table.concat(problems, '\n' .. at .. ' '), level + 1)
    end
  end
  error(table.concat(problems, '\n'), 0)
end

local LONGEST_SHOWN = 100

local function describe(value)
  local kind = type(value)
  if kind == 'string' then
    local text = value
    if #text > LONGEST_SHOWN then
      text = text:sub(1, LONGEST_SHOWN) .. '...'
    end
    return string.format("'string' '%s'", text)
  end
  if kind == 'number' or kind == 'boolean' then
    return string.format("'%s' %s", kind, value)
  end
  return string.format("'%s'", kind)
end

local function mismatch(name, value)
  return { string.format("Expected '%s', got %s", name, describe(value)) }
end

-- Puts what went wrong inside below a line that says where.
local function within(heading, problems)
  return { heading, table.unpack(problems) }
end

-- A type: `name`, and `check(value)` which returns true and the value to use, or
-- false and a list of problems. `optional` types have something to say to nil.
-- `make` is what a call runs: `check`, but for records.
local Type = {}
Type.__index = Type
Type.__name = 'typing.Type'

function Type:__call(value)
  local fits, result = self.make(value)
  if not fits then
    raise(result)
  end
  return result
end

function Type:__tostring()
  return self.name
end

local function define(name, check, optional)
  return setmetatable({ name = name, check = check, make = check, optional = optional or false }, Type)
end

local function is_type(value)
  return getmetatable(value) == Type
end

local function expect_type(value, use)
  if not is_type(value) then
    raise { string.format('%s is not a type, but %s', use, describe(value)) }
  end
end

local function primitive(name)
  return define(name, function(value)
    if type(value) == name then
      return true, value
    end
    return false, mismatch(name, value)
  end)
end

mod.string = primitive 'string'
mod.number = primitive 'number'
mod.boolean = primitive 'boolean'
mod.Function = primitive 'function'
mod.any = define('Any', function(value)
  return true, value
end, true)

function mod.option(inner)
  expect_type(inner, 'the inside of option')
  return define(string.format('option<%s>', inner.name), function(value)
    if value == nil then
      return true, nil
    end
    return inner.check(value)
  end, true)
end

local function copy(value)
  if type(value) ~= 'table' then
    return value
  end
  local result = {}
  for k, v in pairs(value) do
    result[k] = copy(v)
  end
  return setmetatable(result, getmetatable(value))
end

function mod.default(inner, fallback)
  expect_type(inner, 'the inside of default')
  local fits, checked = inner.check(fallback)
  if not fits then
    raise(within('invalid default value', checked))
  end
  return define(inner.name, function(value)
    if value == nil then
      return true, copy(checked)
    end
    return inner.check(value)
  end, true)
end

function mod.list(item)
  expect_type(item, 'the item of list')
  local name = string.format('list<%s>', item.name)
  return define(name, function(value)
    if type(value) ~= 'table' then
      return false, mismatch(name, value)
    end
    local result, entries = {}, 0
    for _ in pairs(value) do
      entries = entries + 1
    end
    for i = 1, entries do
      if value[i] == nil then
        return false, { string.format("Expected '%s', got a table that has other keys than 1 to %d", name, entries) }
      end
      local fits, checked = item.check(value[i])
      if not fits then
        return false, within(string.format('invalid value for item %d', i), checked)
      end
      result[i] = checked
    end
    return true, result
  end)
end

function mod.map(key, item)
  expect_type(key, 'the key of map')
  expect_type(item, 'the value of map')
  local name = string.format('map<%s,%s>', key.name, item.name)
  return define(name, function(value)
    if type(value) ~= 'table' then
      return false, mismatch(name, value)
    end
    local result = {}
    for k, v in pairs(value) do
      local key_fits, checked_key = key.check(k)
      if not key_fits then
        return false, within(string.format('invalid key %s', describe(k)), checked_key)
      end
      local fits, checked = item.check(v)
      if not fits then
        return false, within(string.format("invalid value for key '%s'", k), checked)
      end
      result[checked_key] = checked
    end
    return true, result
  end)
end

-- `f(name, a, b)` and `f(name, { a, b })` mean the same.
local function listed(first, ...)
  if type(first) == 'table' and not is_type(first) and select('#', ...) == 0 then
    return first
  end
  return { first, ... }
end

function mod.enum(name, ...)
  local choices, names = {}, {}
  for _, choice in ipairs(listed(...)) do
    choices[choice] = true
    names[#names + 1] = string.format("'%s'", choice)
  end
  local all = table.concat(names, ', ')
  return define(name, function(value)
    if value ~= nil and choices[value] then
      return true, value
    end
    return false, { string.format("Expected '%s' (one of %s), got %s", name, all, describe(value)) }
  end)
end

function mod.variant(name, ...)
  local alternatives = listed(...)
  for _, alternative in ipairs(alternatives) do
    expect_type(alternative, string.format("an alternative of '%s'", name))
  end
  return define(name, function(value)
    local problems = mismatch(name, value)
    for _, alternative in ipairs(alternatives) do
      local fits, result = alternative.check(value)
      if fits then
        return true, result
      end
      table.move(result, 1, #result, #problems + 1, problems)
    end
    return false, problems
  end)
end

function mod.refine(inner, check)
  expect_type(inner, 'the inside of refine')
  return define(inner.name, function(value)
    local fits, result = inner.check(value)
    if not fits then
      return false, result
    end
    local problem = check(result)
    if problem then
      return false, { problem }
    end
    return true, result
  end)
end

mod.text = mod.refine(mod.string, function(value)
  if value == '' or value:find '%c' then
    return string.format('Expected a text without control characters, got %s', describe(value))
  end
end)

function mod.extract_deserialize_error(err)
  local text = tostring(err)
  local detail = text:match 'deserialize error: (.-), while processing '
  -- The field is named by whoever asks; one within it is not.
  detail = detail and detail:gsub('^field `[%w_]*`: ', '')
  -- An error that is none of serde's: what was said, without how it got there.
  return detail or (text:gsub('\nstack traceback:.*', ''))
end

-- Asks `dynamic` about one field. A `kumo.make_*` behind it reports an unknown name
-- by raising, so that case is told from a bad value by what the error says.
local function ask(dynamic, key, value)
  local called, answer = pcall(dynamic, key, value)
  if called then
    return answer and 'taken' or 'unknown'
  end
  local detail = mod.extract_deserialize_error(answer)
  if detail:match '^unknown field `(.-)`' == tostring(key) then
    local known = {}
    for name in (detail:match 'expected (.*)$' or ''):gmatch '`(.-)`' do
      known[#known + 1] = name
    end
    return 'unknown', known
  end
  return 'invalid', { detail }
end

local function sorted_keys(t)
  local keys = {}
  for k in pairs(t) do
    keys[#keys + 1] = k
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return keys
end

function mod.record(name, fields, dynamic)
  dynamic = dynamic or fields._dynamic
  local types = {}
  for key, field in pairs(fields) do
    if key ~= '_dynamic' then
      expect_type(field, string.format("field '%s' of '%s'", key, name))
      types[key] = field
    end
  end
  local names = sorted_keys(types)

  -- `others` are names that `dynamic` takes; where it does not say, nobody knows them all.
  local function unknown(key, others)
    local known = { table.unpack(names) }
    table.move(others or {}, 1, #(others or {}), #known + 1, known)
    local problems = { string.format("%s: unknown field '%s'", name, key) }
    if #known > 0 and (not dynamic or others and #others > 0) then
      problems[2] = string.format("Expected one of '%s'", table.concat(known, "', '"))
    end
    return problems
  end

  local function check_field(key, value)
    local problems
    local field = types[key]
    if field then
      if value == nil and not field.optional then
        return false, { string.format("%s: missing value for field '%s' of type '%s'", name, key, field.name) }
      end
      local fits, result = field.check(value)
      if fits then
        return true, result
      end
      problems = result
    else
      local fate = 'unknown'
      if dynamic then
        fate, problems = ask(dynamic, key, value)
      end
      if fate == 'taken' then
        return true, value
      elseif fate == 'unknown' then
        return false, unknown(key, problems)
      end
    end
    return false, within(string.format("%s: invalid value for field '%s'", name, key), problems)
  end

  local Instance = { __name = name }

  function Instance.__index(_, key)
    -- Which names `dynamic` would take cannot be asked without a value.
    if not types[key] and not dynamic then
      raise(unknown(key))
    end
    return nil
  end

  function Instance.__newindex(instance, key, value)
    local fits, result = check_field(key, value)
    if not fits then
      raise(result)
    end
    rawset(instance, key, result)
  end

  local function make(value)
    if type(value) ~= 'table' then
      return false, mismatch(name, value)
    end
    if getmetatable(value) == Instance then
      return true, value
    end
    local checked = {}
    -- Names first: a misspelt field is better news than the one it leaves missing.
    for _, key in ipairs(sorted_keys(value)) do
      if not types[key] then
        local fits, result = check_field(key, value[key])
        if not fits then
          return false, result
        end
        checked[key] = result
      end
    end
    for _, key in ipairs(names) do
      local fits, result = check_field(key, value[key])
      if not fits then
        return false, result
      end
      checked[key] = result
    end
    return true, setmetatable(checked, Instance)
  end

  -- As the type of a field, a record says whose coercion failed; called, it is
  -- the failure itself.
  local record = define(name, function(value)
    local fits, result = make(value)
    if not fits and type(value) == 'table' then
      result = within(
        string.format("Expected value of type '%s' and encountered an error during coercion", name),
        result
      )
    end
    return fits, result
  end)
  record.make = make
  return record
end

return mod
