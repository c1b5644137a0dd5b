//! Scripts against a real server on the loopback interface.

mod support;

use std::time::{Duration, Instant};

use support::Server;
use waybill_aws_sign::{Credentials, Request, Scope, sign};

/// The lines of lua-facts.txt that concern `kumo.http`.
#[tokio::test]
async fn errors_read_as_recorded_from_a_live_kumomta() {
    let server = Server::start().await;
    for (code, expected) in [
        ("return c:get('http://127.0.0.1:1/'):send()", "!! error sending request for url (http://127.0.0.1:1/)"),
        ("return c:get('nope'):send()", "!! builder error"),
        ("return c:get('http://127.0.0.1:1/'):timeout(5)", "!! invalid timeout duration"),
        (
            "return c:post('http://127.0.0.1:1/'):body('\\xff')",
            "!! bad argument #2 to `RequestWrapper.body`: error converting Lua string to String \
             (invalid utf-8 sequence of 1 bytes from index 0)",
        ),
        ("c:close() return c:get('http://127.0.0.1:1/')", "!! client was closed"),
    ] {
        let code = format!("local c = kumo.http.build_client {{ timeout = '2s' }} {code}");
        assert_eq!(server.ask(&code).await, expected, "{code}");
    }
}

#[tokio::test]
async fn a_webhook_as_the_manual_writes_it() {
    let server = Server::start().await;
    let code = r#"
        local client = kumo.http.build_client {}
        local response = client:post(url .. '/log'):header('Content-Type', 'application/json'):body('{"a":1}'):send()
        local disposition = string.format('%d %s: %s', response:status_code(), response:status_reason(), response:text())
        assert(response:status_is_success())
        client:close()
        return disposition"#;
    let answer = server.ask(code).await;
    assert!(answer.starts_with("200 OK: POST /log HTTP/1.1\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json\r\n") && answer.ends_with("\r\n\r\n{\"a\":1}"), "{answer}");
}

#[tokio::test]
async fn every_request_method_shows_in_the_request() {
    let server = Server::start().await;
    let code = "return kumo.http.build_client { user_agent = 'waybill/1', unknown = 1 }:put(url .. '/x') \
                :headers { ['X-A'] = '1', ['X-B'] = 'é' }:header('X-A', '2'):basic_auth('u', 'p') \
                :timeout(2.5):timeout('2s'):form_url_encoded { b = 'x y', a = 1 }:send():text()";
    let answer = server.ask(code).await;
    for line in [
        "PUT /x HTTP/1.1",
        "user-agent: waybill/1",
        "x-a: 1",
        "x-a: 2",
        "x-b: é",
        "authorization: Basic dTpw",
        "content-type: application/x-www-form-urlencoded",
    ] {
        assert!(answer.contains(&format!("{line}\r\n")), "{line} in {answer}");
    }
    assert!(answer.ends_with("\r\n\r\na=1&b=x+y"), "{answer}");
    let answer = server.ask("return kumo.http.build_client{}:get(url):bearer_auth('t'):send():text()").await;
    assert!(answer.contains("authorization: Bearer t\r\n"), "{answer}");
}

#[tokio::test]
async fn multipart_forms_tell_text_from_bytes() {
    let server = Server::start().await;
    let code = "return kumo.http.build_client{}:post(url):form_multipart_data { a = 'text', b = '\\xff', \
                c = { data = 'x', file_name = 'c.txt' } }:send():text()";
    let answer = server.ask(code).await;
    assert!(answer.contains("content-type: multipart/form-data; boundary="), "{answer}");
    assert!(answer.contains("name=\"a\"\r\n\r\ntext\r\n"), "{answer}");
    assert!(answer.contains("name=\"b\"\r\nContent-Type: application/octet-stream\r\n"), "{answer}");
    assert!(answer.contains("name=\"c\"; filename=\"c.txt\""), "{answer}");
}

#[tokio::test]
async fn a_request_is_sent_once_and_a_body_is_taken_once() {
    let server = Server::start().await;
    let request = "local r = kumo.http.build_client{}:get(url) r:send() ";
    assert_eq!(server.ask(&format!("{request} return r:send()")).await, "!! broken request builder");
    assert_eq!(server.ask(&format!("{request} return r:body('x')")).await, "!! broken request builder");
    let response = "local r = kumo.http.build_client{}:get(url):send() r:text() ";
    assert_eq!(server.ask(&format!("{response} return r:bytes()")).await, "!! broken response wrapper");
    assert_eq!(server.ask(&format!("{response} return r:headers()")).await, "!! broken response wrapper");
    assert_eq!(server.ask(&format!("{response} return r:status_code()")).await, "200");
}

