//! Where a topic lives, and which addresses in its messages are believed: those at the host that SNS has in the
//! topic's own region, and where the operator named another host, that one. Everything else is request forgery.

use url::{Host, Url};

/// A topic, by its name in AWS: `arn:aws:sns:eu-west-1:123456789012:alerts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    /// The whole name.
    pub(super) arn: String,
    region: String,
    in_china: bool,
}

impl Topic {
    /// Reads the name of a topic.
    pub(super) fn parse(arn: &str) -> Option<Topic> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts.as_slice() else {
            return None;
        };
        let word = |text: &str, more: &str| {
            !text.is_empty()
                && text.len() <= 256
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        let known = ["aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b"].contains(partition);
        let is_region = word(region, "-") && region.chars().all(|c| !c.is_ascii_uppercase());
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (known && is_region && is_account && word(name, "-_.")).then(|| Topic {
            arn: arn.to_owned(),
            region: (*region).to_owned(),
            in_china: *partition == "aws-cn",
        })
    }

    /// The host of SNS in the topic's region.
    pub(super) fn host(&self) -> String {
        let end = if self.in_china {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("sns.{}.{end}", self.region)
    }
}

/// Where the answer to a question of SNS is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The address as the message names it; what is cached goes by it.
    pub(super) named: String,
    /// Where the request goes.
    pub(super) url: Url,
    /// True when that is the operator's host.
    pub(super) by_operator: bool,
}

/// The certificate's address, if it is one: a single file at the topic's host.
pub(super) fn certificate(text: &str, topic: &Topic, endpoint: Option<&Url>) -> Result<Place, &'static str> {
    let url = believed(text, topic, endpoint)?;
    let name = url
        .path()
        .strip_prefix('/')
        .and_then(|path| path.strip_suffix(".pem"));
    let is_file = name.is_some_and(|name| {
        !name.is_empty()
            && name.len() <= 200
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    });
    if !is_file || url.query().is_some() {
        return Err("the certificate's address is not a certificate of SNS");
    }
    Ok(reached(url, endpoint))
}

/// The request that confirms a subscription. It is built anew from topic and token; of the address in the message
/// only the host counts, and has to be right.
pub(super) fn confirmation(
    text: &str,
    token: &str,
    topic: &Topic,
    endpoint: Option<&Url>,
) -> Result<Place, &'static str> {
    let named = believed(text, topic, endpoint)?;
    if named.path() != "/" {
        return Err("the address for confirming is not one of SNS");
    }
    let mut url = named;
    url.query_pairs_mut()
        .clear()
        .append_pair("Action", "ConfirmSubscription")
        .append_pair("TopicArn", &topic.arn)
        .append_pair("Token", token);
    Ok(reached(url, endpoint))
}

fn believed(text: &str, topic: &Topic, endpoint: Option<&Url>) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "an address in the message is none")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("an address in the message carries more than a place");
    }
    if endpoint.is_some_and(|endpoint| endpoint.origin() == url.origin()) {
        return Ok(url);
    }
    match url.host() {
        Some(Host::Domain(host))
            if host == topic.host() && url.scheme() == "https" && url.port().is_none() =>
        {
            Ok(url)
        }
        _ => Err("an address in the message leads to another host than that of SNS in the topic's region"),
    }
}

fn reached(url: Url, endpoint: Option<&Url>) -> Place {
    let named = url.to_string();
    match endpoint {
        None => Place {
            named,
            url,
            by_operator: false,
        },
        Some(endpoint) => {
            let mut there = endpoint.clone();
            there.set_path(url.path());
            there.set_query(url.query());
            Place {
                named,
                url: there,
                by_operator: true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sns:eu-west-1:123456789012:alerts";

    #[test]
    fn a_topic_names_its_host() {
        assert_eq!(Topic::parse(ARN).unwrap().host(), "sns.eu-west-1.amazonaws.com");
        let china = Topic::parse("arn:aws-cn:sns:cn-north-1:123456789012:alerts").unwrap();
        assert_eq!(china.host(), "sns.cn-north-1.amazonaws.com.cn");
        for wrong in [
            "",
            "alerts",
            "arn:aws:sqs:eu-west-1:123456789012:alerts",
            "arn:aws:sns:eu-west-1:1234:alerts",
            "arn:aws:sns:evil.example/:123456789012:alerts",
            "arn:aws:sns:eu-west-1:123456789012:*",
            "arn:evil:sns:eu-west-1:123456789012:alerts",
            "arn:aws:sns:eu-west-1:123456789012:alerts:more",
        ] {
            assert_eq!(Topic::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_certificate_is_a_file_at_the_topics_host_and_nowhere_else() {
        let topic = Topic::parse(ARN).unwrap();
        let good = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0a1b.pem";
        assert_eq!(certificate(good, &topic, None).unwrap().url.as_str(), good);
        for wrong in [
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-0a1b.pem",
            "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
            "https://user@sns.eu-west-1.amazonaws.com/a.pem",
            "http://sns.eu-west-1.amazonaws.com/a.pem",
            "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
            "https://sns.eu-west-1.amazonaws.com/a.pem?x=1",
            "https://sns.eu-west-1.amazonaws.com/a/b.pem",
            "https://sns.eu-west-1.amazonaws.com/..%2fa.pem",
            "https://sns.eu-west-1.amazonaws.com/.pem",
            "https://sns.eu-west-1.amazonaws.com/?Action=Publish",
            "https://169.254.169.254/a.pem",
            "file:///etc/a.pem",
            "",
        ] {
            assert!(certificate(wrong, &topic, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_request_that_confirms_is_our_own() {
        let topic = Topic::parse(ARN).unwrap();
        let named = "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic&TopicArn=arn:other&Token=t";
        let place = confirmation(named, "t&Action=x", &topic, None).unwrap();
        assert_eq!(
            place.url.as_str(),
            "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Aalerts&Token=t%26Action%3Dx"
        );
        assert!(
            confirmation(
                "https://evil.example/?Action=ConfirmSubscription",
                "t",
                &topic,
                None
            )
            .is_err()
        );
        assert!(confirmation("http://127.0.0.1:5001/", "t", &topic, None).is_err());
    }

    #[test]
    fn an_operators_host_takes_the_place_of_the_real_one() {
        let topic = Topic::parse(ARN).unwrap();
        let endpoint = Url::parse("http://127.0.0.1:5001").unwrap();
        let named = "https://sns.eu-west-1.amazonaws.com/a.pem";
        let place = certificate(named, &topic, Some(&endpoint)).unwrap();
        assert_eq!(
            (place.url.as_str(), place.by_operator),
            ("http://127.0.0.1:5001/a.pem", true)
        );
        assert!(certificate("http://127.0.0.1:5001/a.pem", &topic, Some(&endpoint)).is_ok());
        assert!(certificate("http://127.0.0.1:5002/a.pem", &topic, Some(&endpoint)).is_err());
    }
}
