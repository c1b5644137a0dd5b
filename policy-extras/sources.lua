--[[
Where mail leaves from, out of files: sources (addresses of this machine), and pools
of them.

  local sources = require 'policy-extras.sources'
  sources:setup { '/opt/kumomta/etc/sources.toml' }

  # sources.toml
  [source.'ip-1']
  source_address = '10.0.0.1'
  ehlo_domain = 'mta1.example.com'

  [source.'ip-2']
  source_address = '10.0.0.2'

  [pool.'transactional'.'ip-1']
  weight = 3

  [pool.'transactional'.'ip-2']      # weight = 1

A source takes what `kumo.make_egress_source` takes but `name`. Several files (JSON
where the name does not end in `.toml`; or tables) are merged, later ones over earlier
ones. Registers `get_egress_source`, `get_egress_pool` and `validate_config`; can be
set up once.
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local mod = { CONFIGURED = nil }

local Source = typing.record('Source', {}, function(key, value)
  return kumo.make_egress_source { name = 'check', [key] = value } ~= nil
end)

local Entry = typing.record('PoolEntry', {
  weight = typing.option(typing.refine(typing.number, function(weight)
    if math.type(weight) ~= 'integer' or weight < 0 then
      return 'Expected a whole number that is not negative, got ' .. weight
    end
  end)),
})

local Config = typing.record('SourcesConfig', {
  source = typing.default(typing.map(typing.string, typing.any), {}),
  pool = typing.default(typing.map(typing.string, typing.map(typing.string, typing.any)), {}),
})

local function load(files)
  local merged = {}
  for _, file in ipairs(files) do
    utils.recursive_merge_into(utils.load_json_or_toml_file(file), merged)
  end
  local config = Config(merged)
  for name, section in pairs(config.source) do
    config.source[name] = utils.in_section({ 'source', name }, Source, section)
  end
  for pool, members in pairs(config.pool) do
    for name, section in pairs(members) do
      members[name] = utils.in_section({ 'pool', pool, name }, Entry, section)
    end
  end
  return config
end

-- `where` is what the files are called.
local function source_named(config, name, where)
  local params = config.source[name]
  if not params then
    error(string.format("source '%s' is not defined: %s needs a section [source.'%s']", name, where, name), 0)
  end
  return kumo.make_egress_source(utils.merge_into(params, { name = name }))
end

local function pool_named(config, name, where)
  local members = config.pool[name]
  if not members then
    error(string.format("pool '%s' is not defined: %s needs a section [pool.'%s'.SOURCE]", name, where, name), 0)
  end
  local entries = {}
  for _, source in ipairs(utils.table_keys(members)) do
    entries[#entries + 1] = { name = source, weight = members[source].weight }
  end
  return kumo.make_egress_pool { name = name, entries = entries }
end

-- What is wrong, one sentence each.
local function problems(config, where)
  local found = {}
  for _, pool in ipairs(utils.table_keys(config.pool)) do
    local members = utils.table_keys(config.pool[pool])
    if #members == 0 then
      found[#found + 1] = string.format("pool '%s' has no source", pool)
    end
    for _, source in ipairs(members) do
      if source ~= 'unspecified' and not config.source[source] then
        found[#found + 1] = string.format("pool '%s' names source '%s', which is not defined", pool, source)
      end
    end
    local fine, err = pcall(pool_named, config, pool, where)
    if not fine then
      found[#found + 1] = string.format("pool '%s': %s", pool, err)
    end
  end
  for _, source in ipairs(utils.table_keys(config.source)) do
    local fine, err = pcall(source_named, config, source, where)
    if not fine then
      found[#found + 1] = string.format("source '%s': %s", source, err)
    end
  end
  return found
end

function mod:setup(files)
  utils.configure_once(mod, 'policy-extras.sources')
  files = utils.file_list(files)
  local config = utils.read_files(files, load)
  local where = utils.names_of(files) or 'the table'

  kumo.on('get_egress_source', function(name)
    return source_named(config, name, where)
  end)
  kumo.on('get_egress_pool', function(name)
    return pool_named(config, name, where)
  end)
  kumo.on('validate_config', function()
    utils.report_problems('policy-extras.sources', problems(config, where), files)
  end)
end

return mod
