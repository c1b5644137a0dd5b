//! Each item of what a function must not reach or do, by name. What a loop without end in the C code of Lua does is seen from
//! outside, in `tests/pool.rs`: nothing inside a process can stop it.

use super::*;
use crate::outbound::{Answer, Request};
use parking_lot::Mutex;
use serde_json::json;

const LIMITS: Limits = Limits { instructions: 30_000_000, memory: 64 * 1024 * 1024, cpu: 60 };

/// Answers every request with what it was, and keeps what is printed.
#[derive(Default)]
struct Parent {
    lines: Mutex<Vec<String>>,
    requests: Mutex<Vec<Request>>,
}

impl Host for Parent {
    fn http(&self, request: Request) -> Result<Answer, String> {
        if request.url.contains("127.0.0.1") {
            return Err("the address is refused".into());
        }
        let answer = Answer { status: 202, headers: request.headers.clone(), body: request.body.clone() };
        self.requests.lock().push(request);
        Ok(answer)
    }

    fn log(&self, line: String) {
        self.lines.lock().push(line);
    }
}

fn call(functions: &[&str], data: Json) -> Call {
    let functions = functions.iter().map(|source| (*source).to_owned()).collect();
    Call { functions, data, event: "Bounce".into(), source: "log".into(), hops: 0 }
}

fn run_with(parent: &Arc<Parent>, functions: &[&str], data: Json) -> Result<Json, ScriptError> {
    run(&call(functions, data), 4711, LIMITS, parent.clone())
}

/// What a body of one function returns.
fn returns(body: &str) -> Result<Json, ScriptError> {
    let source = format!("return function(data, event, source, pid)\n{body}\nend");
    run_with(&Arc::default(), &[&source], json!({"n": 1}))
}

fn refused(body: &str) -> ScriptError {
    match returns(body) {
        Err(error) => error,
        Ok(json) => panic!("{body} returned {json}"),
    }
}

#[test]
fn functions_run_in_order_and_each_gets_what_the_one_before_returned() {
    let first =
        "return function(data, event, source, pid) return { n = data.n + 1, e = event, s = source, p = pid } end";
    let second = "local twice = 2 return function(data) data.n = data.n * twice return data end";
    let result = run_with(&Arc::default(), &[first, second, second], json!({"n": 4})).unwrap();
    assert_eq!(result, json!({"n": 20, "e": "Bounce", "s": "log", "p": 4711}));
    assert_eq!(returns("").unwrap(), Json::Null);
}

#[test]
fn nil_and_why_is_a_failure_of_that_function() {
    let good = "return function(data) return data end";
    let bad = "return function(data) return nil, 'no ' .. data.n end";
    let error = run_with(&Arc::default(), &[good, bad, good], json!({"n": 4})).unwrap_err();
    assert_eq!(error.to_string(), "functions[2]: no 4");
    assert_eq!(returns("return nil, { 1 }").unwrap_err().function, 1);
}

#[test]
fn an_error_tells_its_function_and_line() {
    assert_eq!(
        refused("\nlocal x = data.no.way").to_string(),
        "functions[1]:3: attempt to index a nil value (field 'no')"
    );
    assert_eq!(refused("error('boom')").to_string(), "functions[1]:2: boom");
    assert_eq!(refused("error(setmetatable({}, { __tostring = function() return 'object' end }))").function, 1);
    assert_eq!(
        (refused("http.request {}").line, refused("http.request {}").message.as_str()),
        (Some(2), "http.request: url is missing")
    );
}

#[test]
fn a_chunk_that_returns_no_function_is_told_so() {
    let error = run_with(&Arc::default(), &["return 'x'"], Json::Null).unwrap_err();
    assert_eq!(error.to_string(), "functions[1]: returned a string, not a function(data, event, source, pid)");
}

