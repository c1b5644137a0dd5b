--[[
Small things that policies and the helpers of this directory share.

  local utils = require 'policy-extras.policy_utils'

Comparing
  equals(a, b)                       deep: tables by what they hold
  assert_eq(a, b [, message])        raise, showing both sides, at the caller
  assert_ne(a, b [, message])
  assert_matches(text, pattern [, message])     a Lua pattern

Tables
  merge_into(src, dest)              every entry of src into dest
  recursive_merge_into(src, dest)    tables in both are merged; a list replaces
  table_contains(t, value)           by `equals`
  table_keys(t)                      a list, in a fixed order
  table_is_empty(t)

The merges change `dest` and return it. The recursive one copies what it takes
from `src`, so that neither sees later changes of the other.

Files and text
  load_json_or_toml_file(file)       TOML for `*.toml`, else JSON; a table is
                                     taken for loaded already, and returned
  file_list(files)                   what a helper's `setup` takes, as a list
  starts_with(text, prefix), ends_with(text, suffix)
  split_ip_port(text)                '10.0.0.1:25' and '[::1]:25' to IP and port,
                                     two strings; no port, no second value
  dumps(value)                       as text, keys in order, for people to read

For helpers
  configure_once(helper, name)       raises the second time
  report_problems(name, problems)    prints them, and fails the validation
]]

local kumo = require 'kumo'

local mod = {}

local function by_kind_and_value(a, b)
  local kind_a, kind_b = type(a), type(b)
  if kind_a ~= kind_b then
    return kind_a < kind_b
  end
  if kind_a == 'number' or kind_a == 'string' then
    return a < b
  end
  return tostring(a) < tostring(b)
end

function mod.table_keys(t)
  local keys = {}
  for key in pairs(t) do
    keys[#keys + 1] = key
  end
  table.sort(keys, by_kind_and_value)
  return keys
end

function mod.table_is_empty(t)
  for _ in pairs(t) do
    return false
  end
  return true
end

-- `compared` holds the pairs under way: meeting one again means that a cycle was
-- followed on both sides without finding a difference.
local function same(a, b, compared)
  if a == b then
    return true
  end
  if type(a) ~= 'table' or type(b) ~= 'table' then
    return false
  end
  compared[a] = compared[a] or {}
  if compared[a][b] then
    return true
  end
  compared[a][b] = true
  -- `rawget`: a record of `typing` raises for names that it does not have.
  for key, value in pairs(a) do
    if not same(value, rawget(b, key), compared) then
      return false
    end
  end
  for key in pairs(b) do
    if rawget(a, key) == nil then
      return false
    end
  end
  return true
end

function mod.equals(a, b)
  return same(a, b, {})
end

function mod.table_contains(t, wanted)
  for _, value in pairs(t) do
    if mod.equals(value, wanted) then
      return true
    end
  end
  return false
end

local function is_name(key)
  return type(key) == 'string' and key:match '^[%a_][%w_]*$' ~= nil
end

local function dump(value, open)
  if type(value) == 'string' then
    return (string.format('%q', value):gsub('\\\n', '\\n'))
  end
  if type(value) ~= 'table' then
    return tostring(value)
  end
  if open[value] then
    return '<cycle>'
  end
  open[value] = true
  local parts = {}
  local length = #value
  for i = 1, length do
    parts[i] = dump(rawget(value, i), open)
  end
  for _, key in ipairs(mod.table_keys(value)) do
    local listed = math.type(key) == 'integer' and key >= 1 and key <= length
    if not listed then
      local left = is_name(key) and key or '[' .. dump(key, open) .. ']'
      parts[#parts + 1] = left .. ' = ' .. dump(rawget(value, key), open)
    end
  end
  open[value] = nil
  return '{' .. table.concat(parts, ', ') .. '}'
end

function mod.dumps(value)
  return dump(value, {})
end

-- Level 3: the line that asserted, not this one and not the assertion itself.
local function fail(message, text)
  error((message and message .. ': ' or '') .. text, 3)
end

function mod.assert_eq(a, b, message)
  if not mod.equals(a, b) then
    fail(message, string.format('expected %s == %s', mod.dumps(a), mod.dumps(b)))
  end
end

function mod.assert_ne(a, b, message)
  if mod.equals(a, b) then
    fail(message, string.format('expected %s ~= %s', mod.dumps(a), mod.dumps(b)))
  end
end

function mod.assert_matches(text, pattern, message)
  if not tostring(text):match(pattern) then
    fail(message, string.format('expected %s to match %s', mod.dumps(text), mod.dumps(pattern)))
  end
end

function mod.merge_into(src, dest)
  for key, value in pairs(src) do
    dest[key] = value
  end
  return dest
end

local function copy(value)
  if type(value) ~= 'table' then
    return value
  end
  local result = {}
  for key, inner in pairs(value) do
    result[key] = copy(inner)
  end
  return setmetatable(result, getmetatable(value))
end

function mod.recursive_merge_into(src, dest)
  for key, value in pairs(src) do
    local existing = dest[key]
    -- Lists are one value each: merged by index, a shorter one would keep the tail
    -- of what it is meant to replace.
    local is_list = type(value) == 'table' and #value > 0
    if type(value) == 'table' and type(existing) == 'table' and not is_list then
      mod.recursive_merge_into(value, existing)
    else
      dest[key] = copy(value)
    end
  end
  return dest
end

function mod.starts_with(text, prefix)
  return text:sub(1, #prefix) == prefix
end

function mod.ends_with(text, suffix)
  -- `sub(-0)` would be the whole text.
  return suffix == '' or text:sub(-#suffix) == suffix
end

function mod.load_json_or_toml_file(file)
  if type(file) == 'table' then
    return file
  end
  if mod.ends_with(file, '.toml') then
    return kumo.serde.toml_load(file)
  end
  return kumo.serde.json_load(file)
end

-- What a helper's `setup` takes: one file, or a list of them. A table with names in it
-- is the content of a file.
function mod.file_list(files)
  if type(files) == 'string' then
    return { files }
  end
  if type(files) ~= 'table' then
    error('expected a file name or a list of them, got ' .. type(files), 3)
  end
  if #files == 0 and not mod.table_is_empty(files) then
    return { files }
  end
  for _, file in ipairs(files) do
    if type(file) ~= 'string' and type(file) ~= 'table' then
      error('expected a list of file names, got one with a ' .. type(file), 3)
    end
  end
  return files
end

function mod.configure_once(helper, name)
  if helper.CONFIGURED then
    error(name .. ' has already been configured', 3)
  end
  helper.CONFIGURED = true
end

function mod.report_problems(name, problems)
  for _, problem in ipairs(problems) do
    print(name .. ': ' .. problem)
  end
  if #problems > 0 then
    kumo.validation_failed()
  end
end

function mod.split_ip_port(text)
  local ip, rest = text:match '^%[(.*)%](.*)$'
  if ip then
    return ip, rest:match '^:(%d+)$'
  end
  -- More than one colon and no brackets: an IPv6 address by itself.
  local host, port = text:match '^([^:]*):(%d+)$'
  if host then
    return host, port
  end
  return text, nil
end

return mod
