//! Posting to one address without Lua on the way.

mod support;

use http::{HeaderName, HeaderValue};
use mlua::{Lua, Table, Value};
use support::Server;
use waybill_lua_http::{Posted, Poster};

const ID: HeaderName = HeaderName::from_static("webhook-id");

fn state() -> Lua {
    let lua = Lua::new();
    let kumo = lua.create_table().unwrap();
    waybill_lua_http::register(&lua, &kumo).unwrap();
    lua.globals().set("kumo", kumo).unwrap();
    lua
}

fn client(lua: &Lua) -> Value {
    let code = "return kumo.http.build_client { redirect = 'none', timeout = '5s', max_response_size = 1000 }";
    lua.load(code).eval().unwrap()
}

fn poster(lua: &Lua, client: &Value, url: &str) -> Option<Poster> {
    let headers: Table = lua.load("return { ['Content-Type'] = 'application/json', ['X-A'] = '1' }").eval().unwrap();
    Poster::new(client, url, &headers).unwrap()
}

async fn post(poster: &Poster, most: usize) -> mlua::Result<Posted> {
    poster.post([(ID, HeaderValue::from_static("7"))], "{}", most).await
}

fn summary(posted: Posted) -> String {
    match posted {
        Posted::Taken(text) => text,
        Posted::Answered(answered) => panic!("answered {}", answered.status()),
    }
}

#[tokio::test]
async fn it_sends_what_exchange_sends_and_tells_what_summary_tells() {
    let (server, lua) = (Server::start().await, state());
    let url = format!("http://{}/log?x=y+z", server.address);
    let posted = summary(post(&poster(&lua, &client(&lua), &url).unwrap(), 1000).await.unwrap());
    let code = "local c = kumo.http.build_client { redirect = 'none' } local _, r = c:exchange(url .. '/log?x=y+z', \
                { ['Content-Type'] = 'application/json', ['X-A'] = '1', ['webhook-id'] = '7' }, '{}') return r:summary(1000)";
    let exchanged = server.ask(code).await;
    let lines = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&posted), lines(&exchanged));
    assert!(posted.starts_with("200 OK: POST /log?x=y+z HTTP/1.1\r\n") && posted.ends_with("{}"), "{posted}");
}

#[tokio::test]
async fn one_connection_serves_all_until_the_client_is_closed() {
    let (server, lua) = (Server::start().await, state());
    let client = client(&lua);
    let poster = poster(&lua, &client, &format!("http://{}/log", server.address)).unwrap();
    for _ in 0..20 {
        assert_eq!(summary(post(&poster, 8).await.unwrap()), "200 OK: POST /lo");
    }
    assert_eq!(server.connections(), 1);
    lua.globals().set("client", client).unwrap();
    lua.load("client:close()").exec().unwrap();
    let error = post(&poster, 8).await.err().unwrap().to_string();
    assert_eq!(error, "client was closed");
}

#[tokio::test]
async fn what_is_not_simply_taken_is_there_to_be_looked_at() {
    let (server, lua) = (Server::start().await, state());
    let client = client(&lua);
    for (path, code) in [("/unavailable", 503), ("/moved", 302), ("/long", 200), ("/endless", 200)] {
        let poster = poster(&lua, &client, &format!("http://{}{path}", server.address)).unwrap();
        let Posted::Answered(answered) = post(&poster, 100).await.unwrap() else { panic!("{path}") };
        assert_eq!(answered.status(), code, "{path}");
        let look = "local r = ... return r:status_code() .. ' ' .. tostring(select(2, pcall(r.text, r)))";
        let told: String = lua.load(look).call_async(answered).await.unwrap();
        let expected = match path {
            "/unavailable" => "503 later",
            "/moved" => "302 ",
            _ => "200 response body is larger than 1000 bytes",
        };
        assert_eq!(told.lines().next(), Some(expected), "{path}");
    }
}

#[tokio::test]
async fn trouble_on_the_way_is_told_as_a_script_would_be_told() {
    let (server, lua) = (Server::start().await, state());
    let client = client(&lua);
    for url in ["http://127.0.0.1:1/".to_owned(), format!("http://{}/gone", server.address)] {
        let error = post(&poster(&lua, &client, &url).unwrap(), 100).await.err().unwrap().to_string();
        assert_eq!(error, format!("error sending request for url ({url})"));
    }
}

#[test]
fn where_more_is_needed_there_is_none() {
    let lua = state();
    assert!(poster(&lua, &client(&lua), "http://user:password@127.0.0.1/").is_none());
    let follows: Value = lua.load("return kumo.http.build_client {}").eval().unwrap();
    assert!(poster(&lua, &follows, "http://127.0.0.1/").is_none());
    let own: Value = lua.load("return {}").eval().unwrap();
    assert!(poster(&lua, &own, "http://127.0.0.1/").is_none());
}
