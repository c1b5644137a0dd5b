--[[
Which domains mail is taken for, and from whom, out of files.

  local listener_domains = require 'policy-extras.listener_domains'
  kumo.on('get_listener_domain', listener_domains:setup { '/opt/kumomta/etc/listener_domains.toml' })

  # listener_domains.toml
  ['example.com']
  relay_to = true
  log_oob = true

  ['send.example.com']
  relay_from = ['10.0.0.0/24']
  relay_from_authz = ['customer-1']    # whoever has authenticated as one of these

  ['*.example.com']                    # everything below it
  relay_to = true

  ['*']                                # everything else

  [listener.'127.0.0.1:25'.'example.com']   # on this listener instead
  relay_to = false

The nearest name wins: the domain itself, then `*.` in front of its parents, then `*`;
and an entry for the listener wins over one for all. An entry takes what
`kumo.make_listener_domain` takes. Several files (or tables) are merged, later ones over
earlier ones. Can be set up once; adds a `validate_config` handler.
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local mod = { CONFIGURED = nil }

-- Who has authenticated may send from everywhere.
local ANYWHERE = { '0.0.0.0/0', '::/0' }

local Domain = typing.record(
  'ListenerDomain',
  { relay_from_authz = typing.option(typing.list(typing.text)) },
  function(key, value)
    return kumo.make_listener_domain { [key] = value } ~= nil
  end
)

-- Sections by domain; `path` leads to them.
local function read_domains(path, domains)
  utils.sections(#path > 0 and path or 'listener_domains', domains)
  local result = {}
  for domain, section in pairs(domains) do
    local place = { table.unpack(path) }
    place[#place + 1] = domain
    result[domain:lower()] = utils.in_section(place, Domain, section)
  end
  return result
end

local function load(files)
  local merged = {}
  for _, file in ipairs(files) do
    utils.recursive_merge_into(utils.load_json_or_toml_file(file), merged)
  end
  local listeners = merged.listener or {}
  merged.listener = nil
  local config = { domains = read_domains({}, merged), listeners = {} }
  for listener, domains in pairs(utils.sections('listener', listeners)) do
    config.listeners[listener] = read_domains({ 'listener', listener }, domains)
  end
  return config
end

local function nearest(domains, domain)
  if not domains then
    return nil
  end
  local rest = domain
  local found = domains[rest]
  while not found do
    rest = rest:match '%.(.*)$'
    if not rest then
      return domains['*']
    end
    found = domains['*.' .. rest]
  end
  return found
end

local function make(entry, conn_meta)
  local params = {}
  for key, value in pairs(entry) do
    params[key] = value
  end
  local authz = params.relay_from_authz
  params.relay_from_authz = nil
  if authz and conn_meta then
    local who = conn_meta:get_meta 'authz_id'
    if who and utils.table_contains(authz, who) then
      params.relay_from = ANYWHERE
    end
  end
  return kumo.make_listener_domain(params)
end

local function problems(config)
  local found = {}
  local function check(where, domains)
    for _, domain in ipairs(utils.table_keys(domains)) do
      local fine, err = pcall(make, domains[domain])
      if not fine then
        found[#found + 1] = string.format("%s'%s': %s", where, domain, err)
      end
      if domain:find('*', 2, true) or (domain:sub(1, 1) == '*' and domain ~= '*' and domain:sub(2, 2) ~= '.') then
        found[#found + 1] = string.format("%s'%s': a '*' stands for what is in front of the first dot", where, domain)
      end
    end
  end
  check('', config.domains)
  for _, listener in ipairs(utils.table_keys(config.listeners)) do
    check(string.format("listener '%s', ", listener), config.listeners[listener])
  end
  return found
end

-- Returns the handler of `get_listener_domain`.
function mod:setup(files)
  utils.configure_once(mod, 'policy-extras.listener_domains')
  files = utils.file_list(files)
  local config = utils.read_files(files, load)

  kumo.on('validate_config', function()
    utils.report_problems('policy-extras.listener_domains', problems(config), files)
  end)

  return function(domain, listener, conn_meta)
    domain = domain:lower()
    local entry = nearest(config.listeners[listener], domain) or nearest(config.domains, domain)
    if entry then
      return make(entry, conn_meta)
    end
  end
end

return mod
