//! One GET of a document that no instance of a connector stands for, such as the certificate a sender signs with.
//! Goes through the client of all connectors and so by the same rules: https to public addresses, no redirect, no
//! proxy, a bound on what is read. Whoever calls has judged the host; nothing here knows which one is right.

use reqwest::Method;
use reqwest::header::HeaderMap;
use url::{Host, Url};

use super::client::{Client, NoClient, Outgoing, Unanswered};
use super::egress::{Names, check_base_url};
use crate::limits::{FETCH_BYTES_MAX, FETCH_MS};

/// Fetches documents.
pub struct Fetcher {
    client: Client,
}

/// Why there is no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// It may be there another time.
    #[error("{0}")]
    Later(String),
    /// Asking again would bring the same.
    #[error("{0}")]
    Never(String),
}

impl Fetcher {
    /// A fetcher with a client of its own.
    ///
    /// # Errors
    /// The client cannot be set up.
    pub fn new() -> Result<Fetcher, NoClient> {
        Ok(Fetcher {
            client: Client::new(Names::Machine)?,
        })
    }

    /// The document at `url`, at most [`FETCH_BYTES_MAX`] bytes of it, within [`FETCH_MS`]. `named` says that an
    /// operator wrote the host down, which may then be private, or plain http on loopback.
    ///
    /// # Errors
    /// It may not be asked for, or there is no answer, or none of success.
    pub async fn get(&self, url: &Url, named: bool) -> Result<Vec<u8>, NotFetched> {
        check(url, named)?;
        let outgoing = Outgoing {
            method: Method::GET,
            url: url.clone(),
            headers: HeaderMap::new(),
            body: None,
            timeout_ms: FETCH_MS,
            changes: false,
            named,
            ca: None,
        };
        let answer = self.client.send(outgoing, &mut Vec::new()).await;
        let incoming = answer.map_err(|unanswered| match unanswered {
            Unanswered::NotSent(broken) | Unanswered::Lost(broken) if broken.code == "egress-refused" => {
                NotFetched::Never(broken.message)
            }
            Unanswered::NotSent(broken) | Unanswered::Lost(broken) => NotFetched::Later(broken.message),
        })?;
        let status = incoming.status;
        match status {
            200..=299 => {}
            408 | 425 | 429 | 500.. => {
                return Err(NotFetched::Later(format!("it was answered with status {status}")));
            }
            _ => return Err(NotFetched::Never(format!("it was answered with status {status}"))),
        }
        let body = incoming
            .body
            .map_err(|broken| NotFetched::Later(broken.message))?;
        if body.len() > FETCH_BYTES_MAX {
            return Err(NotFetched::Never(format!(
                "it is longer than {FETCH_BYTES_MAX} bytes"
            )));
        }
        Ok(body)
    }
}

fn check(url: &Url, named: bool) -> Result<(), NotFetched> {
    let refuse = |why: &str| Err(NotFetched::Never(why.to_owned()));
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("its address carries a user name");
    }
    if named {
        let mut base = url.clone();
        base.set_query(None);
        base.set_fragment(None);
        return check_base_url(&base).map_err(|refused| NotFetched::Never(refused.0));
    }
    match url.host() {
        Some(Host::Domain(_)) if url.scheme() == "https" && url.port().is_none() => Ok(()),
        _ => refuse("only https to a named host is asked, on its usual port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_named_host_may_be_an_address_or_without_tls() {
        let fetcher = Fetcher::new().unwrap();
        for (url, named) in [
            ("http://127.0.0.1:9/x", false),
            ("https://127.0.0.1:9/x", false),
            ("https://sns.eu-west-1.amazonaws.com:8443/x", false),
            ("https://user@sns.eu-west-1.amazonaws.com/x", false),
            ("https://169.254.169.254/x", true),
            ("http://10.0.0.1/x", true),
        ] {
            let answer = fetcher.get(&Url::parse(url).unwrap(), named).await;
            assert!(matches!(answer, Err(NotFetched::Never(_))), "{url}: {answer:?}");
        }
        let closed = Url::parse("http://127.0.0.1:9/x").unwrap();
        assert!(matches!(
            fetcher.get(&closed, true).await,
            Err(NotFetched::Later(_))
        ));
    }
}
