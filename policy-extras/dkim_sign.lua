--[[
DKIM signatures, out of files.

  local dkim_sign = require 'policy-extras.dkim_sign'
  local dkim_signer = dkim_sign:setup { '/opt/kumomta/etc/dkim_data.toml' }

  -- Last of all: a change behind the signature breaks it.
  kumo.on('smtp_server_message_received', function(msg)
    dkim_signer(msg)
  end)
  kumo.on('http_message_generated', function(msg)
    dkim_signer(msg)
  end)

  # dkim_data.toml
  [base]                                # for all blocks that do not say otherwise
  selector = 'dkim2048'
  headers = ['From', 'To', 'Subject', 'Date', 'Message-ID', 'MIME-Version', 'Content-Type']
  additional_signatures = ['MyESP']     # these blocks sign too, in this order

  [domain.'example.com']                # for mail whose From is at this domain
  selector = 's1'
  filename = '/etc/dkim/example.com.key'

  [domain.'example.org']                # the key is /opt/kumomta/etc/dkim/example.org/dkim2048.key
  algo = 'ed25519'                      # else 'sha256': an RSA key

  [signature.'MyESP']
  domain = 'myesp.example'
  policy = 'Always'                     # or 'OnlyIfMissingDomainBlock'

`[base]` and each block take what `kumo.dkim.rsa_sha256_signer` takes but `domain` and
`key`, and `algo`; a block takes `filename` as well. Several files (JSON where the name
does not end in `.toml`; or tables) are merged, later ones over earlier ones. A key is
read when mail is signed with it, and again a minute later. Can be set up once; adds a
`validate_config` handler, which reads every key.
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local mod = { CONFIGURED = nil }

local KEY_FILE = '/opt/kumomta/etc/dkim/%s/%s.key'

-- RFC 6376, section 5.4.1: what tells a reader who wrote what to whom.
local HEADERS = {
  'From', 'Reply-To', 'Subject', 'Date', 'To', 'Cc', 'Message-ID', 'In-Reply-To', 'References', 'MIME-Version',
  'Content-Type', 'Content-Transfer-Encoding', 'List-Unsubscribe', 'List-Unsubscribe-Post',
}

local Form = typing.enum('Canonicalization', 'Relaxed', 'Simple')

-- What a signature may be told, in [base] and in its own block.
local function fields(more)
  return utils.merge_into(more, {
    selector = typing.option(typing.text),
    headers = typing.option(typing.list(typing.text)),
    algo = typing.option(typing.enum('Algorithm', 'sha256', 'ed25519')),
    atps = typing.option(typing.text),
    atpsh = typing.option(typing.enum('AtpsHash', 'none', 'sha1', 'sha256')),
    agent_user_identifier = typing.option(typing.text),
    expiration = typing.option(typing.number),
    body_length = typing.option(typing.boolean),
    reporting = typing.option(typing.boolean),
    header_canonicalization = typing.option(Form),
    body_canonicalization = typing.option(Form),
    over_sign = typing.option(typing.boolean),
  })
end

local Base = typing.record('DkimBase', fields {
  additional_signatures = typing.default(typing.list(typing.text), {}),
})
local DomainBlock = typing.record('DkimDomain', fields { filename = typing.option(typing.text) })
local SignatureBlock = typing.record('DkimSignature', fields {
  filename = typing.option(typing.text),
  domain = typing.text,
  policy = typing.default(typing.enum('SignaturePolicy', 'Always', 'OnlyIfMissingDomainBlock'), 'Always'),
})
local Config = typing.record('DkimConfig', {
  base = typing.default(typing.any, {}),
  domain = typing.default(typing.any, {}),
  signature = typing.default(typing.any, {}),
})

-- The parameters of a signer are those names that its constructor knows.
local OPTIONS = utils.table_keys(fields {})

local function load(files)
  local merged = {}
  for _, file in ipairs(files) do
    utils.recursive_merge_into(utils.load_json_or_toml_file(file), merged)
  end
  local given = Config(merged)
  local config = { base = utils.in_section({ 'base' }, Base, given.base), domains = {}, signatures = {} }
  for name, section in pairs(utils.sections('domain', given.domain)) do
    config.domains[name:lower()] = utils.in_section({ 'domain', name }, DomainBlock, section)
  end
  for name, section in pairs(utils.sections('signature', given.signature)) do
    config.signatures[name] = utils.in_section({ 'signature', name }, SignatureBlock, section)
  end
  for _, name in ipairs(config.base.additional_signatures) do
    if not config.signatures[name] then
      local text = "[base]: additional_signatures names '%s', and there is no section [signature.'%s']"
      error(string.format(text, name, name), 0)
    end
  end
  return config
end

-- What signs as `domain` by this block. `where` is the block's name.
local function signer_of(config, block, domain, where)
  local params = { domain = domain, headers = HEADERS }
  for _, option in ipairs(OPTIONS) do
    local value = block[option]
    if value == nil then
      value = config.base[option]
    end
    if value ~= nil then
      params[option] = value
    end
  end
  if not params.selector then
    error(where .. ": no selector; set `selector` here, or in [base]", 0)
  end
  local make = kumo.dkim.rsa_sha256_signer
  if params.algo == 'ed25519' then
    make = kumo.dkim.ed25519_signer
  end
  params.algo = nil
  params.key = block.filename or string.format(KEY_FILE, domain, params.selector)
  local fine, signer = pcall(make, params)
  if not fine then
    error(string.format('%s: %s', where, (tostring(signer):gsub('\nstack traceback:.*', ''))), 0)
  end
  return signer
end

-- Calls `visit` with each signer for mail from a domain, in order.
local function each_signer(config, from, visit)
  local own = from and config.domains[from]
  if own then
    visit(signer_of(config, own, from, string.format("[domain.'%s']", from)))
  end
  for _, name in ipairs(config.base.additional_signatures) do
    local block = config.signatures[name]
    if block.policy == 'Always' or not own then
      visit(signer_of(config, block, block.domain, string.format("[signature.'%s']", name)))
    end
  end
end

-- The domain that mail says it is from.
local function from_domain(msg)
  local from = msg:from_header()
  local domain = from and from.domain
  return domain and domain:lower()
end

local function problems(config)
  local found = {}
  local function check(block, domain, where)
    local fine, why = pcall(signer_of, config, block, domain, where)
    if not fine then
      found[#found + 1] = tostring(why)
    end
  end
  for _, domain in ipairs(utils.table_keys(config.domains)) do
    check(config.domains[domain], domain, string.format("[domain.'%s']", domain))
  end
  for _, name in ipairs(utils.table_keys(config.signatures)) do
    local block = config.signatures[name]
    check(block, block.domain, string.format("[signature.'%s']", name))
  end
  return found
end

-- Returns a function that signs a message.
function mod:setup(files)
  utils.configure_once(mod, 'policy-extras.dkim_sign')
  files = utils.file_list(files)
  local config = utils.read_files(files, load)

  kumo.on('validate_config', function()
    utils.report_problems('policy-extras.dkim_sign', problems(config), files)
  end)

  return function(msg)
    each_signer(config, from_domain(msg), function(signer)
      msg:dkim_sign(signer)
    end)
  end
end

return mod