#[tokio::test]
async fn statuses_and_reasons() {
    let server = Server::start().await;
    let code = "local r = kumo.http.build_client{}:get(url .. '/unavailable'):send() \
                return table.concat({ r:status_code(), r:status_reason(), tostring(r:status_is_server_error()), \
                tostring(r:status_is_client_error()), tostring(r:status_is_success()), r:content_length(), r:text() }, ' | ')";
    assert_eq!(server.ask(code).await, "503 | Service Unavailable | true | false | false | 5 | later");
    let code = "return tostring(kumo.http.build_client{}:get(url .. '/strange'):send():status_reason())";
    assert_eq!(server.ask(code).await, "nil");
}

#[tokio::test]
async fn headers_are_found_in_any_case_and_walked_with_pairs() {
    let server = Server::start().await;
    let code = "local r = kumo.http.build_client{}:get(url .. '/binary'):send() \
                local h, all = r:headers(), {} \
                for k, v in pairs(h) do if k == 'x-two' then all[#all + 1] = v end end \
                return table.concat({ h['X-TWO'], table.concat(all, ','), tostring(h['X-None']), tostring(h[1]), \
                tostring(r:bytes() == '\\0\\xff') }, ' | ')";
    assert_eq!(server.ask(code).await, "a | a,b | nil | nil | true");
}

#[tokio::test]
async fn text_is_decoded_by_the_charset_that_the_response_names() {
    let server = Server::start().await;
    assert_eq!(server.ask("return kumo.http.build_client{}:get(url .. '/latin1'):send():text()").await, "café");
    let code = "return kumo.http.build_client{}:get(url .. '/binary'):send():text() == '\\0\\u{FFFD}'";
    assert_eq!(server.ask(code).await, "true");
}

