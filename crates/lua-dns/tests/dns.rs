//! What scripts see of the DNS.

use mlua::{Function, Lua, Value};
use waybill_dns::{SharedResolver, Zones};

const ZONE: &str = "$ORIGIN example.com.
@        30 IN MX 20 mx2
@        30 IN MX 10 mx3
@        30 IN MX 10 mx1
mx1      30 IN A 192.0.2.1
mx1      30 IN AAAA 2001:db8::1
only6    30 IN AAAA 2001:db8::6
nomail   30 IN MX 0 .
plain    30 IN A 192.0.2.9
text     30 IN TXT \"v=spf1 \" \"-all\"
text     30 IN TXT \"second\"
1.2.0.192.in-addr.arpa. 30 IN PTR mx1.example.com.
9.2.0.192.list 30 IN A 127.0.0.2
9.2.0.192.list 30 IN TXT \"sends what nobody wants\"
8.2.0.192.list 30 IN A 127.0.0.3
";

fn lua() -> Lua {
    let lua = Lua::new();
    lua.set_app_data(SharedResolver::new(Zones::parse([ZONE]).unwrap().failing("broken.example.com")));
    register(lua)
}

fn register(lua: Lua) -> Lua {
    let kumo = lua.create_table().unwrap();
    waybill_lua_dns::register(&lua, &kumo).unwrap();
    lua.globals().set("kumo", kumo).unwrap();
    let show = r#"
        function show(value)
            if type(value) ~= 'table' then return tostring(value) end
            local keys, words = {}, {}
            for key in pairs(value) do keys[#keys + 1] = key end
            table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
            for _, key in ipairs(keys) do
                words[#words + 1] = (#value > 0 and '' or tostring(key) .. '=') .. show(value[key])
            end
            return '{' .. table.concat(words, ' ') .. '}'
        end"#;
    lua.load(show).exec().unwrap();
    lua
}

/// What an expression gives, or `!!` and the first line of the error.
async fn ask(lua: &Lua, code: &str) -> String {
    let show: Function = lua.globals().get("show").unwrap();
    match lua.load(format!("return {code}")).set_name("@policy.lua").eval_async::<Value>().await {
        Ok(value) => show.call(value).unwrap(),
        Err(error) => format!("!! {}", error.to_string().lines().next().unwrap_or_default()),
    }
}

#[tokio::test]
async fn the_hosts_of_a_domain_come_by_preference_and_in_a_row() {
    let lua = lua();
    assert_eq!(
        ask(&lua, "kumo.dns.lookup_mx 'EXAMPLE.com'").await,
        "{by_pref={10={mx1.example.com. mx3.example.com.} 20={mx2.example.com.}} domain_name=example.com. \
         hosts={mx1.example.com. mx3.example.com. mx2.example.com.} is_domain_literal=false is_mx=true is_secure=false \
         site_name=(mx1|mx2|mx3).example.com}"
    );
    assert_eq!(
        ask(&lua, "kumo.dns.lookup_mx 'plain.example.com'").await,
        "{by_pref={} domain_name=plain.example.com. hosts={plain.example.com.} is_domain_literal=false is_mx=false \
         is_secure=false site_name=plain.example.com}"
    );
    assert_eq!(
        ask(&lua, "kumo.dns.lookup_mx '[192.0.2.7]'").await,
        "{by_pref={} domain_name=[192.0.2.7] hosts={[192.0.2.7]} is_domain_literal=true is_mx=false is_secure=false \
         site_name=[192.0.2.7]}"
    );
    let nobody = ask(&lua, "kumo.dns.lookup_mx 'nomail.example.com'").await;
    assert!(nobody.starts_with("{by_pref={0={.}} domain_name=nomail.example.com. hosts={.} "), "{nobody}");
}

#[tokio::test]
async fn what_is_not_there_is_no_error_but_for_hosts_and_mail() {
    let lua = lua();
    for (code, expected) in [
        ("kumo.dns.lookup_addr 'mx1.example.com'", "{192.0.2.1 2001:db8::1}"),
        ("kumo.dns.lookup_addr('mx1.example.com', nil, 'Ipv6ThenIpv4')", "{2001:db8::1}"),
        ("kumo.dns.lookup_addr('only6.example.com', nil, 'Ipv4ThenIpv6')", "{2001:db8::6}"),
        ("kumo.dns.lookup_addr('only6.example.com', nil, 'Ipv4Only')", "{}"),
        ("kumo.dns.lookup_addr '192.0.2.77'", "{192.0.2.77}"),
        ("kumo.dns.lookup_addr 'text.example.com'", "{}"),
        ("kumo.dns.lookup_addr 'gone.example.com'", "!! kumo.dns.lookup_addr: there is no host gone.example.com"),
        ("kumo.dns.lookup_txt 'text.example.com'", "{v=spf1 -all second}"),
        ("kumo.dns.lookup_txt 'gone.example.com'", "{}"),
        ("kumo.dns.lookup_ptr '192.0.2.1'", "{mx1.example.com.}"),
        ("kumo.dns.lookup_ptr '192.0.2.1:2025'", "{mx1.example.com.}"),
        ("kumo.dns.lookup_ptr '2001:db8::7'", "{}"),
        ("kumo.dns.lookup_mx 'gone.example.com'", "!! kumo.dns.lookup_mx: there is no domain gone.example.com"),
        ("{kumo.dns.rbl_lookup('192.0.2.9', 'list.example.com')}", "{127.0.0.2 sends what nobody wants}"),
        ("{kumo.dns.rbl_lookup('192.0.2.8', 'list.example.com')}", "{127.0.0.3}"),
        ("select('#', kumo.dns.rbl_lookup('192.0.2.1', 'list.example.com'))", "2"),
        ("kumo.dns.reverse_ip '127.0.0.1'", "1.0.0.127"),
        ("kumo.dns.reverse_ip '::1'", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"),
        ("kumo.dns.ptr_host '[::1]:25' :sub(-10)", "0.ip6.arpa"),
    ] {
        assert_eq!(ask(&lua, code).await, expected, "{code}");
    }
}

#[tokio::test]
async fn complaints_name_the_function_and_what_is_wrong() {
    let lua = lua();
    for (code, expected) in [
        (
            "kumo.dns.lookup_txt 'broken.example.com'",
            "!! kumo.dns.lookup_txt: failed to resolve broken.example.com: no server answered for broken.example.com",
        ),
        ("kumo.dns.lookup_addr 'a..b'", "!! kumo.dns.lookup_addr: \"a..b\" is not a domain name"),
        ("kumo.dns.lookup_ptr 'here'", "!! kumo.dns.lookup_ptr: \"here\" is not an IP address"),
        (
            "kumo.dns.lookup_txt('text.example.com', 'rbl')",
            "!! kumo.dns.lookup_txt: no resolver \"rbl\" is defined; leave the argument out",
        ),
        (
            "kumo.dns.configure_test_resolver { '; fine', 'a.example. A 1.2.3' }",
            "!! kumo.dns.configure_test_resolver: zone 2, line 1: A: \"1.2.3\" cannot be read; \
             expected records such as example.com. 60 A 192.0.2.1",
        ),
        (
            "kumo.dns.configure_test_resolver { zones = {} }",
            "!! kumo.dns.configure_test_resolver: expected a list of zone files, and \"zones\" is no index",
        ),
        (
            "kumo.dns.configure_test_resolver { 7 }",
            "!! kumo.dns.configure_test_resolver: zone 1: expected the text of a zone file, got integer",
        ),
        (
            "kumo.dns.configure_test_resolver()",
            "!! kumo.dns.configure_test_resolver: expected a list of zone files, got nil",
        ),
    ] {
        assert_eq!(ask(&lua, code).await, expected, "{code}");
    }
    let strategy = ask(&lua, "kumo.dns.lookup_addr('mx1.example.com', nil, 'Ipv5')").await;
    assert!(strategy.starts_with("!! kumo.dns.lookup_addr: unknown strategy \"Ipv5\", expected one of "), "{strategy}");
    let code = "\n\nlocal x = kumo.dns.configure_test_resolver { 'x' }";
    let error = lua.load(code).set_name("@policy.lua").exec_async().await.unwrap_err().to_string();
    assert!(error.contains("policy.lua:3"), "{error}");
    let code = "\n\nlocal x = kumo.dns.lookup_ptr 'x'";
    let error = lua.load(code).set_name("@policy.lua").exec_async().await.unwrap_err().to_string();
    assert!(error.contains("policy.lua:3"), "{error}");
}

#[tokio::test]
async fn zones_of_a_script_take_the_place_of_what_was_asked_before() {
    let lua = lua();
    lua.load(
        "kumo.dns.configure_test_resolver { '$ORIGIN other.example.\\n@ MX 5 mx', 'mx.other.example. A 192.0.2.5' }",
    )
    .exec_async()
    .await
    .unwrap();
    assert_eq!(ask(&lua, "kumo.dns.lookup_mx('other.example').hosts").await, "{mx.other.example.}");
    assert_eq!(ask(&lua, "kumo.dns.lookup_addr 'mx.other.example'").await, "{192.0.2.5}");
    assert!(ask(&lua, "kumo.dns.lookup_mx 'example.com'").await.starts_with("!! "));
    lua.load("kumo.dns.configure_test_resolver 'one.example. A 192.0.2.6'").exec_async().await.unwrap();
    assert_eq!(ask(&lua, "kumo.dns.lookup_addr 'one.example'").await, "{192.0.2.6}");
}

#[tokio::test]
async fn a_program_without_a_resolver_says_so() {
    let lua = register(Lua::new());
    let answer = ask(&lua, "kumo.dns.lookup_txt 'a.example'").await;
    assert_eq!(answer, "!! kumo.dns.lookup_txt: this program resolves no names");
}
