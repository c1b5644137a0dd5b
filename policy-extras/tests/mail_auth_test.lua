-- Who a message is from.

local t = require 'policy-extras.tests.stub_kumo'
local utils = require 'policy-extras.policy_utils'
local mail_auth = require 'policy-extras.mail_auth'

local kumo = t.kumo
local test, error_of = t.test, t.error_of
local eq = utils.assert_eq

-- What the DNS knows in these tests.
local NAMES = { ['192.0.2.1'] = { 'a.example.' }, ['192.0.2.2'] = { 'gone.example.', 'b.example.' }, ['192.0.2.3'] = {}, ['192.0.2.4'] = { 'slow.example.' } }
local ADDRESSES = { ['a.example.'] = { '192.0.2.9', '192.0.2.1' }, ['b.example.'] = { '192.0.2.9' } }

kumo.dns = {
  lookup_ptr = function(ip)
    return NAMES[ip] or error('kumo.dns.lookup_ptr: failed to resolve ' .. ip, 0)
  end,
  lookup_addr = function(name)
    if name == 'slow.example.' then
      error('kumo.dns.lookup_addr: failed to resolve ' .. name, 0)
    end
    return ADDRESSES[name] or error('kumo.dns.lookup_addr: there is no host ' .. name, 0)
  end,
}
kumo.spf = {
  check_msg = function()
    return { disposition = 'softfail', result = { method = 'spf', result = 'softfail', props = {} } }
  end,
}

local function message(meta, signatures)
  local msg = { meta = meta }
  function msg:get_meta(name)
    return self.meta[name]
  end
  function msg.dkim_verify()
    return signatures or {}
  end
  function msg.arc_verify()
    return { method = 'arc', result = 'none', props = {} }
  end
  function msg:add_authentication_results(server_id, results)
    self.told = { server_id, results }
  end
  return msg
end

local function methods(results)
  local words = {}
  for i, result in ipairs(results) do
    words[i] = result.method .. '=' .. result.result
  end
  return table.concat(words, ' ')
end

test('an address whose name leads back to it passes', function()
  for ip, expected in pairs {
    ['192.0.2.1'] = { 'pass', '192.0.2.1 is a.example.' },
    ['192.0.2.2'] = { 'fail', 'no name of 192.0.2.2 leads back to it' },
    ['192.0.2.3'] = { 'permerror', '192.0.2.3 has no name' },
    ['192.0.2.4'] = { 'temperror', 'kumo.dns.lookup_addr: failed to resolve slow.example.' },
    ['192.0.2.5'] = { 'temperror', 'kumo.dns.lookup_ptr: failed to resolve 192.0.2.5' },
  } do
    local result = mail_auth.iprev(ip)
    eq({ result.method, result.result, result.reason, result.props['policy.iprev'] }, { 'iprev', expected[1], expected[2], ip })
  end
  eq(mail_auth.iprev_msg(message { received_from = '192.0.2.1:2525' }).result, 'pass')
  eq(mail_auth.iprev_msg(message {}).result, 'permerror')
end)

test('everything is checked and told unless it is switched off', function()
  local dkim = { { method = 'dkim', result = 'pass', props = {} }, { method = 'dkim', result = 'fail', props = {} } }
  local msg = message({ received_from = '192.0.2.1:25', hostname = 'mx.example', authn_id = 'tim' }, dkim)
  local found = mail_auth.check(msg)
  eq(methods(found.auth_results), 'dkim=pass dkim=fail spf=softfail iprev=pass auth=pass arc=none')
  eq(msg.told, { 'mx.example', found.auth_results })
  eq({ #found.dkim, found.spf.disposition, found.iprev.result, found.arc.result }, { 2, 'softfail', 'pass', 'none' })
  eq(found.smtp_auth.props, { ['smtp.auth'] = 'tim' })

  local off = { dkim = false, iprev = false, arc = false, dmarc = false, add_authentication_results = false }
  msg = message { received_from = '192.0.2.1', hostname = 'mx.example' }
  eq(methods(mail_auth.check(msg, off).auth_results), 'spf=softfail')
  eq(msg.told, nil)

  msg = message {}
  eq(methods(mail_auth.check(msg, { server_id = 'own.example', iprev = false }).auth_results), 'dkim=none arc=none')
  eq(msg.told[1], 'own.example')
end)

test('options that nobody knows and a header of nobody are refused', function()
  utils.assert_matches(error_of(mail_auth.check, message {}, { colour = 1 }), "MailAuthOptions: unknown field 'colour'")
  utils.assert_matches(error_of(mail_auth.check, message {}), 'mail_auth%.check: who says so%? .* give `server_id`$')
end)

t.finish()
