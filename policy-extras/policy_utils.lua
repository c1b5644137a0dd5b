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
  read_files(files, read)            `read(files)`; what it raises is told with the
                                     file that is wrong, and the line where it is known
  in_section(path, check, section)   `check(section)`; what it raises begins with the
                                     section's name: `{ 'tenant', 'a' }` is [tenant.'a']
  names_of(files)                    for messages: the names of those that are files;
                                     nil where all are tables
  report_problems(name, problems [, files])
                                     prints them, and fails the validation
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'

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

-- A file of a helper: its name, or what stands in it.
mod.File = typing.refine(typing.any, function(value)
  local named = type(value) == 'string' and value ~= '' and not value:find '%c'
  if not named and (type(value) ~= 'table' or #value > 0) then
    return 'Expected the name of a file, or a table with sections'
  end
end)

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

-- Sections of a file, each with its name.
function mod.sections(path, value)
  local words = type(path) == 'table' and table.concat(path, '.') or path
  if type(value) ~= 'table' then
    error(string.format('[%s]: expected sections, got a %s', words, type(value)), 0)
  end
  for name in pairs(value) do
    if type(name) ~= 'string' then
      error(string.format('[%s]: expected sections with names, got a list', words), 0)
    end
  end
  return value
end

function mod.configure_once(helper, name)
  if helper.CONFIGURED then
    error(name .. ' has already been configured', 3)
  end
  helper.CONFIGURED = true
end

-- What was raised, without the places in helpers that it went through.
local function bare(problem)
  local lines = {}
  for line in tostring(problem):gsub('\nstack traceback:.*', ''):gmatch '[^\n]+' do
    local shorter, places = line, 1
    while places > 0 do
      shorter, places = shorter:gsub('^[^%s:]+%.lua:%d+:? ', '', 1)
      if places == 0 then
        shorter, places = shorter:gsub('^%[string "[^"]*"%]:%d+:? ', '', 1)
      end
    end
    lines[#lines + 1] = shorter
  end
  return table.concat(lines, '\n')
end

function mod.in_section(path, check, section)
  local fine, result = pcall(check, section)
  if fine then
    return result
  end
  local words = {}
  for i, word in ipairs(path) do
    words[i] = i == 1 and word:find '^%w+$' and word or string.format("'%s'", word)
  end
  error(string.format('[%s]: %s', table.concat(words, '.'), bare(result)), 0)
end

local function unquoted(text)
  return (text:gsub('["\'%s]', ''))
end

-- The line of a TOML or JSON file where a key gets its value. Nil where the key stands
-- in several places and the section does not tell them apart.
local function line_of(file, section, key)
  local lines = io.open(file)
  if not lines then
    return nil
  end
  local number, here, places, inside = 0, nil, {}, nil
  for line in lines:lines() do
    number = number + 1
    local header = line:match '^%s*%[([^%[%]]*)%]%s*$' or line:match '^%s*%[([^%[%]]*)%]%s*#'
    here = header and unquoted(header) or here
    local start = line:match '^%s*(.-)%s*[=:]' or ''
    if unquoted(start) == key then
      places[#places + 1] = number
      if not inside and here == section then
        inside = number
      end
    end
  end
  lines:close()
  return inside or (#places == 1 and places[1] or nil)
end

-- The file, with the line of the key that a problem is about.
local function place_of(file, problem)
  local section = problem:match '^%[(.-)%]: '
  local key
  for name in problem:gmatch "field '(.-)'" do
    key = key or name
  end
  local line = key and line_of(file, section and unquoted(section), key)
  return line and file .. ':' .. line or file
end

function mod.read_files(files, read)
  local fine, result = pcall(read, files)
  if fine then
    return result
  end
  local problem = bare(result)
  -- The last file that is wrong by itself in the same way; together they may be wrong in a way that no one is.
  local place = mod.names_of(files)
  for _, file in ipairs(files) do
    if type(file) == 'string' then
      if problem:find(file, 1, true) then
        error(problem, 3)
      end
      local alone, why = pcall(read, { file })
      if not alone and bare(why) == problem then
        place = place_of(file, problem)
      end
    end
  end
  error((place and place .. ': ' or '') .. problem, 3)
end

function mod.names_of(files)
  local names = {}
  for _, file in ipairs(files) do
    names[#names + 1] = type(file) == 'string' and file or nil
  end
  return #names > 0 and table.concat(names, ', ') or nil
end

function mod.report_problems(name, problems, files)
  local names = mod.names_of(files or {})
  for _, problem in ipairs(problems) do
    print(string.format('%s: %s%s', name, names and names .. ': ' or '', problem))
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
