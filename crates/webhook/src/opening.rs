use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use waybill_http1::Start;
use waybill_webhook_core::{Scheme, Target};

/// What requests have in common, also as HTTP/1.1 writes it: most of what is sent is the same each time.
pub(crate) struct Opening {
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    start: Start,
}

impl Opening {
    /// To a target, at its own path.
    ///
    /// # Errors
    /// What cannot be sent.
    pub(crate) fn new(method: Method, target: &Target, mut headers: HeaderMap) -> Result<Self, String> {
        let host = HeaderValue::from_str(&target.authority()).map_err(|error| format!("its host: {error}"))?;
        headers.insert(header::HOST, host);
        let path = PathAndQuery::try_from(target.path()).map_err(|error| format!("its path: {error}"))?;
        Opening::of(method, path, headers)
    }

    fn of(method: Method, path: PathAndQuery, headers: HeaderMap) -> Result<Self, String> {
        let start = Start::new(&method, &path, &headers).ok_or("such a request is not sent")?;
        Ok(Opening { method, path, headers, start })
    }

    /// The same at another path.
    pub(crate) fn at(&self, path: &str) -> Result<Self, String> {
        let path = PathAndQuery::try_from(path).map_err(|error| format!("its path: {error}"))?;
        Opening::of(self.method.clone(), path, self.headers.clone())
    }

    /// As HTTP/1.1 writes it.
    pub(crate) fn start(&self) -> &Start {
        &self.start
    }

    /// The same with headers that take the place of those with the same names; `None` where there are none such, so that
    /// they can simply follow.
    pub(crate) fn replacing(&self, own: &[(HeaderName, HeaderValue)]) -> Option<Result<Self, String>> {
        let replaces = own.iter().any(|(name, _)| self.start.has(name));
        replaces.then(|| Opening::of(self.method.clone(), self.path.clone(), self.with(own)))
    }

    /// A request as HTTP/2 has it, with the whole URL and without a host.
    pub(crate) fn request<B>(
        &self,
        target: &Target,
        own: &[(HeaderName, HeaderValue)],
        body: B,
    ) -> Result<http::Request<B>, http::Error> {
        let scheme = if target.scheme() == Scheme::Https { "https" } else { "http" };
        let request = http::Request::builder().method(self.method.clone());
        let mut request = request.uri(format!("{scheme}://{}{}", target.authority(), self.path)).body(body)?;
        *request.headers_mut() = self.with(own);
        request.headers_mut().remove(header::HOST);
        Ok(request)
    }

    fn with(&self, own: &[(HeaderName, HeaderValue)]) -> HeaderMap {
        let mut headers = self.headers.clone();
        for (name, value) in own {
            headers.insert(name, value.clone());
        }
        headers
    }
}
