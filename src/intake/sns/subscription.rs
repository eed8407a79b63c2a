//! `auth = { kind = "sns", … }`: whose topics, and what else a delivery has to show.

use serde::{Deserialize, Serialize};
use url::Url;

use super::certificate::Certificate;
use super::place::Topic;
use crate::connector::check_base_url;
use crate::intake::signature::BadAuth;
use crate::secret::Secret;

/// Most topics of one source.
const TOPICS_MAX: usize = 64;
/// Most certificates pinned.
const CERTIFICATES_MAX: usize = 8;

/// The topics whose messages a source takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscription<S = Secret> {
    /// Their names: `arn:aws:sns:REGION:ACCOUNT:NAME`. No other is confirmed or believed.
    pub topics: Vec<String>,
    /// The user of the password below, where the endpoint was given to SNS as `https://USER:PASSWORD@…`.
    #[serde(default)]
    pub user: Option<String>,
    /// Passwords taken, current and previous; then every delivery has to show one, beside its signature.
    #[serde(default = "Vec::new")]
    pub secrets: Vec<S>,
    /// Take raw deliveries too, which are not signed: the password is all that speaks for them.
    #[serde(default)]
    pub raw: bool,
    /// Certificates as PEM. Where any is given, no other is believed and none is fetched.
    #[serde(default = "Vec::new")]
    pub certificates: Vec<S>,
    /// A host to ask instead of `sns.REGION.amazonaws.com`: a stand-in for tests, or an endpoint inside a network.
    #[serde(default)]
    pub endpoint: Option<String>,
}

impl<S> Subscription<S> {
    pub(in crate::intake) fn resolve<T, E>(
        self,
        mut secret: impl FnMut(S) -> Result<T, E>,
    ) -> Result<Subscription<T>, E> {
        let mut all = |secrets: Vec<S>| {
            secrets
                .into_iter()
                .map(&mut secret)
                .collect::<Result<Vec<T>, E>>()
        };
        Ok(Subscription {
            topics: self.topics,
            user: self.user,
            secrets: all(self.secrets)?,
            raw: self.raw,
            certificates: all(self.certificates)?,
            endpoint: self.endpoint,
        })
    }

    /// The topic of this name, if it is one of ours.
    pub(super) fn topic(&self, arn: &str) -> Option<Topic> {
        self.topics
            .iter()
            .any(|known| known == arn)
            .then(|| Topic::parse(arn))
            .flatten()
    }

    /// The host to ask instead, already judged.
    pub(super) fn endpoint(&self) -> Option<Url> {
        self.endpoint.as_deref().and_then(|text| Url::parse(text).ok())
    }
}

impl Subscription<Secret> {
    pub(in crate::intake) fn check(&self) -> Result<(), BadAuth> {
        let wrong = |why: String| Err(BadAuth(why));
        if self.topics.is_empty() || self.topics.len() > TOPICS_MAX {
            return wrong(format!(
                "give one to {TOPICS_MAX} `topics`, each by its whole name"
            ));
        }
        if let Some(other) = self.topics.iter().find(|arn| Topic::parse(arn).is_none()) {
            return wrong(format!(
                "`{other}` is not the name of a topic: write `arn:aws:sns:REGION:ACCOUNT:NAME`"
            ));
        }
        let user = self.user.as_deref().unwrap_or_default();
        match (user.is_empty(), self.secrets.is_empty()) {
            (true, true) if self.raw => {
                return wrong("`raw` needs `user` and `secrets`: raw deliveries are not signed".into());
            }
            (true, true) | (false, false) => {}
            _ => return wrong("`user` and `secrets` go together".into()),
        }
        if user.contains(':') {
            return wrong("`user` holds a colon".into());
        }
        if self.certificates.len() > CERTIFICATES_MAX {
            return wrong(format!("at most {CERTIFICATES_MAX} `certificates`"));
        }
        for pem in &self.certificates {
            if let Err(why) = Certificate::from_pem(pem.expose().as_bytes()) {
                return wrong(format!("one of the `certificates` cannot be used: {why}"));
            }
        }
        if let Some(text) = &self.endpoint {
            let url = Url::parse(text).map_err(|_| BadAuth(format!("`endpoint` is not a URL: `{text}`")))?;
            check_base_url(&url).map_err(|why| BadAuth(why.0.replace("base_url", "endpoint")))?;
            if url.path() != "/" {
                return wrong("`endpoint` has a path: write scheme and host alone".into());
            }
        }
        Ok(())
    }
}
