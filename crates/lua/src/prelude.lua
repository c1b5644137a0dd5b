-- What is different from plain Lua 5.4 in a policy. Run once in every state, before anything else.
--
-- `record` is the metatable of log records that are not filled yet, `settle` fills one; `note` is told of files that
-- are opened, `compile(path, ...)` loads a file, `stopped` knows the error of the watchdog.
local record, settle, note, compile, stopped = ...

local getmetatable_, setmetatable_ = getmetatable, setmetatable
local next_, rawget_, rawset_, rawlen_ = next, rawget, rawset, rawlen

-- Whatever could tell an encoded record from a table gets a table.

local function real(value)
  if getmetatable_(value) == record then
    settle(value)
  end
  return value
end

function getmetatable(value)
  return getmetatable_(real(value))
end

function setmetatable(value, ...)
  return setmetatable_(real(value), ...)
end

function next(value, ...)
  return next_(real(value), ...)
end

function rawget(value, ...)
  return rawget_(real(value), ...)
end

function rawset(value, ...)
  return rawset_(real(value), ...)
end

function rawlen(value)
  return rawlen_(real(value))
end

-- A message handler runs before the stack is unwound. For an error of the watchdog that is still inside its hook, where
-- Lua calls no hooks: a handler that never ends could not be stopped any more.

local xpcall_ = xpcall

function xpcall(f, handler, ...)
  local function handle(err)
    if stopped(err) then
      return err
    end
    return handler(err)
  end
  return xpcall_(f, handle, ...)
end

-- Only text is compiled: bytecode can crash the interpreter.

local load_ = load

function load(chunk, name, mode, ...)
  if mode == 'b' then
    return nil, 'bytecode is not loaded here'
  end
  return load_(chunk, name, 't', ...)
end

function loadfile(path, mode, ...)
  if mode == 'b' then
    return nil, 'bytecode is not loaded here'
  end
  return compile(path, ...)
end

function dofile(path)
  local chunk, why = compile(path)
  if not chunk then
    error(why, 0)
  end
  return chunk()
end

string.dump = nil

-- A policy depends on the files that it opens.

local open, lines = io.open, io.lines

function io.open(path, ...)
  note(path)
  return open(path, ...)
end

function io.lines(path, ...)
  note(path)
  if path == nil then
    return lines()
  end
  return lines(path, ...)
end

-- Without closing the state: it belongs to the daemon.

local exit = os.exit

function os.exit(code)
  exit(code)
end