#[tokio::test]
async fn redirects_are_followed_unless_told_not_to() {
    let server = Server::start().await;
    let code = "return kumo.http.build_client{}:get(url .. '/moved'):send():text()";
    assert!(server.ask(code).await.starts_with("GET /echo HTTP/1.1\r\n"));
    let code = "local r = kumo.http.build_client { redirect = 'none' }:get(url .. '/moved'):send() \
                return r:status_code() .. ' ' .. tostring(r:status_is_redirection()) .. ' ' .. r:headers().location";
    assert_eq!(server.ask(code).await, "302 true /echo");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_an_error_and_not_memory() {
    let server = Server::start().await;
    let code = "return kumo.http.build_client{}:get(url .. '/announced'):send():text()";
    assert_eq!(server.ask(code).await, "!! response body is larger than 16777216 bytes");
    let code = "return kumo.http.build_client{}:get(url .. '/endless'):send():bytes()";
    assert_eq!(server.ask(code).await, "!! response body is larger than 16777216 bytes");
    let code = "return kumo.http.build_client { max_response_size = 4 }:get(url .. '/latin1'):send():text()";
    assert_eq!(server.ask(code).await, "café");
    let code = "return kumo.http.build_client { max_response_size = 3 }:get(url .. '/latin1'):send():text()";
    assert_eq!(server.ask(code).await, "!! response body is larger than 3 bytes");
}

#[tokio::test]
async fn the_time_limit_covers_the_whole_request() {
    let server = Server::start().await;
    let started = Instant::now();
    let expected = format!("!! error sending request for url (http://{}/never)", server.address);
    let code = "return kumo.http.build_client { timeout = 0.2 }:get(url .. '/never'):send()";
    assert_eq!(server.ask(code).await, expected);
    let code = "return kumo.http.build_client{}:get(url .. '/never'):timeout('200ms'):send()";
    assert_eq!(server.ask(code).await, expected);
    // A minute is usual.
    assert!(started.elapsed() < Duration::from_secs(50));
}

#[tokio::test]
async fn a_client_keeps_its_connection_for_the_next_request() {
    let server = Server::start().await;
    let code = "local c = kumo.http.build_client{} for _ = 1, 5 do c:get(url):send():text() end return 'done'";
    assert_eq!(server.ask(code).await, "done");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn options_of_the_wrong_kind_are_named() {
    let server = Server::start().await;
    for (options, expected) in [
        (
            "{ timeout = 'soon' }",
            "field `timeout`: invalid value: string \"soon\", expected a duration, while processing {\"timeout\":\"soon\"}",
        ),
        ("{ timeout = 0 }", "field `timeout`: expected a duration longer than zero, while processing {\"timeout\":0}"),
        (
            "{ user_agent = 'a\\nb' }",
            "field `user_agent`: expected a text without control characters, while processing {\"user_agent\":\"a\\nb\"}",
        ),
        (
            "{ timeout = -1 }",
            "field `timeout`: invalid value: integer `-1`, expected a duration, while processing {\"timeout\":-1}",
        ),
        (
            "{ redirect = 'maybe' }",
            "field `redirect`: unknown variant `maybe`, expected `none` or `follow`, while processing {\"redirect\":\"maybe\"}",
        ),
    ] {
        let answer = server.ask(&format!("return kumo.http.build_client {options}")).await;
        assert_eq!(answer, format!("!! deserialize error: {expected}"));
    }
    for options in ["", "{}", "{ connection_verbose = true, accept_invalid_certs = true, pool_idle_timeout = '90s' }"] {
        let answer = server.ask(&format!("return type(kumo.http.build_client({options}))")).await;
        assert_eq!(answer, "userdata", "{options}");
    }
}

#[tokio::test]
async fn urls_get_their_parameters_in_order() {
    let server = Server::start().await;
    let code = "return kumo.http.build_url('https://example.com/?existing=value', { b = 2, a = 1 })";
    assert_eq!(server.ask(code).await, "https://example.com/?existing=value&a=1&b=2");
    assert_eq!(server.ask("return kumo.http.build_url('https://example.com', {})").await, "https://example.com/");
    let error = server.ask("return kumo.http.build_url('nope', {})").await;
    assert_eq!(error, "!! \"nope\" is not a URL: relative URL without a base");
}

#[tokio::test]
async fn a_request_is_signed_as_it_is_sent() {
    let server = Server::start().await;
    let code = "return kumo.http.build_client{}:post(url .. '/queue?b=x+y&a=1')
        :aws_sign_v4 { access_key = 'AKIDEXAMPLE', secret_key = { key_data = 'SECRET' }, region = 'us-east-1',
                       service = 'sqs', session_token = 'TOKEN', timestamp = 1440938160 }
        :header('Content-Type', 'text/plain'):body('hello'):send():text()";
    let answer = server.ask(code).await;
    for line in ["POST /queue?a=1&b=x%20y HTTP/1.1", "x-amz-date: 20150830T123600Z", "x-amz-security-token: TOKEN"] {
        assert!(answer.contains(&format!("{line}\r\n")), "{line} in {answer}");
    }
    let headers = [("host", server.address.to_string()), ("content-type", "text/plain".into())];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let query = [("a", "1"), ("b", "x y")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let request = Request { method: "POST", path: "/queue", query: &query, headers: &headers, payload: b"hello" };
    let credentials = Credentials { access_key: "AKIDEXAMPLE", secret_key: "SECRET", session_token: Some("TOKEN") };
    let signed = sign(&credentials, Scope { region: "us-east-1", service: "sqs" }, &request, 1_440_938_160);
    assert!(answer.contains(&format!("authorization: {}\r\n", signed.authorization)), "{answer}");
}

#[tokio::test]
async fn s3_gets_the_hash_of_the_body_and_the_time_is_now() {
    let server = Server::start().await;
    let code = "return kumo.http.build_client{}:put(url .. '/key'):body('')
        :aws_sign_v4 { access_key = 'A', secret_key = 'S', region = 'r', service = 's3' }:send():text()";
    let answer = server.ask(code).await;
    let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert!(answer.contains(&format!("x-amz-content-sha256: {hash}\r\n")), "{answer}");
    assert!(answer.contains("SignedHeaders=host;x-amz-content-sha256;x-amz-date,"), "{answer}");
    assert!(!answer.contains("x-amz-date: 1970"), "{answer}");
}

#[tokio::test]
async fn complaints_about_a_signature_do_not_show_the_key() {
    let server = Server::start().await;
    for (options, expected) in [
        ("{ access_key = 'A', secret_key = 'HIDDEN', region = 'r' }", "missing field `service`"),
        (
            "{ access_key = 'A', secret_key = 'HIDDEN', region = 'r', service = 's', regio = 1 }",
            "unknown field `regio`, expected one of `access_key`, `secret_key`, `region`, `service`, `session_token`, `timestamp`",
        ),
        (
            "{ access_key = 'A', secret_key = 5 }",
            "secret_key: expected a text without control characters, or { key_data = '...' }",
        ),
        (
            "{ access_key = 'A', secret_key = 'HIDDEN\\n' }",
            "secret_key: expected a text without control characters, or { key_data = '...' }",
        ),
        ("{ region = true }", "region: invalid type: boolean `true`, expected a string"),
        ("'HIDDEN'", "expected a table of options, got string"),
    ] {
        let answer = server.ask(&format!("kumo.http.build_client{{}}:get(url):aws_sign_v4 {options}")).await;
        assert_eq!(answer, format!("!! aws_sign_v4: {expected}"));
    }
    let code = "kumo.http.build_client{}:post(url):form_multipart_data { a = 'x' }
        :aws_sign_v4 { access_key = 'A', secret_key = 'S', region = 'r', service = 's' }:send()";
    assert_eq!(server.ask(code).await, "!! aws_sign_v4: a multipart body cannot be signed");
}

#[tokio::test]
async fn building_many_clients_is_cheap_because_the_roots_are_read_when_needed() {
    let server = Server::start().await;
    // The quickest of some tries: what else this machine does slows down none but a few.
    let mut quickest = Duration::MAX;
    for _ in 0..20 {
        let started = Instant::now();
        assert_eq!(server.ask("for _ = 1, 100 do kumo.http.build_client{} end return 'done'").await, "done");
        quickest = quickest.min(started.elapsed());
        if quickest < Duration::from_secs(2) {
            return;
        }
    }
    panic!("{quickest:?} at best");
}

/// Clients that follow nothing send over connections of their own: what holds above holds there.
const DIRECT: &str =
    "local c = kumo.http.build_client { redirect = 'none', timeout = '60s', user_agent = 'waybill/1' } ";

#[tokio::test]
async fn a_client_that_follows_nothing_sends_the_same() {
    let server = Server::start().await;
    let request = ":post(url .. '/log?x=y+z'):header('Content-Type', 'application/json'):header('X-A', '1')\
                   :header('X-A', '2'):body('{}'):send():text()";
    let lines = |answer: String| {
        let mut lines: Vec<String> = answer.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let direct = lines(server.ask(&format!("{DIRECT} return c{request}")).await);
    let other = format!("return kumo.http.build_client {{ user_agent = 'waybill/1' }}{request}");
    assert_eq!(direct, lines(server.ask(&other).await));
    assert!(direct.contains(&"accept: */*".to_owned()), "{direct:?}");
    let code = format!("{DIRECT} return c:post(url):form_multipart_data {{ a = 'text' }}:send():text()");
    assert!(server.ask(&code).await.contains("name=\"a\"\r\n\r\ntext\r\n"));
}

#[tokio::test]
async fn a_client_that_follows_nothing_fails_in_the_same_words() {
    let server = Server::start().await;
    let started = Instant::now();
    for (code, expected) in [
        (
            "return c:get('http://127.0.0.1:1/'):send()",
            "!! error sending request for url (http://127.0.0.1:1/)".to_owned(),
        ),
        ("return c:get('nope'):send()", "!! builder error".to_owned()),
        (
            "return c:get(url .. '/never'):timeout(0.2):send()",
            format!("!! error sending request for url (http://{}/never)", server.address),
        ),
        (
            "return c:get(url .. '/gone'):send()",
            format!("!! error sending request for url (http://{}/gone)", server.address),
        ),
        ("return c:get(url .. '/half'):send():text()", "!! error decoding response body".to_owned()),
        // Long enough for its head to come.
        ("return c:get(url .. '/stalls'):timeout('2s'):send():text()", "!! error decoding response body".to_owned()),
        (
            "return c:get(url .. '/announced'):send():text()",
            "!! response body is larger than 16777216 bytes".to_owned(),
        ),
        ("return c:get(url .. '/endless'):send():bytes()", "!! response body is larger than 16777216 bytes".to_owned()),
        ("local r = c:get(url):send() r:text() return r:headers()", "!! broken response wrapper".to_owned()),
        ("c:close() return c:get('http://127.0.0.1:1/')", "!! client was closed".to_owned()),
    ] {
        assert_eq!(server.ask(&format!("{DIRECT} {code}")).await, expected, "{code}");
        let other = code.replace("c:", "kumo.http.build_client {}:");
        if !code.contains("close()") {
            assert_eq!(server.ask(&other).await, expected, "{other}");
        }
    }
    // A minute is usual.
    assert!(started.elapsed() < Duration::from_secs(50));
}

#[tokio::test]
async fn its_connection_is_free_again_whether_the_body_is_read_or_not() {
    let server = Server::start().await;
    let code = format!(
        "{DIRECT} local kept = {{}} for i = 1, 20 do local r = c:post(url):body('x'):send() kept[i] = r \
         if i % 2 == 0 then r:text() end end return #kept"
    );
    assert_eq!(server.ask(&code).await, "20");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_meanwhile_costs_no_request() {
    let server = Server::start().await;
    let code =
        format!("{DIRECT} for _ = 1, 5 do assert(c:get(url .. '/last'):send():text() == 'bye') end return 'done'");
    assert_eq!(server.ask(&code).await, "done");
    assert_eq!(server.connections(), 5);
}

#[tokio::test]
async fn a_body_that_comes_in_pieces_is_waited_for() {
    let server = Server::start().await;
    let code = format!(
        "{DIRECT} return #c:get(url .. '/pieces'):send():text() .. ' ' .. #c:get(url .. '/long'):send():text()"
    );
    assert_eq!(server.ask(&code).await, format!("{} {}", 3 * 7, 300 * 1024));
    assert_eq!(server.connections(), 1);
}