#[test]
fn what_reaches_out_of_lua_is_not_there() {
    for name in [
        "os",
        "io",
        "package",
        "require",
        "debug",
        "load",
        "loadstring",
        "loadfile",
        "dofile",
        "collectgarbage",
        "ffi",
        "warn",
        "kumo",
    ] {
        assert_eq!(returns(&format!("return {name} == nil and _G['{name}'] == nil")).unwrap(), true, "{name}");
    }
    assert_eq!(returns("return string.dump == nil and ('').dump == nil").unwrap(), true);
    assert!(refused("os.exit(1)").message.contains("nil value (global 'os')"));
}

#[test]
fn everything_that_is_there_was_put_there_on_purpose() {
    let names = returns(
        "local names = {} for name in pairs(_G) do names[#names + 1] = name end table.sort(names) return names",
    );
    let expected = json!([
        "_G",
        "_VERSION",
        "assert",
        "coroutine",
        "error",
        "getmetatable",
        "http",
        "ipairs",
        "json",
        "math",
        "next",
        "null",
        "pairs",
        "pcall",
        "print",
        "rawequal",
        "rawget",
        "rawlen",
        "rawset",
        "select",
        "setmetatable",
        "string",
        "table",
        "tonumber",
        "tostring",
        "type",
        "utf8",
        "xpcall"
    ]);
    assert_eq!(names.unwrap(), expected);
}

#[test]
fn compiled_lua_is_refused_at_the_check_and_at_the_call() {
    let code = "\u{1b}LuaT".to_owned();
    assert!(check(std::slice::from_ref(&code)).unwrap_err().message.contains("give the source"));
    assert!(run_with(&Arc::default(), &[&code], Json::Null).is_err());
}

#[test]
fn the_check_compiles_without_running_and_names_function_and_line() {
    assert_eq!(check(&["while true do end".into(), "return function() os.exit() end".into()]), Ok(()));
    let error = check(&["return 1".into(), "return function()\n  local = 1\nend".into()]).unwrap_err();
    assert_eq!((error.function, error.line), (2, Some(2)), "{error}");
}

#[test]
fn what_one_call_does_to_its_environment_no_other_sees() {
    let spoil = "getmetatable('').__index.upper = function() return 'spoilt' end
        string.format = nil; leaked = 1; setmetatable(_G, { __index = function() return 'spoilt' end })
        return ('x'):upper()";
    assert_eq!(returns(spoil).unwrap(), "spoilt");
    assert_eq!(
        returns("return { ('x'):upper(), string.format('%d', 3), leaked == nil }").unwrap(),
        json!(["X", "3", true])
    );
}

#[test]
fn an_environment_of_its_own_gives_a_function_nothing_new() {
    assert_eq!(returns("local _ENV = { t = _G } return t.os == nil and t._G.io == nil").unwrap(), true);
    assert_eq!(returns("return rawget(_G, 'load') == nil and getmetatable(_G) == nil").unwrap(), true);
}

#[test]
fn a_loop_without_end_is_stopped_and_its_line_told() {
    let error = refused("\nwhile true do end");
    assert_eq!(error.to_string(), "functions[1]:3: ran for more than 30000000 instructions and was stopped");
}

#[test]
fn no_way_to_catch_errors_outlives_the_limit() {
    for body in [
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
        "local t <close> = setmetatable({}, { __close = function() while true do end end }) return 1",
        "pcall(function() while true do end end) return 'all is well'",
    ] {
        assert!(refused(body).message.contains("was stopped"), "{body}");
    }
}

#[test]
fn memory_without_end_is_an_error_of_the_script() {
    for body in [
        "local t = {} while true do t[#t + 1] = { 1, 2, 3 } end",
        "return ('x'):rep(1e9)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
    ] {
        let message = refused(body).message;
        assert!(message.contains("memory"), "{body}: {message}");
    }
}

#[test]
fn recursion_without_end_is_an_error_of_the_script() {
    let message = refused("local function f() return 1 + f() end return f()").message;
    assert!(message.contains("stack overflow") || message.contains("memory"), "{message}");
    assert!(
        refused("local t = {} setmetatable(t, { __index = function(t, k) return t[k] end }) return t.x")
            .message
            .contains("stack")
    );
    assert!(refused("return ('x'):rep(1e5):find(('(x'):rep(40))").message.contains("too many captures"));
}

