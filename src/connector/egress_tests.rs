use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;

/// A resolver of a test: one answer after the other, the last one again and again.
#[derive(Clone, Debug, Default)]
pub(in crate::connector) struct Told {
    answers: Arc<Mutex<VecDeque<Vec<IpAddr>>>>,
    asked: Arc<Mutex<usize>>,
}

impl Told {
    pub(in crate::connector) fn of(answers: &[&str]) -> Told {
        let answers = answers
            .iter()
            .map(|answer| answer.split(' ').map(|ip| ip.parse().unwrap()).collect());
        Told {
            answers: Arc::new(Mutex::new(answers.collect())),
            asked: Arc::default(),
        }
    }

    pub(super) fn next(&self, port: u16) -> Vec<SocketAddr> {
        *self.asked.lock().unwrap() += 1;
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        };
        answer.into_iter().map(|ip| SocketAddr::new(ip, port)).collect()
    }

    /// How often it was asked.
    pub(in crate::connector) fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

fn hosts() -> Vec<HostPattern> {
    ["api.example.com", "*.eu.example.com"]
        .iter()
        .map(|text| HostPattern::parse(text).unwrap())
        .collect()
}

#[test]
fn patterns_that_are_not_hosts_are_refused() {
    for wrong in [
        "",
        "*",
        "*.com",
        "*.",
        "example",
        "localhost",
        "https://api.example.com",
        "api.example.com:443",
        "api.example.com/",
        "api.*.com",
        "API.example.com",
        "api..example.com",
        "api.example.com.",
        "-a.example.com",
        "10.0.0.1",
        "127.1",
        "0x7f.1",
        "[::1]",
        "user@example.com",
        "*example.com",
    ] {
        assert_eq!(HostPattern::parse(wrong), Err(NotAHost), "{wrong}");
    }
}

#[test]
fn only_the_manifests_hosts_are_reached() {
    let egress = Egress::new(&hosts(), None);
    for allowed in [
        "https://api.example.com/v1/x",
        "https://API.EXAMPLE.com/v1/x",
        "https://api.example.com:443/v1/x",
        "https://a.eu.example.com/",
        "https://a.b.eu.example.com/",
    ] {
        assert!(egress.url(allowed).is_ok(), "{allowed}");
    }
    for refused in [
        "http://api.example.com/",
        "https://api.example.com:8443/",
        "https://user@api.example.com/",
        "https://user:word@api.example.com/",
        "https://api.example.com@evil.example/",
        "https://api.example.com./",
        "https://eu.example.com/",
        "https://xeu.example.com/",
        "https://api.example.com.evil.example/",
        "https://evil.example/api.example.com",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://api.example.com/?q=1",
        "https://api.example.com/#f",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "//evil.example/",
        "evil",
        "",
        "@evil.example/",
    ] {
        assert!(egress.url(refused).is_err(), "{refused}");
    }
}

#[test]
fn a_path_goes_to_the_first_host_or_to_the_base_url() {
    let manifest = Egress::new(&hosts(), None);
    assert_eq!(
        manifest.url("/v1/x").unwrap().as_str(),
        "https://api.example.com/v1/x"
    );
    let base = Url::parse("https://10.1.2.3:8443/edr/").unwrap();
    let named = Egress::new(&hosts(), Some(&base));
    assert_eq!(
        named.url("/v1/x").unwrap().as_str(),
        "https://10.1.2.3:8443/edr/v1/x"
    );
    assert_eq!(
        named.url("https://a.eu.example.com/v1/x").unwrap().as_str(),
        "https://10.1.2.3:8443/edr/v1/x"
    );
    assert!(named.url("https://10.1.2.3:8443/v1/x").is_err());
    let patterns = [HostPattern::parse("*.eu.example.com").unwrap()];
    assert!(Egress::new(&patterns, None).url("/v1/x").is_err());
}

#[test]
fn a_path_cannot_lead_elsewhere() {
    for wrong in [
        "",
        "v1",
        "//evil.example/",
        "/a/../b",
        "/a/..",
        "/a/%2e%2e/b",
        "/a/.%2E/b",
        "/./a",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/a b",
        "/a\nb",
        "/a%0d%0ab",
        "/a%00",
    ] {
        assert!(check_path(wrong).is_err(), "{wrong:?}");
    }
    for right in ["/", "/a/b", "/a..b/c", "/a%2Fb", "/users/o'neill@example.com"] {
        assert!(check_path(right).is_ok(), "{right}");
    }
}

