--[[
How mail is shaped on its way out, out of files.

  local shaping = require 'policy-extras.shaping'
  kumo.on('get_egress_path_config', shaping:setup '/opt/kumomta/etc/policy/shaping.toml')

  # shaping.toml
  ['default']
  connection_limit = 10

  [provider.'example']               # every domain whose mail goes to these hosts
  match = [{MXSuffix = '.mail.example'}, {HostName = 'mx.example.net'}, {DomainSuffix = '.example'}]
  connection_limit = 20

  ['example.com']                    # this domain, and others whose mail goes to the same hosts
  max_message_rate = '100/min'

  ['hook.log_hook']
  mx_rollup = false                  # this name and no other
  max_ready = 10000

  ['example.com'.sources.'ip-1']     # from one source
  max_message_rate = '10/min'

Options are those of `kumo.make_egress_path`. Laid over one another, in this order:
default, providers, domains of the same hosts, the domain itself; then what these say
about the source. Files (one, a list, or tables) come one over another, behind those of
`policy-extras.shaping_defaults`; a section with `replace_base = true` forgets what
earlier files said of it. Which domains share hosts is known from `kumo.dns`; without
it, a domain's section is for that domain.

With a traffic shaping daemon

  local shaper = shaping:setup_with_automation {
    publish = { 'http://10.0.0.1:8008' },     -- gets the records
    subscribe = { 'http://10.0.0.1:8008' },   -- gives more of such a file, each minute
    extra_files = { '/opt/kumomta/etc/policy/shaping.toml' },
    -- no_default_files, pre_filter = true, skip_log_record_types,
    -- additional_skip_log_record_types, back_pressure, publish_timeout = '1 minute',
    -- publish_pool_idle_timeout, tsa_queue_config
  }
  kumo.on('get_egress_path_config', shaper.get_egress_path_config)
  kumo.on('init', function()
    shaper.setup_publish()
  end)

`pre_filter` sends only what one of the `automation` rules in the files could be about.
Can be set up once.
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local mod = { CONFIGURED = nil }

-- Records that say nothing about how a destination likes our mail.
local SKIPPED = { 'Reception', 'Delayed', 'AdminBounce', 'AdminRebind', 'XferIn', 'XferOut', 'Rejection' }

local function is_path_option(key, value)
  return kumo.make_egress_path { [key] = value } ~= nil
end

local PathOptions = typing.record('EgressPath', {}, is_path_option)

local section_fields = {
  mx_rollup = typing.default(typing.boolean, true),
  replace_base = typing.option(typing.boolean),
  sources = typing.default(typing.map(typing.string, PathOptions), {}),
  automation = typing.default(typing.list(typing.map(typing.string, typing.any)), {}),
}

local Section = typing.record('ShapingSection', section_fields, is_path_option)

local Match = typing.record('ProviderMatch', {
  MXSuffix = typing.option(typing.text),
  HostName = typing.option(typing.text),
  DomainSuffix = typing.option(typing.text),
})

local Provider = typing.record(
  'ShapingProvider',
  utils.merge_into({ match = typing.list(Match) }, utils.merge_into(section_fields, {})),
  is_path_option
)

local NOT_OPTIONS = { mx_rollup = true, replace_base = true, sources = true, automation = true, match = true }

-- As the client reads it.
local Timeout = typing.refine(typing.string, function(value)
  local parsed, duration = pcall(kumo.time.parse_duration, value)
  if not parsed or duration.seconds <= 0 then
    return string.format("Expected a duration such as '30s', got '%s'", value)
  end
end)

local Url = typing.refine(typing.string, function(value)
  if not value:match '^[Hh][Tt][Tt][Pp][Ss]?://[^%s%c/?#][^%s%c]*$' then
    return string.format("Expected an address such as http://10.0.0.1:8008, got '%s'", value)
  end
end)

local Urls = typing.variant('urls', Url, typing.list(Url))

local QueueOptions = typing.record('QueueConfig', {}, function(key, value)
  return kumo.make_queue_config { [key] = value } ~= nil
end)

local AutomationOptions = typing.record('ShapingAutomationOptions', {
  publish = typing.default(Urls, {}),
  subscribe = typing.default(Urls, {}),
  extra_files = typing.default(typing.list(utils.File), {}),
  no_default_files = typing.default(typing.boolean, false),
  pre_filter = typing.default(typing.boolean, true),
  skip_log_record_types = typing.default(typing.list(typing.text), SKIPPED),
  additional_skip_log_record_types = typing.default(typing.list(typing.text), {}),
  back_pressure = typing.option(typing.refine(typing.number, function(value)
    if math.type(value) ~= 'integer' or value < 1 then
      return 'Expected a whole number above zero, got ' .. value
    end
  end)),
  publish_timeout = typing.default(Timeout, '1 minute'),
  publish_pool_idle_timeout = typing.option(Timeout),
  tsa_queue_config = typing.option(QueueOptions),
})

local function lay_file(file, merged)
  for written, section in pairs(file) do
    if type(written) ~= 'string' then
      error('shaping: expected sections with names, got a list', 0)
    end
    local name = written:lower()
    if name == 'provider' then
      merged.provider = merged.provider or {}
      if type(section) ~= 'table' then
        error('shaping: [provider] must hold sections, got ' .. type(section), 0)
      end
      lay_file(section, merged.provider)
    elseif type(section) ~= 'table' then
      error(string.format("shaping: '%s' must be a section, got %s", name, type(section)), 0)
    elseif section.replace_base or not merged[name] then
      merged[name] = utils.recursive_merge_into(section, {})
    else
      utils.recursive_merge_into(section, merged[name])
    end
  end
end

-- Sections by domain, providers by name, and all rules.
local function read(files)
  local merged = {}
  for _, file in ipairs(files) do
    lay_file(utils.load_json_or_toml_file(file), merged)
  end
  local data = { domains = {}, providers = {}, rules = {} }
  local function note_rules(section)
    for _, rule in ipairs(section.automation) do
      local regex = type(rule.regex) == 'table' and rule.regex or { rule.regex }
      for _, pattern in ipairs(regex) do
        data.rules[#data.rules + 1] = pattern
      end
    end
  end
  for name, section in pairs(merged.provider or {}) do
    data.providers[name] = utils.in_section({ 'provider', name }, Provider, section)
    note_rules(data.providers[name])
  end
  merged.provider = nil
  for domain, section in pairs(merged) do
    data.domains[domain] = utils.in_section({ domain }, Section, section)
    note_rules(data.domains[domain])
  end
  data.provider_names = utils.table_keys(data.providers)
  return data
end

-- The hosts behind a site: `(mx1|mx2).example.net`, or one host.
local function hosts_of(site)
  local first, rest = (site or ''):match '^%((.-)%)(.*)$'
  if not first then
    return { site or '' }
  end
  local hosts = {}
  for host in first:gmatch '[^|]+' do
    hosts[#hosts + 1] = host .. rest
  end
  return hosts
end

local function fits(match, domain, hosts)
  if match.DomainSuffix and not utils.ends_with(domain, match.DomainSuffix:lower()) then
    return false
  end
  for _, host in ipairs(hosts) do
    host = host:lower():gsub('%.$', '')
    if match.MXSuffix and not utils.ends_with(host, match.MXSuffix:lower()) then
      return false
    end
    if match.HostName and host ~= match.HostName:lower() then
      return false
    end
  end
  return match.DomainSuffix ~= nil or match.MXSuffix ~= nil or match.HostName ~= nil
end

-- The site of a domain, where we can know it.
local function site_of(domain)
  if not kumo.dns or not kumo.dns.lookup_mx then
    return nil
  end
  local found, mx = pcall(kumo.dns.lookup_mx, domain)
  return found and mx.site_name or nil
end

local function sections_for(data, domain, site)
  local found = { data.domains.default }
  local hosts = hosts_of(site)
  local provider_name
  for _, name in ipairs(data.provider_names) do
    local provider = data.providers[name]
    for _, match in ipairs(provider.match) do
      if fits(match, domain, hosts) then
        found[#found + 1] = provider
        provider_name = name
        break
      end
    end
  end
  if kumo.dns then
    for _, other in ipairs(utils.table_keys(data.domains)) do
      if other ~= 'default' and other ~= domain and data.domains[other].mx_rollup and site_of(other) == site then
        found[#found + 1] = data.domains[other]
      end
    end
  end
  found[#found + 1] = domain ~= 'default' and data.domains[domain] or nil
  return found, provider_name
end

local function resolve(data, domain, source, site)
  domain = domain:lower()
  local sections, provider_name = sections_for(data, domain, site)
  local params = { provider_name = provider_name }
  for _, section in ipairs(sections) do
    for key, value in pairs(section) do
      if not NOT_OPTIONS[key] then
        params[key] = value
      end
    end
  end
  for _, section in ipairs(sections) do
    for key, value in pairs(section.sources[source] or {}) do
      params[key] = value
    end
  end
  return params
end

local function problems(data)
  local found = {}
  local function check(what, domain, source)
    local fine, err = pcall(function()
      return kumo.make_egress_path(resolve(data, domain, source or 'unspecified', domain))
    end)
    if not fine then
      found[#found + 1] = string.format('%s: %s', what, err)
    end
  end
  for _, domain in ipairs(utils.table_keys(data.domains)) do
    check(string.format("'%s'", domain), domain)
    for _, source in ipairs(utils.table_keys(data.domains[domain].sources)) do
      check(string.format("'%s' from '%s'", domain, source), domain, source)
    end
  end
  for _, name in ipairs(data.provider_names) do
    if #data.providers[name].match == 0 then
      found[#found + 1] = string.format("provider '%s' matches nothing", name)
    end
  end
  return found
end

local function validate(data, files)
  kumo.on('validate_config', function()
    utils.report_problems('policy-extras.shaping', problems(data), files)
  end)
end

local function with_defaults(files)
  local defaults = require 'policy-extras.shaping_defaults'
  local all = { defaults }
  for _, file in ipairs(files) do
    all[#all + 1] = file
  end
  return all
end

function mod:setup(files)
  utils.configure_once(mod, 'policy-extras.shaping')
  files = with_defaults(utils.file_list(files))
  local data = utils.read_files(files, read)
  validate(data, files)
  return function(domain, source, site)
    return kumo.make_egress_path(resolve(data, domain, source, site))
  end
end

-- What a daemon says of its own; nothing while it cannot be asked.
local function subscription(url)
  local fetch = kumo.memoize(function()
    local client = kumo.http.build_client { timeout = '20s' }
    local answered, result = pcall(function()
      local response = client:get(url .. '/get_config_v1/shaping.toml'):send()
      if not response:status_is_success() then
        error(string.format('%d %s', response:status_code(), response:text()), 0)
      end
      return kumo.serde.toml_parse(response:text())
    end)
    client:close()
    if answered then
      return result
    end
    kumo.log_error(string.format('shaping data of %s: %s', url, result))
    return {}
  end, { name = 'policy-extras.shaping ' .. url, ttl = '1 minute', capacity = 1, allow_stale_reads = true })
  return fetch
end

local function publish_to(url, options, wants)
  local name = url .. '.tsa.kumomta'
  local event = 'make.' .. name
  kumo.on('should_enqueue_log_record', function(msg, hook_name)
    if hook_name ~= name then
      return
    end
    local record = msg:get_meta 'log_record'
    if record.reception_protocol == 'LogRecord' or not wants(record) then
      return false
    end
    msg:set_meta('queue', name)
    return true
  end)
  local queue_config = utils.merge_into(options.tsa_queue_config or {}, {
    retry_interval = '1m',
    max_retry_interval = '20m',
  })
  queue_config.protocol = { custom_lua = { constructor = event } }
  kumo.on('get_queue_config', function(domain)
    if domain == name then
      return kumo.make_queue_config(queue_config)
    end
  end)
  kumo.on(event, function()
    local connection = {
      client = kumo.http.build_client {
        timeout = options.publish_timeout,
        pool_idle_timeout = options.publish_pool_idle_timeout,
      },
    }
    function connection:send(message)
      local request = self.client:post(url .. '/publish_log_v1')
      local response = request:header('Content-Type', 'application/json'):body(message:get_data()):send()
      local text =
        string.format('%d %s: %s', response:status_code(), response:status_reason() or '', response:text())
      if response:status_is_success() then
        return text
      end
      kumo.reject(400, text)
    end
    function connection:close()
      self.client:close()
    end
    return connection
  end)
  return name
end

-- Says which records are worth sending.
local function filter(options, data)
  local skipped = {}
  for _, list in ipairs { options.skip_log_record_types, options.additional_skip_log_record_types } do
    for _, kind in ipairs(list) do
      skipped[kind] = true
    end
  end
  local rules = {}
  if options.pre_filter then
    for i, pattern in ipairs(data.rules) do
      rules[i] = kumo.regex.compile(pattern)
    end
  end
  return function(record)
    if skipped[record.type] then
      return false
    end
    if #rules == 0 then
      return true
    end
    local line = string.format('%d %s', record.response.code, record.response.content)
    for _, rule in ipairs(rules) do
      if rule:is_match(line) then
        return true
      end
    end
    return false
  end
end

local function urls(value)
  return type(value) == 'string' and { value } or value
end

function mod:setup_with_automation(options)
  local checked = AutomationOptions(options)
  utils.configure_once(mod, 'policy-extras.shaping')
  local files = checked.no_default_files and checked.extra_files or with_defaults(checked.extra_files)
  local data = utils.read_files(files, read)
  validate(data, files)

  local subscriptions = {}
  for i, url in ipairs(urls(checked.subscribe)) do
    subscriptions[i] = subscription(url)
  end
  local function load_shaping_data()
    if #subscriptions == 0 then
      return data
    end
    local all = { table.unpack(files) }
    for _, fetch in ipairs(subscriptions) do
      all[#all + 1] = fetch()
    end
    local fine, fresh = pcall(read, all)
    if fine then
      return fresh
    end
    kumo.log_error('shaping data of a subscription is not used: ' .. tostring(fresh))
    return data
  end

  local wants = filter(checked, data)
  local hooks = {}
  for i, url in ipairs(urls(checked.publish)) do
    hooks[i] = publish_to(url, checked, wants)
  end
  return {
    get_egress_path_config = function(domain, source, site)
      return kumo.make_egress_path(resolve(load_shaping_data(), domain, source, site))
    end,
    setup_publish = function()
      for _, name in ipairs(hooks) do
        kumo.configure_log_hook { name = name, back_pressure = checked.back_pressure }
      end
    end,
    load_shaping_data = load_shaping_data,
  }
end

return mod
