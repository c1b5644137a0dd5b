use bytes::Bytes;
use std::io::{self, Write};
use waybill_webhook_core::Compression;

/// Bodies from here on are compressed beside the runtime's threads.
const LARGE: usize = 64 * 1024;

/// The body as it is sent, and the name of its encoding.
pub(crate) async fn compressed(body: Bytes, compression: Compression) -> io::Result<(Bytes, Option<&'static str>)> {
    match compression {
        Compression::None => Ok((body, None)),
        _ if body.len() < LARGE => encode(&body, compression),
        _ => tokio::task::spawn_blocking(move || encode(&body, compression)).await.map_err(io::Error::other)?,
    }
}

fn encode(body: &[u8], compression: Compression) -> io::Result<(Bytes, Option<&'static str>)> {
    Ok(match compression {
        Compression::None => (Bytes::copy_from_slice(body), None),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(body)?;
            (encoder.finish()?.into(), Some("gzip"))
        }
        Compression::Zstd => (zstd::encode_all(body, zstd::DEFAULT_COMPRESSION_LEVEL)?.into(), Some("zstd")),
    })
}
