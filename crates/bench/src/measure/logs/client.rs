use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One connection that stays.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Client {
    pub(super) async fn connect(server: SocketAddr) -> Result<Client> {
        let stream = TcpStream::connect(server).await.with_context(|| format!("connect to {server}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the sender; what went wrong is told to whoever sends.
        tokio::spawn(connection);
        Ok(Client { sender, host: server.to_string() })
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.ask(Request::get(path).header(HOST, &self.host).body(Full::default())?).await
    }

    pub(super) async fn post(&mut self, path: &str, body: Bytes) -> Result<Bytes> {
        let request = Request::post(path).header(HOST, &self.host).header(CONTENT_TYPE, "application/json");
        self.ask(request.body(Full::new(body))?).await
    }

    async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<Bytes> {
        let asked = format!("{} {}", request.method(), request.uri());
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await.with_context(|| asked.clone())?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(|| asked.clone())?.to_bytes();
        if !status.is_success() {
            bail!("{asked}: {status} {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
}
