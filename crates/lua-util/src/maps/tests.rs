use crate::testing::ask;

#[test]
fn the_longest_network_that_holds_an_address_wins() {
    let map = "local m = kumo.cidr.make_map { ['10.0.0.0/8'] = 'ten', ['10.1.2.0/24'] = 'narrow', ['127.0.0.1'] = 'self', \
               ['2001:db8::/32'] = 'six' } ";
    for (code, expected) in [
        ("return m['10.9.9.9']", "ten"),
        ("return m['10.1.2.3:25']", "narrow"),
        ("return m['::ffff:10.1.2.3']", "narrow"),
        ("return m['10.1.0.0/16']", "ten"),
        ("return m['127.0.0.1']", "self"),
        ("return m['[2001:db8::1]:25']", "six"),
        ("return m['192.0.2.1']", "nil"),
        ("return m['no address']", "nil"),
        ("return m[5]", "nil"),
        ("m['10.1.2.0/24'] = nil return m['10.1.2.3']", "ten"),
        ("m['0.0.0.0/0'] = { 'any' } return m['192.0.2.1'][1]", "any"),
        ("local n = 0 for k, v in pairs(m) do n = n + 1 end return n", "4"),
        ("m['10/8'] = 1", "!! '10/8' is no network such as '10.0.0.0/8' and no address"),
        ("kumo.cidr.make_map { 'x' }", "!! kumo.cidr.make_map: expected texts as keys, got a integer"),
        ("return kumo.cidr.make_map()['10.0.0.1']", "nil"),
    ] {
        assert_eq!(ask(&format!("{map}{code}")), expected, "{code}");
    }
}

#[test]
fn the_nearest_domain_wins() {
    let map = "local m = kumo.domain_map.new { ['Example.com'] = 'exact', ['*.example.com'] = 'below', \
               ['*.b.example.com'] = 'deep' } ";
    for (code, expected) in [
        ("return m['example.COM.']", "exact"),
        ("return m['a.example.com']", "below"),
        ("return m['x.a.example.com']", "below"),
        ("return m['b.example.com']", "below"),
        ("return m['x.b.example.com']", "deep"),
        ("return m['example.org']", "nil"),
        ("m['*'] = 'rest' return m['example.org']", "rest"),
        ("m['*.example.com'] = nil return m['a.example.com']", "nil"),
        (
            "m['a*.example.com'] = 1",
            "!! 'a*.example.com' is no domain: a '*' can only stand for what is in front of the first dot",
        ),
        (
            "local t = {} for k, v in pairs(m) do t[#t + 1] = k end return table.concat(t, ' ')",
            "*.b.example.com *.example.com example.com",
        ),
    ] {
        assert_eq!(ask(&format!("{map}{code}")), expected, "{code}");
    }
}

#[test]
fn a_pattern_that_matches_gives_its_value() {
    let map = "local m = kumo.regex_set_map.new { ['^mx\\\\d+\\\\.'] = 'mx', ['(?i)YAHOO'] = 'y' } ";
    for (code, expected) in [
        ("return m['mx1.example.com']", "mx"),
        ("return m['mta.yahoodns.net']", "y"),
        ("return m['mail.example.com']", "nil"),
        ("m['mail'] = true return m['mail.example.com']", "true"),
        ("m['mail'] = nil return m['mail.example.com']", "nil"),
    ] {
        assert_eq!(ask(&format!("{map}{code}")), expected, "{code}");
    }
    assert!(ask("kumo.regex_set_map.new { ['('] = 1 }").starts_with("!! kumo.regex_set_map.new: '(' is no regular "));
}