#[test]
fn print_goes_to_the_daemons_log_and_is_bounded() {
    let parent = Arc::<Parent>::default();
    let body = "return function() print('one', 2, nil) print(('x'):rep(5000)) for i = 1, 1000 do print(i) end end";
    run_with(&parent, &[body], Json::Null).unwrap();
    let lines = parent.lines.lock();
    assert_eq!((lines[0].as_str(), lines[1].len(), lines.len()), ("one\t2\tnil", 1024, 100));
}

#[test]
fn a_request_is_asked_of_the_parent_and_a_refusal_is_nil_and_why() {
    let parent = Arc::<Parent>::default();
    let body = r#"return function(data)
        local r = assert(http.request { url = "https://a.example/", headers = { ["x-a"] = "1" }, body = json.encode(data) })
        local none, why = http.request { method = "PUT", url = "http://127.0.0.1/" }
        return { status = r.status, a = r.headers["x-a"], n = json.decode(r.body).n, none = none == nil, why = why }
    end"#;
    let result = run_with(&parent, &[body], json!({"n": 5})).unwrap();
    assert_eq!(result, json!({"status": 202, "a": "1", "n": 5, "none": true, "why": "the address is refused"}));
    assert_eq!(parent.requests.lock()[0].method, "POST");
}

#[test]
fn requests_are_bounded_and_their_options_checked() {
    let many = refused("for i = 1, 17 do http.request { url = 'https://a.example/' } end").message;
    assert_eq!(many, "http.request: one event may make 16 requests");
    for (options, expected) in [
        ("{ url = 5 }", "url is a string, not a integer"),
        ("{ url = 'x', headers = 'x' }", "headers is a table, not a string"),
        ("{ uri = 'x' }", "there is no option \"uri\""),
        ("{ url = 'x', headers = { {} } }", "names and values are strings"),
        ("{ url = ('x'):rep(70000) }", "may have 65536 bytes"),
        ("{ url = 'x', body = ('x'):rep(1100000) }", "the body 1048576"),
    ] {
        let message = refused(&format!("http.request {options}")).message;
        assert!(message.contains(expected), "{options}: {message}");
    }
}

#[test]
fn xpcall_gives_results_and_what_its_handler_makes_of_an_error() {
    let body = "local function handler(why) return 'handled ' .. why end
        local good = { xpcall(function(a, b) return a + b, 'x' end, handler, 1, 2) }
        local bad = { xpcall(function(a) error(a, 0) end, handler, 'boom') }
        local worse = { xpcall(error, function() error('again', 0) end, 'boom') }
        return { good, bad, worse }";
    assert_eq!(returns(body).unwrap(), json!([[true, 3, "x"], [false, "handled boom"], [false, "again"]]));
}

#[test]
fn a_result_that_json_cannot_say_or_that_is_too_large_is_refused() {
    assert!(refused("return function() end").message.contains("what it returned has a function"));
    assert!(refused("local t = {} t.t = t return t").message.contains("contains itself"));
    assert!(refused("return { ('x'):rep(1100000) }").message.contains("may have 1048576"));
    assert!(refused("return { '\\xff' }").message.contains("no UTF-8"));
}

#[test]
fn nothing_of_the_host_is_reachable_through_values_that_are_given() {
    let body = "for _, value in pairs { data, event, http, json, null, print } do
            if type(value) == 'userdata' and getmetatable(value) ~= nil then return 'an object of the host' end
        end
        return getmetatable(data) == nil";
    assert_eq!(returns(body).unwrap(), true);
    let list = "return function(data) return getmetatable(data) == false or getmetatable(data) == nil end";
    assert_eq!(run_with(&Arc::default(), &[list], json!([1, 2])).unwrap(), true);
}
