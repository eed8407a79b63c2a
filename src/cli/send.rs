//! `cordon send`: posts a file as a source would, signed or authenticated the way its configuration says.

use std::path::PathBuf;

use clap::Args;
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::content::{self, Place};
use super::failure::{Done, Exit, Failure};
use super::{client, findings, output, progress};
use crate::clock::{Clock, SystemClock};
use crate::digest::Digest;
use crate::intake::{Auth, Encoding, Hash, HmacScheme, Keying};
use crate::secret::Secret;

/// Most times one file is sent by one command.
const TIMES_MAX: u32 = 100_000;

/// Arguments.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  cordon send example finding.json
  cordon send example finding.json --times 3        # three deliveries of three alerts
  cordon send example finding.json --id evt-1 --times 3   # one alert, delivered three times
  cordon send example finding.json --secret file:secrets/example-webhook

Prints the id of each alert. The source's authentication is taken from the configuration; `--secret` signs as
Standard Webhooks say instead, with a secret at env:VARIABLE or file:PATH.")]
pub struct Send {
    /// The source, as in /hooks/SOURCE
    source: String,
    /// File with the body
    file: PathBuf,
    /// Address of the server
    #[arg(
        long,
        env = "CORDON_URL",
        default_value = "http://127.0.0.1:8765",
        value_name = "URL"
    )]
    url: String,
    /// Where the secret to sign with is, instead of what the configuration says
    #[arg(long, value_name = "PLACE")]
    secret: Option<String>,
    /// Delivery id; a new one for each delivery where none is given
    #[arg(long)]
    id: Option<String>,
    /// A header to send with it, such as 'X-GitHub-Event: ping'; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// How often to send it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(TIMES_MAX)))]
    times: u32,
    /// Print the server's answers as JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// The server refused the delivery or cannot be reached.
pub async fn run(args: Send) -> Done {
    let body = content::file(&args.file)?;
    let auth = auth(&args)?;
    let http = client::http()?;
    let base = client::base(&args.url)?;
    for _ in 0..args.times {
        let id = match &args.id {
            Some(id) => id.clone(),
            None => new_id()?,
        };
        let mut request = http
            .post(format!("{base}/hooks/{}", args.source))
            .header("content-type", "application/json");
        let further = findings::headers(&args.headers)?;
        for (name, value) in headers(&auth, &id, &body)?.into_iter().chain(further) {
            request = request.header(name, value);
        }
        let work = async {
            let response = request.body(body.clone()).send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        };
        let answer = progress::during(&base, work).await;
        let (status, bytes) = answer.map_err(|error| client::unreachable(&base, &error))?;
        if !status.is_success() {
            return Err(refused(&args.source, status.as_u16(), &bytes));
        }
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        match answer.get("alert").and_then(Value::as_str) {
            Some(id) if !args.json => output::data(id)?,
            _ => output::data(&answer.to_string())?,
        }
    }
    Ok(())
}

fn auth(args: &Send) -> Result<Auth, Failure> {
    if let Some(place) = &args.secret {
        let reference = crate::config::SecretRef::parse(place, std::path::Path::new("")).ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                "`--secret` names no place of a secret",
                "write `env:VARIABLE` or `file:PATH`; a secret on the command line can be read by every process",
            )
        })?;
        let secret = reference
            .read(&crate::config::Machine { run_commands: true })
            .map_err(|why| Failure::new(Exit::Usage, why, ""))?;
        return Ok(Auth::StandardWebhooks {
            secrets: vec![secret],
        });
    }
    let config = args.place.config()?;
    let catalog = content::connectors(&config)?;
    findings::auth_of(&config, &catalog, &args.source)
}

fn new_id() -> Result<String, Failure> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("no randomness for a delivery id: {error}"),
            "",
        )
    })?;
    Ok(format!("msg_{}", data_encoding::HEXLOWER.encode(&bytes)))
}

