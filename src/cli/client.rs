//! The way to a running server: its API over HTTP, with a token. Never opens the server's store.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::{Exit, Failure};
use super::progress;
use crate::secret::Secret;

/// Total time of one request, ms. The server answers at once; anything longer is broken.
const REQUEST_MS: u64 = 30_000;

/// Total time of an answer that is taken piece by piece, ms: six hours.
const STREAM_MS: u64 = 6 * 3_600_000;

/// How to reach the server.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server")]
pub struct Reach {
    /// Address of the server
    #[arg(
        long,
        env = "CORDON_URL",
        default_value = "http://127.0.0.1:8765",
        value_name = "URL"
    )]
    pub url: String,
    /// Token to call the API with; better given by CORDON_TOKEN or a file
    #[arg(long, env = "CORDON_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// File that holds the token
    #[arg(long, env = "CORDON_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A server's error, as it is sent.
#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    code: String,
    message: String,
    #[serde(default)]
    help: String,
}

/// A connection to one server.
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<Secret>,
}

/// An answer that comes in pieces.
pub struct Pieces<'a> {
    of: &'a Client,
    response: reqwest::Response,
}

impl Pieces<'_> {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The server ended it early.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        let piece = self.response.chunk().await.map_err(|_| {
            Failure::new(
                Exit::Failed,
                format!("`{}` ended its answer early", self.of.url),
                "see the server's log",
            )
        })?;
        Ok(piece.map(|bytes| bytes.to_vec()))
    }
}

impl Reach {
    /// A client for this server.
    ///
    /// # Errors
    /// The address or the token file makes no sense.
    pub fn client(&self) -> Result<Client, Failure> {
        // A variable that is set and blank says nothing, and hides no file.
        let given = self.token.as_deref().filter(|token| !token.trim().is_empty());
        let token = match (given, &self.token_file) {
            (Some(token), _) => Some(Secret::new(token.trim())),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    Failure::new(
                        Exit::Usage,
                        format!("cannot read the token file `{}`: {error}", file.display()),
                        "`cordon token create NAME` makes a token",
                    )
                })?;
                Some(Secret::new(text.trim()))
            }
            (None, None) => None,
        };
        Ok(Client {
            http: http()?,
            url: base(&self.url)?,
            token: token.filter(|token| !token.is_blank()),
        })
    }
}

/// The address without its last slash, checked.
pub(super) fn base(url: &str) -> Result<String, Failure> {
    match url::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("`{url}` is not the address of a server"),
            "write scheme, host and port, such as `http://127.0.0.1:8765`",
        )),
    }
}

/// An HTTP client that follows nothing and uses no proxy: a token goes where it was sent and nowhere else.
pub(super) fn http() -> Result<reqwest::Client, Failure> {
    // Installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("cordon/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_millis(REQUEST_MS))
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot make requests: {error}"), ""))
}

/// Why nothing answered.
pub(super) fn unreachable(url: &str, error: &reqwest::Error) -> Failure {
    let why = if error.is_timeout() {
        "does not answer"
    } else {
        "cannot be reached"
    };
    Failure::new(
        Exit::Unreachable,
        format!("`{url}` {why}"),
        format!("is `cordon serve` running at {url}?"),
    )
}

impl Client {
    /// `GET path` with a query; members without a value are left out.
    ///
    /// # Errors
    /// Unreachable, refused, or an answer that makes no sense.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, Option<String>)],
    ) -> Result<T, Failure> {
        let query: Vec<(&str, &str)> = query
            .iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| (*name, value)))
            .collect();
        let request = self
            .http
            .request(Method::GET, format!("{}{path}", self.url))
            .query(&query);
        self.send(request).await
    }

    /// `POST path` with a body.
    ///
    /// # Errors
    /// As [`Client::get`]. Unreachable does not mean that nothing happened.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let request = self
            .http
            .request(Method::POST, format!("{}{path}", self.url))
            .json(body);
        self.send(request).await
    }

    /// `POST path`, with an answer that is taken piece by piece, however long it goes on.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn stream(&self, path: &str) -> Result<Pieces<'_>, Failure> {
        let request = self
            .http
            .request(Method::POST, format!("{}{path}", self.url))
            .timeout(Duration::from_millis(STREAM_MS));
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let response = request
            .send()
            .await
            .map_err(|error| unreachable(&self.url, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Pieces { of: self, response });
        }
        let body = response.bytes().await;
        let body = body.map_err(|error| unreachable(&self.url, &error))?;
        Err(self.refused(status, &body))
    }

    async fn send<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, Failure> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        };
        let work = async {
            let response = request
                .send()
                .await
                .map_err(|error| unreachable(&self.url, &error))?;
            let status = response.status();
            let body = response
                .bytes()
                .await
                .map_err(|error| unreachable(&self.url, &error))?;
            Ok::<_, Failure>((status, body))
        };
        let (status, body) = progress::during(&self.url, work).await?;
        if !status.is_success() {
            return Err(self.refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the answer of `{}` makes no sense: {error}", self.url),
                "server and command line may be of different versions: compare `cordon --version`",
            )
        })
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> Failure {
        let said = serde_json::from_slice::<Refusal>(body)
            .ok()
            .map(|refusal| refusal.error);
        if status == StatusCode::UNAUTHORIZED {
            let message = if self.token.is_some() {
                "the server does not know this token"
            } else {
                "the server wants a token"
            };
            let help = "make one with `cordon token create NAME` on the server's machine, and give it as CORDON_TOKEN";
            return Failure::new(Exit::Refused, message, help);
        }
        let exit = if status.is_client_error() {
            Exit::Refused
        } else {
            Exit::Failed
        };
        match said {
            Some(said) => Failure::new(exit, format!("{} ({})", said.message, said.code), said.help),
            None => Failure::new(
                exit,
                format!("`{}` answers with status {}", self.url, status.as_u16()),
                "",
            ),
        }
    }
}
