--[[
Tenants, campaigns and the settings of queues, out of files.

  local queue_module = require 'policy-extras.queue'
  local queue_helper = queue_module:setup { '/opt/kumomta/etc/queue.toml' }

  kumo.on('smtp_server_message_received', function(msg)
    queue_helper:apply(msg)
  end)
  kumo.on('http_message_generated', function(msg)
    queue_helper:apply(msg)
  end)

  # queue.toml
  tenant_header = 'X-Tenant'
  remove_tenant_header = true
  campaign_header = 'X-Campaign'
  remove_campaign_header = true
  scheduling_header = 'X-Schedule'
  remove_scheduling_header = true
  default_tenant = 'standard'

  [tenant.'standard']
  egress_pool = 'pool-0'
  max_age = '10 hours'

  [tenant.'customer-1']
  egress_pool = 'pool-1'
  require_authz = ['customer-1']          # only who has authenticated as one of these
  overall_max_message_rate = '10000/hr'   # over all of its queues

  [queue.default]                         # what applies where nothing else does
  max_age = '24 hours'

  [queue.'example.com']
  retry_interval = '17 mins'

  [queue.'example.com'.'customer-1']
  max_age = '2 days'

  [queue.'example.com'.'customer-1'.'welcome']
  max_age = '1 hour'

Options of queues are those of `kumo.make_queue_config`. Each level is laid over the one
before: default, domain, tenant, domain and tenant, campaign; a domain without a section
of its own has the tenants and campaigns of `default`.

`apply(msg)` sets the meta `tenant` and `campaign` and the message's schedule;
`resolve_config(domain, tenant, campaign)` gives the options that a queue has. Registers
`get_queue_config`, which answers for every domain: call `log_hooks` and everything else
that has queues of its own before this. `setup_with_options { file_names = { .. },
skip_queue_config_hook = true }` leaves it out, for a handler of your own around
`resolve_config`. Can be set up once.
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local mod = { CONFIGURED = nil }

local SetupOptions = typing.record('QueueHelperOptions', {
  file_names = typing.list(utils.File),
  skip_queue_config_hook = typing.default(typing.boolean, false),
  -- The policy is read again whenever a file changes; nothing else keeps what was read.
  invalidate_with_epoch = typing.option(typing.boolean),
})

local TOP = {
  tenant_header = typing.option(typing.text),
  campaign_header = typing.option(typing.text),
  scheduling_header = typing.option(typing.text),
  remove_tenant_header = typing.default(typing.boolean, false),
  remove_campaign_header = typing.default(typing.boolean, false),
  remove_scheduling_header = typing.default(typing.boolean, false),
  default_tenant = typing.option(typing.text),
}

local function is_queue_option(key, value)
  return kumo.make_queue_config { [key] = value } ~= nil
end

-- Whether a key of [queue.DOMAIN] is an option; else it is a tenant.
local function names_an_option(key, value)
  local fine, err = pcall(kumo.make_queue_config, { [key] = value })
  -- An option may itself hold a table with a name in it that nobody knows.
  return fine or not tostring(err):find('deserialize error: unknown field `' .. tostring(key) .. '`', 1, true)
end

local QueueOptions = typing.record('QueueConfig', {}, is_queue_option)

-- As whoever limits by it reads it.
local Rate = typing.refine(typing.string, function(value)
  local fine = pcall(kumo.make_throttle, 'policy-extras.queue', value)
  if not fine then
    return string.format("Expected a rate such as '1000/hr', got '%s'", value)
  end
end)

local TenantOptions = typing.record('Tenant', {
  require_authz = typing.option(typing.list(typing.text)),
  overall_max_message_rate = typing.option(Rate),
}, is_queue_option)

-- Tells options from the sections below.
local function split(section)
  local options, below = {}, {}
  for key, value in pairs(section) do
    if type(value) == 'table' and not names_an_option(key, value) then
      below[key] = value
    else
      options[key] = value
    end
  end
  return options, below
end

local function read_queue(domain, section)
  local options, below = split(section)
  local queue = { options = utils.in_section({ 'queue', domain }, QueueOptions, options), tenants = {} }
  for tenant, tenant_section in pairs(below) do
    local tenant_options, campaigns = split(tenant_section)
    local path = { 'queue', domain, tenant }
    local read = { options = utils.in_section(path, QueueOptions, tenant_options), campaigns = {} }
    for campaign, campaign_section in pairs(campaigns) do
      path[4] = campaign
      read.campaigns[campaign] = utils.in_section(path, QueueOptions, campaign_section)
    end
    queue.tenants[tenant] = read
  end
  return queue
end

local function load(files)
  local merged = {}
  for _, file in ipairs(files) do
    utils.recursive_merge_into(utils.load_json_or_toml_file(file), merged)
  end
  local config = { tenants = {}, queues = {} }
  for tenant, section in pairs(utils.sections('tenant', merged.tenant or {})) do
    config.tenants[tenant] = utils.in_section({ 'tenant', tenant }, TenantOptions, section)
  end
  for domain, section in pairs(utils.sections('queue', merged.queue or {})) do
    utils.sections(string.format("queue.'%s'", domain), section)
    config.queues[domain:lower()] = read_queue(domain, section)
  end
  merged.tenant, merged.queue = nil, nil
  config.top = typing.record('QueueHelperConfig', TOP)(merged)
  return config
end

-- The options that a queue has, as a table.
local function resolve(config, domain, tenant, campaign)
  local default = config.queues.default
  local queue = config.queues[(domain or ''):lower()] or default
  local params = {}
  local function lay(options)
    for key, value in pairs(options or {}) do
      params[key] = value
    end
  end
  lay(default and default.options)
  lay(queue and queue.options)
  if tenant then
    for key, value in pairs(config.tenants[tenant] or {}) do
      if key ~= 'require_authz' and key ~= 'overall_max_message_rate' then
        params[key] = value
      end
    end
    local below = queue and queue.tenants[tenant]
    if below then
      lay(below.options)
      lay(campaign and below.campaigns[campaign])
    end
  end
  if params.refresh_strategy == nil then
    params.refresh_strategy = 'Epoch'
  end
  return params
end

local function problems(config)
  local found = {}
  local function check(domain, tenant, campaign)
    local fine, err = pcall(kumo.make_queue_config, resolve(config, domain, tenant, campaign))
    if not fine then
      local names = table.concat({ domain, tenant, campaign }, ', ')
      found[#found + 1] = string.format('queue of %s: %s', names, err)
    end
  end
  local top = config.top
  if top.default_tenant and not config.tenants[top.default_tenant] then
    found[#found + 1] = string.format("default_tenant '%s' has no section [tenant.'%s']", top.default_tenant, top.default_tenant)
  end
  for _, name in ipairs { 'tenant', 'campaign', 'scheduling' } do
    if top['remove_' .. name .. '_header'] and not top[name .. '_header'] then
      found[#found + 1] = string.format('remove_%s_header is set, and %s_header is not', name, name)
    end
  end
  for _, tenant in ipairs(utils.table_keys(config.tenants)) do
    check('default', tenant)
  end
  for _, domain in ipairs(utils.table_keys(config.queues)) do
    check(domain)
    for tenant, below in pairs(config.queues[domain].tenants) do
      check(domain, tenant)
      for campaign in pairs(below.campaigns) do
        check(domain, tenant, campaign)
      end
    end
  end
  return found
end

local Helper = {}
Helper.__index = Helper

function Helper:resolve_config(domain, tenant, campaign)
  return resolve(self.config, domain, tenant, campaign)
end

local function header(msg, name, remove)
  if not name then
    return nil
  end
  local value = msg:get_first_named_header_value(name)
  if remove then
    msg:remove_all_named_headers(name)
  end
  if value ~= '' then
    return value
  end
end

function Helper:apply(msg)
  local top = self.config.top
  if top.scheduling_header then
    msg:import_scheduling_header(top.scheduling_header, top.remove_scheduling_header)
  end
  local tenant = header(msg, top.tenant_header, top.remove_tenant_header) or top.default_tenant
  if tenant then
    local section = self.config.tenants[tenant]
    local allowed = section and section.require_authz
    if allowed then
      local who = msg:get_meta 'authz_id'
      if not who or not utils.table_contains(allowed, who) then
        kumo.reject(550, string.format("5.7.1 tenant '%s' may not be used by %s", tenant, who or 'somebody unknown'))
      end
    end
    msg:set_meta('tenant', tenant)
  end
  local campaign = header(msg, top.campaign_header, top.remove_campaign_header)
  if campaign then
    msg:set_meta('campaign', campaign)
  end
end

local function register(config, files)
  local limited = false
  for _, section in pairs(config.tenants) do
    limited = limited or section.overall_max_message_rate ~= nil
  end
  if limited then
    kumo.on('throttle_insert_ready_queue', function(msg)
      local section = config.tenants[msg:get_meta 'tenant' or '']
      local rate = section and section.overall_max_message_rate
      if rate then
        local throttle = kumo.make_throttle('tenant-' .. msg:get_meta 'tenant', rate)
        if throttle:delay_message_if_throttled(msg) then
          return true
        end
      end
    end)
  end
  kumo.on('validate_config', function()
    utils.report_problems('policy-extras.queue', problems(config), files)
  end)
end

function mod:setup_with_options(options)
  local checked = SetupOptions(options)
  utils.configure_once(mod, 'policy-extras.queue')
  local config = utils.read_files(utils.file_list(checked.file_names), load)
  register(config, checked.file_names)
  if not checked.skip_queue_config_hook then
    kumo.on('get_queue_config', function(domain, tenant, campaign)
      return kumo.make_queue_config(resolve(config, domain, tenant, campaign))
    end)
  end
  return setmetatable({ config = config }, Helper)
end

function mod:setup(files)
  return self:setup_with_options { file_names = utils.file_list(files) }
end

return mod
