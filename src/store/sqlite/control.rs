//! The instance's own records, as rows.

use async_trait::async_trait;
use rusqlite::params;

use super::SqliteStore;
use super::job::Weight;
use super::row::{Ask as _, json, to_json};
use crate::digest::Digest;
use crate::guardrail::Halt;
use crate::secret::Handle;
use crate::store::control::{Control, Principal, Switches};
use crate::store::error::Result;

#[async_trait]
impl Control for SqliteStore {
    async fn switches(&self) -> Result<Switches> {
        let switches = self.read(|connection| {
            connection.one("SELECT value FROM instance WHERE name = 'switches'", [], |row| {
                json(row, "value")
            })
        });
        Ok(switches.await?.unwrap_or_default())
    }

    async fn set_halt(&self, halt: Option<Halt>) -> Result<()> {
        self.write(Weight::Light, move |connection| {
            connection.run(
                "INSERT INTO instance (name, value) VALUES ('switches', ?1)
                 ON CONFLICT DO UPDATE SET value = excluded.value",
                [to_json(&Switches { halt })?],
            )?;
            Ok(())
        })
        .await
    }

    async fn put_principal(&self, principal: Principal) -> Result<()> {
        self.write(Weight::Light, move |connection| {
            connection.run(
                "INSERT OR REPLACE INTO principals (name, token, created_at, created_by) VALUES (?1, ?2, ?3, ?4)",
                params![principal.name, principal.token, principal.created_at, principal.created_by],
            )?;
            Ok(())
        })
        .await
    }

    async fn principals(&self) -> Result<Vec<Principal>> {
        self.read(|connection| {
            connection.all(
                "SELECT name, token, created_at, created_by FROM principals ORDER BY name",
                [],
                |row| {
                    Ok(Principal {
                        name: row.get("name")?,
                        token: row.get("token")?,
                        created_at: row.get("created_at")?,
                        created_by: row.get("created_by")?,
                    })
                },
            )
        })
        .await
    }

    async fn put_bundle(&self, digest: Digest, bytes: Vec<u8>) -> Result<()> {
        self.write(Weight::Light, move |connection| {
            connection.run(
                "INSERT INTO bundles (digest, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                params![digest, bytes],
            )?;
            Ok(())
        })
        .await
    }

    async fn bundle(&self, digest: Digest) -> Result<Option<Vec<u8>>> {
        self.read(move |connection| {
            connection.one("SELECT bytes FROM bundles WHERE digest = ?1", [digest], |row| {
                row.get(0)
            })
        })
        .await
    }

    async fn put_secret(&self, handle: &Handle, sealed: Vec<u8>) -> Result<()> {
        let handle = handle.0.clone();
        self.write(Weight::Light, move |connection| {
            connection.run(
                "INSERT OR REPLACE INTO secrets (handle, sealed) VALUES (?1, ?2)",
                params![handle, sealed],
            )?;
            Ok(())
        })
        .await
    }

    async fn secret(&self, handle: &Handle) -> Result<Option<Vec<u8>>> {
        let handle = handle.0.clone();
        self.read(move |connection| {
            connection.one("SELECT sealed FROM secrets WHERE handle = ?1", [handle], |row| {
                row.get(0)
            })
        })
        .await
    }
}
