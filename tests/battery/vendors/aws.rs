//! AWS IAM and Secrets Manager as the range stands in for them: signatures are checked, throttling is a 400 without a
//! word on how long, and a session that ended is a refusal of its own. Changes go through an assumed role, whose next
//! session is fetched; reading goes by keys of our own, which nothing renews.

use async_trait::async_trait;
use cordon::connector::Instance;
use cordon::range::{
    AccessKey, AwsConfig, Fault, FaultKind, Identity, IdentityKind, LateAnswer, Range, RangeConfig,
    RunningRange, StoredSecret,
};
use serde_json::{Value, json};

use crate::counterparty::{Counterparty, LATE_MS, Trouble};
use crate::double::instance;
use crate::row::{Lost, Open, Row, Token, Twice, entity};

const CHANGES: [&str; 7] = [
    "UpdateAccessKey",
    "DeleteAccessKey",
    "PutUserPolicy",
    "DeleteUserPolicy",
    "PutRolePolicy",
    "DeleteRolePolicy",
    "RotateSecret",
];
const USERS: [&str; 2] = ["svc-build", "svc-denied"];

struct Aws {
    range: RunningRange,
    connector: &'static str,
    /// What the vendor calls the request that the trouble befalls.
    asks: &'static str,
    /// Whether a role is assumed first.
    assumes: bool,
}

async fn open(connector: &'static str, asks: &'static str, assumes: bool) -> Box<dyn Counterparty> {
    let mut denied = Identity::user("svc-denied");
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}"#;
    denied.policies.insert("CordonDeny".to_owned(), policy.to_owned());
    let config = RangeConfig {
        aws: AwsConfig {
            identities: vec![
                Identity::user("svc-build"),
                denied,
                Identity::user("twin"),
                Identity::role("twin"),
                Identity::role("cordon-responder"),
            ],
            keys: vec![
                AccessKey::new("AKIABUILD00000000001", "svc-build"),
                AccessKey::new("AKIABUILD00000000002", "svc-build").inactive(),
            ],
            secrets: vec![StoredSecret::new("db-password")],
            ..AwsConfig::default()
        },
        log_reads: true,
        ..RangeConfig::default()
    };
    let range = Range::start(config).await.unwrap();
    Box::new(Aws {
        range,
        connector,
        asks,
        assumes,
    })
}

#[async_trait]
impl Counterparty for Aws {
    fn instance(&self) -> Instance {
        let credentials = [
            ("access_key_id", "AKIARANGE00000CORDON"),
            ("secret_access_key", "range-aws-secret"),
        ];
        let mut instance = instance(self.connector, &self.range.base_url(), &credentials);
        let mut set = |name: &str, value| instance.settings.insert(name.to_owned(), json!(value));
        set("region", "us-east-1");
        if self.assumes {
            set("role_arn", "arn:aws:iam::111122223333:role/cordon-responder");
        }
        instance
    }

    fn trouble(&self, trouble: Trouble) {
        let kind = match trouble {
            Trouble::LoseAnswer => FaultKind::LoseAnswer,
            Trouble::TooMany => FaultKind::TooMany { retry_after_s: 1 },
            Trouble::Late => FaultKind::Late {
                ms: LATE_MS,
                answer: LateAnswer::Cut,
            },
            Trouble::EndToken => FaultKind::ExpireToken,
        };
        self.range.fault(Fault::on_action(self.asks, kind)).unwrap();
    }

    fn changes(&self) -> usize {
        let ledger = self.range.ledger();
        CHANGES.iter().map(|action| ledger.applied_anywhere(action)).sum()
    }

    fn requests(&self) -> usize {
        let ledger = self.range.ledger();
        ledger
            .lines()
            .iter()
            .filter(|line| line.vendor == "aws" && line.request > 0)
            .count()
    }

    fn told_apart(&self) -> Option<usize> {
        let secrets = self.range.secrets();
        let rotations = secrets.iter().map(|secret| secret.rotations.len());
        (self.connector == "secretsmanager").then(|| rotations.sum())
    }

    fn state(&self) -> Value {
        let keys: Vec<Value> = self
            .range
            .keys()
            .iter()
            .map(|key| json!([key.id, key.status.as_str()]))
            .collect();
        let policies: Vec<Value> = USERS
            .iter()
            .map(|name| {
                let identity = self.range.identity(IdentityKind::User, name).unwrap();
                json!([name, identity.policies.keys().collect::<Vec<_>>()])
            })
            .collect();
        let rotations: Vec<usize> = self
            .range
            .secrets()
            .iter()
            .map(|secret| secret.rotations.len())
            .collect();
        json!({ "keys": keys, "policies": policies, "rotations": rotations })
    }
}

const UPDATES: Open = || Box::pin(open("aws", "UpdateAccessKey", true));
const DELETES: Open = || Box::pin(open("aws", "DeleteAccessKey", true));
const PUTS: Open = || Box::pin(open("aws", "PutUserPolicy", true));
const TAKES_AWAY: Open = || Box::pin(open("aws", "DeleteUserPolicy", true));
const LISTS: Open = || Box::pin(open("aws", "ListAccessKeys", false));
const READS: Open = || Box::pin(open("aws", "GetUser", false));
const ROTATES: Open = || Box::pin(open("secretsmanager", "RotateSecret", true));

pub fn rows() -> Vec<Row> {
    let on_key = |action, open, id| {
        Row::new(action, open, entity("access_key", id))
            .unknown(entity("access_key", "AKIANOBODY0000000001"))
            .token(Token::Renewed)
    };
    let on_user = |action, open, name| {
        Row::new(action, open, entity("service_account", name))
            .unknown(entity("user", "svc-nobody"))
            .ambiguous(entity("user", "twin"))
    };
    vec![
        on_key("aws::deactivate_key", UPDATES, "AKIABUILD00000000001"),
        on_key("aws::reactivate_key", UPDATES, "AKIABUILD00000000002"),
        on_key("aws::delete_key", DELETES, "AKIABUILD00000000001").twice(Twice::Gone),
        on_user("aws::deny", PUTS, "svc-build").token(Token::Renewed),
        on_user("aws::undeny", TAKES_AWAY, "svc-denied").token(Token::Renewed),
        on_user("aws::list_keys", LISTS, "svc-build"),
        on_user("aws::lookup", READS, "svc-build"),
        // The same token again is the same rotation; another doing has another token.
        Row::new(
            "secretsmanager::rotate",
            ROTATES,
            entity("resource", "db-password"),
        )
        .unknown(entity("resource", "nobodys-password"))
        .twice(Twice::Again)
        .lost(Lost::Repeated)
        .token(Token::Renewed),
    ]
}