/// The headers by which a delivery proves itself: always with the current secret, which comes first.
fn headers(auth: &Auth, id: &str, body: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let cannot = |why: &str| Failure::new(Exit::Usage, format!("cannot send as this source: {why}"), "");
    let first = |secrets: &[Secret]| secrets.first().cloned().ok_or_else(|| cannot("it has no secret"));
    let fixed =
        |name: &str, value: String| vec![(name.to_owned(), value), ("webhook-id".to_owned(), id.to_owned())];
    match auth {
        Auth::StandardWebhooks { secrets } => {
            let secret = first(secrets)?;
            let text = secret.expose().trim();
            let key = BASE64
                .decode(text.strip_prefix("whsec_").unwrap_or(text).as_bytes())
                .map_err(|_| cannot("its first secret cannot sign; `whpk_` is a public key"))?;
            let stamp = (SystemClock.now().0 / 1_000).to_string();
            let signed = [id.as_bytes(), b".", stamp.as_bytes(), b".", body].concat();
            let Digest(mac) = Digest::keyed(&key, &signed);
            Ok(vec![
                ("webhook-id".to_owned(), id.to_owned()),
                ("webhook-timestamp".to_owned(), stamp),
                (
                    "webhook-signature".to_owned(),
                    format!("v1,{}", BASE64.encode(&mac)),
                ),
            ])
        }
        Auth::Header { header, secrets } => Ok(fixed(header, first(secrets)?.expose().to_owned())),
        Auth::Bearer { secrets } => Ok(fixed(
            "authorization",
            format!("Bearer {}", first(secrets)?.expose()),
        )),
        Auth::Basic { user, secrets } => {
            let pair = BASE64.encode(format!("{user}:{}", first(secrets)?.expose()).as_bytes());
            Ok(fixed("authorization", format!("Basic {pair}")))
        }
        Auth::None { .. } => Ok(vec![("webhook-id".to_owned(), id.to_owned())]),
        Auth::Hmac(scheme) => signed(scheme, id, body)
            .ok_or_else(|| cannot("only HMACs with SHA-256 over the body alone are signed here")),
        Auth::Sns(_) => Err(cannot("only Amazon can sign as SNS does")),
    }
}

/// The headers of a sender that signs its body alone, as GitHub does.
fn signed(scheme: &HmacScheme, id: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let plain = scheme.hash == Hash::Sha256
        && scheme.key == Keying::Raw
        && scheme.signed == "{body}"
        && scheme.timestamp.is_none();
    let secret = scheme.secrets.first().filter(|_| plain)?;
    let Digest(mac) = Digest::keyed(secret.expose().as_bytes(), body);
    let signature = match scheme.encoding {
        Encoding::Hex => data_encoding::HEXLOWER.encode(&mac),
        Encoding::Base64 => BASE64.encode(&mac),
    };
    Some(vec![
        (scheme.header.clone(), format!("{}{signature}", scheme.prefix)),
        ("webhook-id".to_owned(), id.to_owned()),
    ])
}

fn refused(source: &str, status: u16, body: &[u8]) -> Failure {
    let answer: Value = serde_json::from_slice(body).unwrap_or(json!({}));
    let said = answer
        .pointer("/error/message")
        .and_then(Value::as_str)
        .unwrap_or("it says no more");
    let exit = if status < 500 { Exit::Refused } else { Exit::Failed };
    let help = match status {
        401 | 403 => "the server's configuration and yours name different secrets, or the clocks differ",
        404 => "the server's configuration has no such source",
        503 => "the server is busy: send it again",
        _ => "",
    };
    Failure::new(
        exit,
        format!("the delivery to `{source}` was refused with status {status}: {said}"),
        help,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::{Headers, verify};

    #[test]
    fn what_is_sent_is_what_intake_accepts() {
        let secrets = || vec![Secret::new("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")];
        let all = [
            Auth::StandardWebhooks { secrets: secrets() },
            Auth::Header {
                header: "x-key".into(),
                secrets: secrets(),
            },
            Auth::Bearer { secrets: secrets() },
            Auth::Basic {
                user: "siem".into(),
                secrets: secrets(),
            },
            Auth::None {
                anyone_may_send: true,
            },
        ];
        for auth in all {
            let headers = Headers::of(headers(&auth, "msg_1", b"{}").unwrap());
            assert!(
                verify(&auth, &headers, b"{}", SystemClock.now()).is_ok(),
                "{auth:?}"
            );
        }
    }
}
