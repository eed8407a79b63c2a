//! Where requests may go, and nowhere else: the manifest's hosts over https, or exactly the `base_url` an
//! operator wrote. Names are judged here before a request is built, addresses by the resolver the client really
//! uses, so that the address that was judged is the one that is connected to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::Value;
use url::{Host, Url};

/// A host a manifest may name: `api.example.com`, or `*.example.com` for any name below it. A label may be a
/// setting of the instance: `secretsmanager.{region}.amazonaws.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower case, without `*.`.
    name: String,
    below: bool,
}

/// Why a text is no host pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAHost;

impl NotAHost {
    pub(super) fn message(self, text: &str) -> String {
        format!("`{text}` is not a host")
    }

    pub(super) fn help(self) -> &'static str {
        "write a DNS name with at least one dot, such as `api.example.com` or `*.example.com`, without scheme, \
         port or path"
    }
}

impl HostPattern {
    /// Reads a pattern. Addresses, ports, schemes, single labels and stars elsewhere are refused.
    pub fn parse(text: &str) -> Result<HostPattern, NotAHost> {
        let (name, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let labels = name.split('.').count();
        // The URL standard reads a host whose last label is a number as an address.
        let ends_in_number = name
            .rsplit('.')
            .next()
            .is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
        let fits = |label: &str| is_label(label) || setting_of(label).is_some();
        // A setting is never the end of a name, where it could lead to anyone's domain.
        let open_end = name.rsplit('.').take(2).any(|label| setting_of(label).is_some());
        if labels < 2 || ends_in_number || open_end || !name.split('.').all(fits) {
            return Err(NotAHost);
        }
        Ok(HostPattern {
            name: name.to_owned(),
            below,
        })
    }

    /// True when `host` (lower case, as the `url` crate normalises it) is meant.
    pub fn matches(&self, host: &str) -> bool {
        if self.below {
            host.strip_suffix(&self.name)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty())
        } else {
            host == self.name
        }
    }

    /// The settings its labels are taken from.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        self.name.split('.').filter_map(setting_of)
    }

    /// The pattern with its settings filled in; `None` where one is missing or is no single label.
    pub fn filled(&self, settings: &Value) -> Option<HostPattern> {
        let label = |label: &str| match setting_of(label) {
            None => Some(label.to_owned()),
            Some(name) => settings
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| is_label(text))
                .map(str::to_owned),
        };
        let labels: Option<Vec<String>> = self.name.split('.').map(label).collect();
        Some(HostPattern {
            name: labels?.join("."),
            below: self.below,
        })
    }

    /// The host, where it is no pattern.
    pub fn exact(&self) -> Option<&str> {
        (!self.below).then_some(self.name.as_str())
    }
}

