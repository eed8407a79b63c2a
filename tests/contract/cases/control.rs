//! Cases of the instance's own records.

use super::fixture::*;
use cordon::clock::Time;
use cordon::digest::Digest;
use cordon::guardrail::Halt;
use cordon::secret::Handle;
use cordon::store::{Principal, Switches};

pub async fn the_halt_switch_stays_until_resumed(store: Any) {
    assert_eq!(store.switches().await, Ok(Switches::default()));
    let halt = Halt {
        by: "ana".into(),
        at: Time(5),
        reason: "a drill".into(),
    };
    for _ in 0..2 {
        store.set_halt(Some(halt.clone())).await.unwrap();
        assert_eq!(store.switches().await.unwrap().halt, Some(halt.clone()));
    }
    store.set_halt(None).await.unwrap();
    assert_eq!(store.switches().await, Ok(Switches::default()));
}

pub async fn principals_are_replaced_by_name(store: Any) {
    let principal = |name: &str, token: &[u8]| Principal {
        name: name.into(),
        token: Digest::of(token),
        created_at: Time(1),
        created_by: "root".into(),
    };
    assert_eq!(store.principals().await, Ok(vec![]));
    for (name, token) in [("zoe", b"1"), ("ana", b"2"), ("zoe", b"3")] {
        store.put_principal(principal(name, token)).await.unwrap();
    }
    assert_eq!(
        store.principals().await,
        Ok(vec![principal("ana", b"2"), principal("zoe", b"3")])
    );
}

pub async fn bundles_are_kept_once_by_digest(store: Any) {
    let digest = Digest::of(b"bundle");
    assert_eq!(store.bundle(digest).await, Ok(None));
    for _ in 0..2 {
        store.put_bundle(digest, b"bundle".to_vec()).await.unwrap();
    }
    assert_eq!(store.bundle(digest).await, Ok(Some(b"bundle".to_vec())));
    assert_eq!(store.bundle(Digest::ZERO).await, Ok(None));
}

pub async fn secrets_are_replaced_by_handle(store: Any) {
    let handle = Handle("run/step/token".into());
    assert_eq!(store.secret(&handle).await, Ok(None));
    for sealed in [b"one".to_vec(), b"two".to_vec()] {
        store.put_secret(&handle, sealed.clone()).await.unwrap();
        assert_eq!(store.secret(&handle).await, Ok(Some(sealed)));
    }
    assert_eq!(store.secret(&Handle("other".into())).await, Ok(None));
}