#[test]
fn a_base_url_is_https_or_a_loopback_literal() {
    for right in [
        "https://edr.corp.example",
        "https://10.0.0.5:8443/api/",
        "http://127.0.0.1:9000",
        "http://[::1]:9000",
        "https://127.0.0.1:9443",
        "https://[fd12::1]/",
    ] {
        assert_eq!(check_base_url(&Url::parse(right).unwrap()), Ok(()), "{right}");
    }
    for wrong in [
        "http://edr.corp.example",
        "http://localhost:9000",
        "http://10.0.0.5",
        "http://[::ffff:127.0.0.1]:9000",
        "https://169.254.169.254/",
        "https://0.0.0.0/",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://[fe80::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://user:word@edr.corp.example",
        "https://edr.corp.example/?a=b",
        "ftp://edr.corp.example",
        "data:text/plain,x",
    ] {
        assert!(check_base_url(&Url::parse(wrong).unwrap()).is_err(), "{wrong}");
    }
}

#[test]
fn addresses_are_public_private_or_neither() {
    for public in ["93.184.216.34", "8.8.8.8", "2606:4700::1111"] {
        assert!(is_public(public.parse().unwrap()), "{public}");
    }
    for private in ["10.0.0.1", "172.16.0.1", "192.168.1.1", "fd12::1"] {
        let ip = private.parse().unwrap();
        assert!(!is_public(ip) && may_be_private(ip), "{private}");
    }
    for neither in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:10.0.0.1",
        "::ffff:8.8.8.8",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001::1",
        "2001:db8::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "5f00::1",
    ] {
        assert!(!may_be_private(neither.parse().unwrap()), "{neither}");
        assert!(!is_public(neither.parse().unwrap()), "{neither}");
    }
}

#[test]
fn one_inner_address_among_the_answers_refuses_the_name() {
    let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 0);
    assert!(filter("h", vec![at("8.8.8.8")], false).is_ok());
    assert!(filter("h", vec![at("8.8.8.8"), at("10.0.0.1")], false).is_err());
    assert!(filter("h", vec![at("8.8.8.8"), at("10.0.0.1")], true).is_ok());
    for never in ["127.0.0.1", "169.254.169.254", "::ffff:127.0.0.1"] {
        assert!(filter("h", vec![at(never)], true).is_err(), "{never}");
    }
}

/// What was judged is what is handed on to be connected to: between the two nobody looks the name up again, so an
/// answer that changes comes too late.
#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_judged_is_connected_to() {
    let told = Told::of(&["93.184.216.34", "127.0.0.1"]);
    let resolver = Resolver {
        may_be_private: false,
        names: Names::Told(told.clone()),
    };
    let name = || "rebind.example.com".parse::<Name>().unwrap();
    let first: Vec<SocketAddr> = resolver.resolve(name()).await.unwrap().collect();
    assert_eq!(first, ["93.184.216.34:0".parse().unwrap()]);
    assert_eq!(told.asked(), 1);
    assert!(resolver.resolve(name()).await.is_err());

    let told = Told::of(&["10.1.2.3", "169.254.169.254", "10.1.2.3 127.0.0.1"]);
    let names = Names::Told(told.clone());
    for (scheme, port) in [("ldaps", 636), ("smtps", 465)] {
        let url = Url::parse(&format!("{scheme}://rebind.example.com")).unwrap();
        match addresses(&names, &url, port).await {
            Ok(found) => assert_eq!(found, [SocketAddr::new("10.1.2.3".parse().unwrap(), port)]),
            Err(error) => assert!(matches!(error, NoAddress::Refused(_)) && scheme == "smtps"),
        }
    }
    let url = Url::parse("ldap://rebind.example.com").unwrap();
    assert!(matches!(
        addresses(&names, &url, 389).await,
        Err(NoAddress::Refused(_))
    ));
    assert_eq!(told.asked(), 3);
}

#[test]
fn a_server_is_judged_by_its_address_however_it_is_written() {
    for right in [
        "ldaps://dc1.corp.example",
        "ldap://10.1.2.3:389",
        "smtp://127.0.0.1:2525",
        "smtps://[::1]:465",
        "ldap://0x7f.1",
        "ldaps://2130706433",
    ] {
        assert_eq!(check_base_url(&Url::parse(right).unwrap()), Ok(()), "{right}");
    }
    for loopback in [
        "ldap://0x7f.1",
        "smtp://2130706433",
        "ldap://0177.0.0.1",
        "smtp://[::1]",
    ] {
        assert!(is_loopback(&Url::parse(loopback).unwrap()), "{loopback}");
    }
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
        "0xA9.254.0xa9fe",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "0",
        "[::]",
        "user@dc1.corp.example",
        "user:word@dc1.corp.example",
        "",
    ] {
        for scheme in ["ldap", "ldaps", "smtp", "smtps"] {
            let text = format!("{scheme}://{host}");
            let refused = Url::parse(&text).is_ok_and(|url| check_base_url(&url).is_err());
            assert!(refused || Url::parse(&text).is_err(), "{text}");
        }
    }
    for wrong in [
        "ldap://dc1.corp.example/dc=x",
        "ldap://dc1.corp.example?a",
        "ldapi://x",
        "gopher://x",
    ] {
        assert!(check_base_url(&Url::parse(wrong).unwrap()).is_err(), "{wrong}");
    }
}