/// One label of a DNS name, lower case.
fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `{region}` names the setting `region`.
fn setting_of(label: &str) -> Option<&str> {
    label
        .strip_prefix('{')?
        .strip_suffix('}')
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

/// Why a destination is refused: a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// Where one connector instance may send.
#[derive(Clone, Debug, PartialEq)]
pub struct Egress {
    hosts: Vec<HostPattern>,
    base_url: Option<Url>,
    named: bool,
}

impl Egress {
    /// The destinations of an instance whose manifest names the hosts. `base_url`, once it passed
    /// [`check_base_url`], replaces them.
    pub fn new(hosts: &[HostPattern], base_url: Option<&Url>) -> Egress {
        Egress {
            hosts: hosts.to_vec(),
            base_url: base_url.cloned(),
            named: base_url.is_some(),
        }
    }

    /// The destinations of an instance that lists its hosts itself: an operator named every one of them.
    pub fn of_operator(hosts: &[HostPattern], base_url: Option<&Url>) -> Egress {
        Egress {
            named: true,
            ..Egress::new(hosts, base_url)
        }
    }

    /// True when an operator named the destination, who may mean a private address by it.
    pub fn is_named_by_operator(&self) -> bool {
        self.named
    }

    /// The server an operator named, for transports that have one and no paths.
    pub(super) fn server(&self) -> Result<&Url, Refused> {
        let url = self
            .base_url
            .as_ref()
            .ok_or_else(|| Refused("the instance names no server: set its `base_url`".into()))?;
        check_base_url(url)?;
        Ok(url)
    }

    /// The URL of a request. `place` is a path, sent to the instance's base, or a whole `https` URL on one of the
    /// manifest's hosts; where `base_url` is set it takes that host's place.
    pub fn url(&self, place: &str) -> Result<Url, Refused> {
        if place.starts_with('/') {
            check_path(place)?;
            return self.at_base(place);
        }
        // The URL standard reads `\` as `/` and leaves out line breaks and tabs; whoever reads such a URL otherwise
        // reads another host.
        if place.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
            return Err(Refused(format!("`{}` is not a URL", place.escape_debug())));
        }
        let url = Url::parse(place).map_err(|_| {
            Refused(format!(
                "`{place}` is neither a path that begins with `/` nor a URL"
            ))
        })?;
        self.check(&url)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Refused("write the query as `query`, not in the URL".into()));
        }
        check_path(url.path())?;
        if self.base_url.is_some() {
            self.at_base(url.path())
        } else {
            Ok(url)
        }
    }

    fn at_base(&self, path: &str) -> Result<Url, Refused> {
        let mut url = match &self.base_url {
            Some(base) => {
                check_base_url(base)?;
                base.clone()
            }
            None => {
                let host = self.hosts.iter().find_map(HostPattern::exact).ok_or_else(|| {
                    Refused(
                        "no single host is named: give a whole URL, or set `base_url` of the instance".into(),
                    )
                })?;
                Url::parse(&format!("https://{host}/"))
                    .map_err(|_| Refused(format!("`{host}` makes no URL")))?
            }
        };
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}{path}"));
        url.set_query(None);
        url.set_fragment(None);
        Ok(url)
    }

    /// Judges a whole URL against the manifest's hosts.
    fn check(&self, url: &Url) -> Result<(), Refused> {
        let shown = url.host_str().unwrap_or("").to_owned();
        if url.scheme() != "https" {
            return Err(Refused(format!("`{shown}` would be reached without https")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused(format!("the URL for `{shown}` carries a user name")));
        }
        if url.port().is_some() {
            return Err(Refused(format!(
                "`{shown}` would be reached on another port than 443"
            )));
        }
        match url.host() {
            Some(Host::Domain(host)) if self.hosts.iter().any(|pattern| pattern.matches(host)) => Ok(()),
            Some(Host::Domain(host)) => Err(Refused(format!("`{host}` is not a host of this connector"))),
            _ => Err(Refused(format!(
                "`{shown}` is an address, not a host of this connector"
            ))),
        }
    }
}

/// Judges a path: from its `/` on, without query, fragment, `..`, empty first segment or control characters,
/// also where those are percent-encoded.
pub fn check_path(path: &str) -> Result<(), Refused> {
    let lower = path.to_ascii_lowercase();
    let wrong = !path.starts_with('/')
        || path.starts_with("//")
        || path.contains(['?', '#', '\\'])
        || path.chars().any(|c| c.is_control() || c.is_whitespace())
        || ["%2e%2e", "%00", "%0a", "%0d", "%5c"]
            .iter()
            .any(|bad| lower.contains(bad))
        || path.split('/').any(|segment| {
            let segment = segment.to_ascii_lowercase().replace("%2e", ".");
            segment == ".." || segment == "."
        });
    if wrong {
        return Err(Refused(format!(
            "`{path}` is not a plain path: pass a list of segments, and `query` for what follows `?`"
        )));
    }
    Ok(())
}

/// Judges what an operator wrote as `base_url`: TLS to anything that is not a special address, plain http to
/// loopback literals only, no user name, no query. `ldap` and `smtp` begin plain and become TLS, so they are
/// judged as TLS is.
pub fn check_base_url(url: &Url) -> Result<(), Refused> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused(
            "`base_url` carries a user name: give credentials as such".into(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Refused(
            "`base_url` has a query or a fragment: end it at the path".into(),
        ));
    }
    let address = match host_of(url) {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain(_)) => None,
        None => return Err(Refused("`base_url` names no host".into())),
    };
    match url.scheme() {
        "http" if address.is_some_and(|ip| ip.is_loopback()) => Ok(()),
        "http" => Err(Refused(
            "`base_url` is plain http, which is for `127.0.0.1` and `[::1]` only: use https".into(),
        )),
        "ldap" | "ldaps" | "smtp" | "smtps" if !matches!(url.path(), "" | "/") => Err(Refused(
            "`base_url` of a server has a path: end it at the port".into(),
        )),
        "https" | "ldap" | "ldaps" | "smtp" | "smtps" => match address {
            Some(ip) if !ip.is_loopback() && !may_be_private(ip) => {
                Err(Refused(format!("`base_url` names the special address `{ip}`")))
            }
            _ => Ok(()),
        },
        other => Err(Refused(format!("`base_url` is `{other}`: use https"))),
    }
}

