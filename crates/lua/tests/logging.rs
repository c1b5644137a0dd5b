//! What `kumo.log_*` writes.

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use support::engine;
use waybill_policy::PolicyHost;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn lines_have_target_place_and_values() {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber =
        tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let engine = engine(
        "kumo.on('ev', function()
           kumo.log_info('a', 1, nil, true)
           kumo.log_warn 'careful'
           kumo.log_error('bad', 2.5)
           kumo.log_debug 'unseen'
         end)",
    )
    .await;
    engine.call("ev", vec![]).await.unwrap();
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let expected =
        ["INFO lua: init.lua:2: a 1 nil true", "WARN lua: init.lua:3: careful", "ERROR lua: init.lua:4: bad 2.5"];
    assert_eq!(lines, expected);
}
