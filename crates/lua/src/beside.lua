-- The parts of Lua's library that may take for ever, or wait for somebody, without ever calling the watchdog's hook.
-- They give the worker of their thread away first (`beside`, see aside.rs), which costs some microseconds: so only
-- where it could be for long. Run once in every state, behind prelude.lua.
--
-- Calls that are passed on at once are tail calls: an error then names the line of the script, as ever.
local beside = ...

local getmetatable_, type_ = getmetatable, type
local find, gmatch, gsub, match, rep = string.find, string.gmatch, string.gsub, string.match, string.rep
local move = table.move

-- Errors in arguments are told with the names of these functions, which Lua looks up among the loaded modules; what is
-- named `_G.` there is shown without it.
package.loaded['_G.string'] = { find = find, gmatch = gmatch, gsub = gsub, match = match, rep = rep }
package.loaded['_G.table'] = { move = move }

-- Matching tries each start, and for each all lengths of each repetition: at most n^(1 + repetitions) steps for a text of
-- n bytes. So long may a text be, by the number of repetitions, that it takes at most ten million (tenths of a second).
local MOST_STEPS = 1e7
local reach = { [0] = MOST_STEPS }
for repetitions = 1, 20 do
  reach[repetitions] = MOST_STEPS ^ (1 / (1 + repetitions)) // 1
end

-- By pattern, for those seen last.
local longest, known = {}, 0

local function measure(pattern)
  local _, repetitions = gsub(pattern, '[*+?-]', '')
  local _, balanced = gsub(pattern, '%%b', '')
  if known >= 500 then
    longest, known = {}, 0
  end
  local length = reach[repetitions + balanced] or 0
  longest[pattern], known = length, known + 1
  return length
end

local function slow(text, pattern)
  if type_(text) ~= 'string' or type_(pattern) ~= 'string' then
    return false
  end
  return #text > (longest[pattern] or measure(pattern))
end

function string.find(text, pattern, init, plain)
  if not plain and slow(text, pattern) then
    return beside(find, text, pattern, init)
  end
  return find(text, pattern, init, plain)
end

function string.match(text, pattern, ...)
  if slow(text, pattern) then
    return beside(match, text, pattern, ...)
  end
  return match(text, pattern, ...)
end

function string.gsub(text, pattern, ...)
  if slow(text, pattern) then
    return beside(gsub, text, pattern, ...)
  end
  return gsub(text, pattern, ...)
end

function string.gmatch(text, pattern, ...)
  if slow(text, pattern) then
    local step = gmatch(text, pattern, ...)
    return function()
      return beside(step)
    end
  end
  return gmatch(text, pattern, ...)
end

local MANY = 1e6

function string.rep(text, times, ...)
  if type_(times) == 'number' and times > MANY then
    return beside(rep, text, times, ...)
  end
  return rep(text, times, ...)
end

function table.move(from, first, last, ...)
  if type_(first) == 'number' and type_(last) == 'number' and last - first > MANY then
    return beside(move, from, first, last, ...)
  end
  return move(from, first, last, ...)
end

-- Files, pipes and commands wait for somebody.

local function waits(of, name)
  local call = of[name]
  if call then
    of[name] = function(...)
      return beside(call, ...)
    end
  end
end

for _, name in ipairs { 'close', 'flush', 'open', 'popen', 'read', 'tmpfile', 'write' } do
  waits(io, name)
end
for _, name in ipairs { 'execute', 'remove', 'rename', 'tmpname' } do
  waits(os, name)
end

local file = getmetatable_(io.stdout).__index
for _, name in ipairs { 'close', 'flush', 'read', 'seek', 'write' } do
  waits(file, name)
end

local function stepwise(step, ...)
  return function(...)
    return beside(step, ...)
  end, ...
end

local lines, file_lines = io.lines, file.lines

function io.lines(...)
  return stepwise(beside(lines, ...))
end

function file.lines(...)
  return stepwise(beside(file_lines, ...))
end
