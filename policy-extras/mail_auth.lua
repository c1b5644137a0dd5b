--[[
Who a message is from, as far as DKIM, SPF, ARC, the DNS and SMTP's AUTH tell.

  local mail_auth = require 'policy-extras.mail_auth'

  kumo.on('smtp_server_message_received', function(msg)
    local found = mail_auth.check(msg)
    if found.spf and found.spf.disposition == 'fail' then
      kumo.reject(550, '5.7.23 SPF says that you may not send this')
    end
  end)

Nothing is decided here.

  check(msg [, options])    what is switched on is checked, and the message gets an
                            Authentication-Results header. Returns a table:
      dkim          a list of results, one for each signature
      spf           { disposition, result }
      iprev, arc    a result
      smtp_auth     a result, where somebody has authenticated
      auth_results  all results in one list, as `msg:arc_seal` takes them
  iprev(ip)                 whether a name of the address leads back to it (RFC 8601,
                            section 3): a result
  iprev_msg(msg)            the same of the host that brought a message

Options, all of them true unless given: `dkim`, `spf`, `iprev`, `smtp_auth`, `arc`,
`dmarc` (taken, and nothing is done about it yet), `add_authentication_results`.
`server_id` is who says so in that header, the meta `hostname` unless given.
]]

local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'

local mod = {}

local Options = typing.record('MailAuthOptions', {
  dkim = typing.default(typing.boolean, true),
  spf = typing.default(typing.boolean, true),
  iprev = typing.default(typing.boolean, true),
  smtp_auth = typing.default(typing.boolean, true),
  dmarc = typing.default(typing.boolean, true),
  arc = typing.default(typing.boolean, true),
  add_authentication_results = typing.default(typing.boolean, true),
  server_id = typing.option(typing.text),
})

local function plain(err)
  return (tostring(err):gsub('\n.*', ''))
end

function mod.iprev(ip)
  local function result(word, reason)
    return { method = 'iprev', result = word, reason = reason, props = { ['policy.iprev'] = ip } }
  end
  local fine, names = pcall(kumo.dns.lookup_ptr, ip)
  if not fine then
    return result('temperror', plain(names))
  end
  if #names == 0 then
    return result('permerror', ip .. ' has no name')
  end
  local trouble
  for _, name in ipairs(names) do
    local found, addresses = pcall(kumo.dns.lookup_addr, name)
    if found and utils.table_contains(addresses, ip) then
      return result('pass', ip .. ' is ' .. name)
    end
    -- A name that does not exist leads nowhere; anything else may be known later.
    if not found and not plain(addresses):find('there is no host', 1, true) then
      trouble = trouble or plain(addresses)
    end
  end
  if trouble then
    return result('temperror', trouble)
  end
  return result('fail', 'no name of ' .. ip .. ' leads back to it')
end

function mod.iprev_msg(msg)
  local from = msg:get_meta 'received_from'
  if not from then
    return { method = 'iprev', result = 'permerror', reason = 'nobody knows which host brought it', props = {} }
  end
  return mod.iprev((utils.split_ip_port(from)))
end

local function smtp_auth(msg)
  local who = msg:get_meta 'authn_id'
  if who then
    return { method = 'auth', result = 'pass', props = { ['smtp.auth'] = who } }
  end
end

function mod.check(msg, options)
  local wanted = Options(options or {})
  local found = { auth_results = {} }
  local function tell(result)
    if result then
      table.insert(found.auth_results, result)
    end
    return result
  end
  if wanted.dkim then
    found.dkim = msg:dkim_verify()
    for _, result in ipairs(found.dkim) do
      tell(result)
    end
    if #found.dkim == 0 then
      tell { method = 'dkim', result = 'none', props = {} }
    end
  end
  if wanted.spf and msg:get_meta 'received_from' then
    found.spf = kumo.spf.check_msg(msg)
    tell(found.spf.result)
  end
  if wanted.iprev then
    found.iprev = tell(mod.iprev_msg(msg))
  end
  if wanted.smtp_auth then
    found.smtp_auth = tell(smtp_auth(msg))
  end
  if wanted.arc then
    found.arc = tell(msg:arc_verify())
  end
  if wanted.add_authentication_results then
    local server_id = wanted.server_id or msg:get_meta 'hostname'
    if not server_id then
      error('mail_auth.check: who says so? The message has no meta hostname; give `server_id`', 2)
    end
    msg:add_authentication_results(server_id, found.auth_results)
  end
  return found
end

return mod
