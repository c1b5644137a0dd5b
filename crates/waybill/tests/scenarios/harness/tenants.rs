//! A policy whose hook has a queue for each tenant.

use super::Policy;

/// A hook `tenants` with a queue `NAME.webhook` for each tenant, the first part of the recipient's domain; a tenant's
/// endpoint follows from the letters that its name begins with.
pub(crate) struct Tenants {
    endpoints: String,
    retry: &'static str,
    timeout: &'static str,
    more: &'static str,
}

const POLICY: &str = r#"
local ENDPOINTS = { @ENDPOINTS@ }

kumo.on('smtp_server_message_received', function(msg)
  msg:set_meta('tenant', msg:recipient().domain:match '^[^.]+')
end)

kumo.on('should_enqueue_log_record', function(msg, hook_name)
  msg:set_meta('queue', msg:get_meta 'tenant' .. '.webhook')
  return true
end)

kumo.on('get_queue_config', function(domain)
  if domain:match '%.webhook$' then
    return kumo.make_queue_config {
      @RETRY@,
      protocol = { custom_lua = { constructor = 'make.webhook' } },
    }
  end
end)

kumo.on('make.webhook', function(domain, tenant, campaign)
  local connection = {}
  local client = kumo.http.build_client { timeout = @TIMEOUT@ }
  local url = ENDPOINTS[domain:match '^%a+']
  function connection:send(message)
    local response = client:post(url):header('webhook-id', message:id()):body(message:get_data()):send()
    if not response:status_is_success() then
      kumo.reject(451, response:text())
    end
    return response:text()
  end
  return connection
end)
"#;

impl Tenants {
    /// With the URL of each tenant's endpoint.
    pub(crate) fn at<'a>(endpoints: impl IntoIterator<Item = (&'a str, String)>) -> Tenants {
        let endpoints = endpoints.into_iter().map(|(name, url)| format!("{name} = '{url}', ")).collect();
        let retry = "retry_interval = '1s', max_retry_interval = '1s'";
        Tenants { endpoints, retry, timeout: "'100s'", more: "" }
    }

    /// These fields say when a queue tries again, in place of each second; they may use `domain`.
    pub(crate) fn retry(self, retry: &'static str) -> Tenants {
        Tenants { retry, ..self }
    }

    /// So long may a request take, as an expression that may use `domain`, in place of 100 seconds.
    pub(crate) fn timeout(self, timeout: &'static str) -> Tenants {
        Tenants { timeout, ..self }
    }

    /// These lines as well.
    pub(crate) fn and(self, more: &'static str) -> Tenants {
        Tenants { more, ..self }
    }

    pub(crate) fn policy(&self) -> Policy {
        let body = POLICY.replace("@ENDPOINTS@", &self.endpoints);
        let body = body.replace("@RETRY@", self.retry).replace("@TIMEOUT@", self.timeout);
        Policy::new(body + self.more).init("kumo.configure_log_hook { name = 'tenants', meta = { 'tenant' } }")
    }
}