/// The host of a URL, read as the URL standard reads one, also where the scheme is none of its own: so `0x7f.1`
/// is an address and not a name that a resolver takes for one.
pub(super) fn host_of(url: &Url) -> Option<Host<String>> {
    Host::parse(url.host_str()?).ok()
}

/// True where the URL names a loopback address by its number.
pub fn is_loopback(url: &Url) -> bool {
    match host_of(url) {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// True for an address of the public internet: what a manifest's host may resolve to. Special ranges are those
/// of the IANA special-purpose registries; forms that embed an IPv4 address are refused whole.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => may_be_private_v4(v4) && !v4.is_private(),
        IpAddr::V6(v6) => may_be_private_v6(v6) && !v6.is_unique_local(),
    }
}

/// True for a public or private address: what a host an operator named may resolve to. Loopback, link-local (and
/// with it cloud metadata), carrier-grade NAT, multicast, unspecified and reserved ones never.
pub fn may_be_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => may_be_private_v4(v4),
        IpAddr::V6(v6) => may_be_private_v6(v6),
    }
}

fn may_be_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = a == 0
        || ip.is_loopback()
        || ip.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || ip.is_documentation()
        || ip.is_multicast()
        || a >= 240
        // Alibaba and Oracle serve instance metadata here, outside link-local.
        || ip == Ipv4Addr::new(100, 100, 100, 200)
        || ip == Ipv4Addr::new(192, 0, 0, 192)
        // Azure's host agent.
        || ip == Ipv4Addr::new(168, 63, 129, 16);
    !special
}

fn may_be_private_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let global = first & 0xe000 == 0x2000;
    let embeds_v4 = first == 0x2002 || (first == 0x2001 && second == 0);
    let documentation = (first == 0x2001 && second == 0xdb8) || first == 0x3fff;
    // The metadata service of AWS over IPv6 lies inside the unique local range.
    let metadata = ip == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    (global && !embeds_v4 && !documentation) || (ip.is_unique_local() && !metadata)
}

/// Where names are looked up.
#[derive(Clone, Debug, Default)]
pub(super) enum Names {
    /// By the machine.
    #[default]
    Machine,
    /// As a test says, answer by answer.
    #[cfg(test)]
    Told(tests::Told),
}

impl Names {
    async fn look_up(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        match self {
            Names::Machine => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
            #[cfg(test)]
            Names::Told(told) => Ok(told.next(port)),
        }
    }
}

/// The resolver of the client: the machine's own, with addresses filtered. One refused address refuses the name,
/// because an answer that mixes public and inner addresses is how rebinding looks.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    /// True where an operator named the host.
    pub(super) may_be_private: bool,
    /// Where names are looked up.
    pub(super) names: Names,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let may = self.may_be_private;
        let names = self.names.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = names.look_up(&host, 0).await?;
            let allowed = filter(&host, found, may)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

fn filter(host: &str, found: Vec<SocketAddr>, private_too: bool) -> Result<Vec<SocketAddr>, Refused> {
    let refused = found.iter().find(|address| {
        let ip = address.ip();
        !(is_public(ip) || private_too && may_be_private(ip))
    });
    match refused {
        Some(address) => Err(Refused(format!(
            "`{host}` resolves to `{}`, where requests may not go",
            address.ip()
        ))),
        None => Ok(found),
    }
}

/// The addresses of a server an operator named, judged: a literal as [`check_base_url`] let it through, a name by
/// what it resolves to. Whoever connects, connects to one of these and does not look the name up again.
pub(super) async fn addresses(names: &Names, url: &Url, port: u16) -> Result<Vec<SocketAddr>, NoAddress> {
    match host_of(url) {
        Some(Host::Ipv4(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Ipv6(ip)) => Ok(vec![(ip, port).into()]),
        Some(Host::Domain(host)) => {
            let found = names.look_up(&host, port).await.map_err(|_| NoAddress::Unknown)?;
            if found.is_empty() {
                return Err(NoAddress::Unknown);
            }
            filter(&host, found, true).map_err(NoAddress::Refused)
        }
        None => Err(NoAddress::Unknown),
    }
}

/// Why a server has no address to connect to.
#[derive(Debug)]
pub(super) enum NoAddress {
    /// The name does not resolve.
    Unknown,
    /// It resolves to where nothing may go.
    Refused(Refused),
}

#[cfg(test)]
#[path = "egress_tests.rs"]
pub(super) mod tests;
