-- Signatures out of files.

local t = require 'policy-extras.tests.stub_kumo'
local utils = require 'policy-extras.policy_utils'

local kumo = t.kumo
local test, error_of = t.test, t.error_of
local eq = utils.assert_eq

-- Signers that tell what they were made of; a key called 'missing' is not there.
local function maker(kind)
  return function(params)
    if params.key:find 'missing' then
      error(kind .. ': key: reading ' .. params.key .. ': No such file or directory', 0)
    end
    return utils.merge_into({ kind = kind }, params)
  end
end

-- A fresh module: one can be set up once only.
local function fresh(files)
  package.loaded['policy-extras.dkim_sign'] = nil
  local world = t.world()
  kumo.dkim = { rsa_sha256_signer = maker 'rsa', ed25519_signer = maker 'ed25519' }
  local dkim_sign = require 'policy-extras.dkim_sign'
  return dkim_sign:setup(files), world, dkim_sign
end

-- The signers that sign mail from this domain.
local function signers(sign, domain)
  local used = {}
  sign {
    from_header = function()
      return domain and { domain = domain }
    end,
    dkim_sign = function(_, signer)
      used[#used + 1] = signer
    end,
  }
  return used
end

local FILES = {
  {
    base = { selector = 's0', headers = { 'From', 'To' }, additional_signatures = { 'esp', 'fallback' }, over_sign = true },
    domain = {
      ['Example.com'] = { selector = 's1', filename = '/keys/one.pem', headers = { 'From' } },
      ['example.org'] = { algo = 'ed25519', expiration = 60, over_sign = false },
    },
    signature = {
      esp = { domain = 'esp.example', filename = '/keys/esp.pem' },
      fallback = { domain = 'other.example', policy = 'OnlyIfMissingDomainBlock' },
    },
  },
  { domain = { ['example.org'] = { selector = 's2' } } },
}

test('mail is signed for its domain and by the additional signatures, in order', function()
  local sign = fresh(FILES)
  local used = signers(sign, 'EXAMPLE.com')
  eq(#used, 2)
  eq(used[1], {
    kind = 'rsa', domain = 'example.com', selector = 's1', key = '/keys/one.pem', headers = { 'From' }, over_sign = true,
  })
  eq(used[2], {
    kind = 'rsa', domain = 'esp.example', selector = 's0', key = '/keys/esp.pem', headers = { 'From', 'To' }, over_sign = true,
  })
end)

test('a block takes from base what it does not say, and later files count', function()
  local used = signers(fresh(FILES), 'example.org')
  eq(used[1], {
    kind = 'ed25519', domain = 'example.org', selector = 's2', key = '/opt/kumomta/etc/dkim/example.org/s2.key',
    headers = { 'From', 'To' }, expiration = 60, over_sign = false,
  })
end)

test('mail of other domains gets the additional signatures, those for lack of a block as well', function()
  for _, domain in ipairs { 'elsewhere.example', false } do
    local used = signers(fresh(FILES), domain or nil)
    eq({ #used, used[1].domain, used[2].domain }, { 2, 'esp.example', 'other.example' })
    eq(used[2].key, '/opt/kumomta/etc/dkim/other.example/s0.key')
  end
  eq(signers(fresh { domain = {} }, 'example.com'), {})
end)

test('a block without headers signs From and what else tells who wrote what', function()
  local used = signers(fresh { domain = { a = { selector = 's' } } }, 'a')
  assert(utils.table_contains(used[1].headers, 'From') and utils.table_contains(used[1].headers, 'Subject'))
end)

test('what is wrong is told with its section', function()
  for text, config in pairs {
    ["DkimConfig: unknown field 'bass'"] = { bass = {} },
    ["%[base%]: DkimBase: unknown field 'filename'"] = { base = { filename = 'x' } },
    ["%[domain%.'a'%]: DkimDomain: invalid value for field 'algo'"] = { domain = { a = { algo = 'md5' } } },
    ["%[signature%.'s'%]: DkimSignature: missing value for field 'domain'"] = { signature = { s = {} } },
    ["%[signature%.'s'%]: DkimSignature: invalid value for field 'policy'"] = {
      signature = { s = { domain = 'a', policy = 'Never' } },
    },
    ["%[base%]: additional_signatures names 'gone', and there is no section %[signature%.'gone'%]"] = {
      base = { additional_signatures = { 'gone' } },
    },
    ['%[domain%]: expected sections'] = { domain = 5 },
  } do
    utils.assert_matches(error_of(fresh, config), text)
  end
  local sign = fresh { domain = { a = {}, b = { selector = 'missing' } } }
  utils.assert_matches(error_of(signers, sign, 'a'), "^%[domain%.'a'%]: no selector; set `selector` here, or in %[base%]$")
  utils.assert_matches(error_of(signers, sign, 'b'), "^%[domain%.'b'%]: rsa: key: reading /opt/kumomta/etc/dkim/b/missing%.key: ")
end)

test('it can be set up once', function()
  local _, _, dkim_sign = fresh(FILES)
  utils.assert_matches(error_of(dkim_sign.setup, dkim_sign, FILES), 'policy%-extras%.dkim_sign has already been configured$')
end)

test('validation reads every key', function()
  local _, world = fresh { base = { selector = 'missing' }, domain = { a = {} }, signature = { s = { domain = 'b' } } }
  local lines = t.printed(world.fire, 'validate_config')
  eq(lines, {
    "policy-extras.dkim_sign: [domain.'a']: rsa: key: reading /opt/kumomta/etc/dkim/a/missing.key: No such file or directory",
    "policy-extras.dkim_sign: [signature.'s']: rsa: key: reading /opt/kumomta/etc/dkim/b/missing.key: No such file or directory",
  })
  assert(world.validation_failed)
  local _, good = fresh(FILES)
  eq(t.printed(good.fire, 'validate_config'), {})
  assert(not good.validation_failed)
end)

t.finish()
