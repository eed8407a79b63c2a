//! Credentials that are attached as they are: a bearer token, a header of the vendor's own, HTTP Basic.

use base64::Engine as _;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName};

use super::super::auth_spec::AuthSpec;
use super::super::bind::Instance;
use super::super::client::secret_header;
use crate::action::Fault;
use crate::secret::Secret;

/// Attaches an instance's credentials. `bearer` is the token that was issued, for OAuth 2.
pub(in super::super) fn attach(
    headers: &mut HeaderMap,
    auth: &AuthSpec,
    instance: &Instance,
    bearer: Option<&Secret>,
) -> Result<(), Fault> {
    let (name, value) = match auth {
        // These sign the finished request instead.
        AuthSpec::None | AuthSpec::Sigv4 { .. } | AuthSpec::StandardWebhooks => return Ok(()),
        AuthSpec::BearerIfGiven if !instance.credentials.contains_key("token") => return Ok(()),
        AuthSpec::Bearer | AuthSpec::BearerIfGiven => (
            AUTHORIZATION,
            Secret::new(format!("Bearer {}", credential(instance, "token")?.expose())),
        ),
        AuthSpec::Header { name, prefix } => (
            name.parse::<HeaderName>()
                .map_err(|_| Fault::new("credentials", format!("`{name}` is not a header's name")))?,
            Secret::new(format!("{prefix}{}", credential(instance, "token")?.expose())),
        ),
        AuthSpec::Basic => {
            let user = credential(instance, "username")?;
            let word = credential(instance, "password")?;
            let plain = Secret::new(format!("{}:{}", user.expose(), word.expose()));
            let encoded = base64::engine::general_purpose::STANDARD.encode(plain.expose());
            (AUTHORIZATION, Secret::new(format!("Basic {encoded}")))
        }
        AuthSpec::Oauth2 { .. } => match bearer {
            Some(token) => (AUTHORIZATION, Secret::new(format!("Bearer {}", token.expose()))),
            None => {
                return Err(Fault::new(
                    "credentials",
                    format!("`{}` has no token", instance.name),
                ));
            }
        },
    };
    let value = secret_header(value.expose()).ok_or_else(|| {
        Fault::new(
            "credentials",
            format!(
                "a credential of `{}` holds characters a header cannot carry",
                instance.name
            ),
        )
    })?;
    headers.insert(name, value);
    Ok(())
}

/// A credential of an instance, which has to be there.
pub(in super::super) fn credential<'a>(instance: &'a Instance, name: &str) -> Result<&'a Secret, Fault> {
    instance
        .credentials
        .get(name)
        .filter(|secret| !secret.is_blank())
        .ok_or_else(|| {
            Fault::new(
                "credentials",
                format!(
                    "`{}` has no credential `{name}`: set it in its configuration",
                    instance.name
                ),
            )
        })
}
