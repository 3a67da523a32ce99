//! Where aws-vault keeps a profile's key in the Secret Service; read only.
//!
//! Source: 99designs/aws-vault (`credentialkeyring.go`) and 99designs/keyring (`libsecret.go`): the collection
//! `awsvault`, an item whose label is the profile, in it JSON whose `Data` is JSON again, in base64.

use std::time::Duration;

use data_encoding::BASE64;
use secrecy::SecretString;
use serde::Deserialize;
use zbus::blocking::{Connection, connection};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zeroize::Zeroizing;

use super::{VaultError, keychain};

/// A call takes milliseconds, and a silent bus hangs for ever.
const ANSWER: Duration = Duration::from_secs(5);

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
const COLLECTION: &str = "awsvault";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    data: String,
}

/// What aws-vault keeps; the names are the AWS SDK for Go's.
#[derive(Deserialize)]
struct Kept {
    #[serde(rename = "AccessKeyID")]
    id: String,
    #[serde(rename = "SecretAccessKey")]
    secret: String,
}

/// The access key id and the secret that aws-vault keeps for a profile; `None` if it keeps none there. Blocks 5 s at
/// the longest. The secret crosses the session's own bus unencrypted, as `secret-tool` lets it.
pub fn read(profile: &str) -> Result<Option<(String, SecretString)>, VaultError> {
    let profile = profile.to_owned();
    keychain::within(ANSWER, move || {
        let unreachable = |error: zbus::Error| VaultError::NoKeychain(error.to_string());
        let bus = connection::Builder::session().map_err(unreachable)?.method_timeout(ANSWER);
        let bus = bus.build().map_err(unreachable)?;
        let Some(bytes) = secret(&bus, &profile).map_err(unreachable)?? else { return Ok(None) };
        let damaged = || VaultError::Damaged {
            place: format!("aws-vault's item {profile:?}"),
            reason: "it is not in the form that aws-vault writes".into(),
        };
        let item: Item = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
        let data = Zeroizing::new(item.data);
        let inner = Zeroizing::new(BASE64.decode(data.as_bytes()).map_err(|_| damaged())?);
        let kept: Kept = serde_json::from_slice(&inner).map_err(|_| damaged())?;
        Ok(Some((kept.id, kept.secret.into())))
    })
}

type Found = Result<Option<Zeroizing<Vec<u8>>>, VaultError>;

fn secret(bus: &Connection, profile: &str) -> Result<Found, zbus::Error> {
    let all: Vec<OwnedObjectPath> = property(bus, ROOT, "org.freedesktop.Secret.Service", "Collections")?;
    for collection in all {
        let of = "org.freedesktop.Secret.Collection";
        let label: String = property(bus, collection.as_str(), of, "Label")?;
        if label != COLLECTION {
            continue;
        }
        if property(bus, collection.as_str(), of, "Locked")? {
            let told = "aws-vault's collection \"awsvault\"; unlock it in the desktop's password program";
            return Ok(Err(VaultError::Locked(told.into())));
        }
        let items: Vec<OwnedObjectPath> = property(bus, collection.as_str(), of, "Items")?;
        for item in items {
            let of = "org.freedesktop.Secret.Item";
            let label: String = property(bus, item.as_str(), of, "Label")?;
            if label == profile {
                let session = open(bus)?;
                let answer =
                    bus.call_method(Some(SERVICE), item.as_str(), Some(of), "GetSecret", &(session,))?;
                let body = answer.body();
                let parts: (OwnedObjectPath, Vec<u8>, Vec<u8>, String) = body.deserialize()?;
                return Ok(Ok(Some(Zeroizing::new(parts.2))));
            }
        }
    }
    Ok(Ok(None))
}

fn open(bus: &Connection) -> Result<OwnedObjectPath, zbus::Error> {
    let of = "org.freedesktop.Secret.Service";
    let answer =
        bus.call_method(Some(SERVICE), ROOT, Some(of), "OpenSession", &("plain", Value::from("")))?;
    let (_, session): (OwnedValue, OwnedObjectPath) = answer.body().deserialize()?;
    Ok(session)
}

fn property<T>(bus: &Connection, path: &str, of: &str, name: &str) -> Result<T, zbus::Error>
where
    T: TryFrom<OwnedValue>,
    T::Error: Into<zbus::zvariant::Error>,
{
    let properties = "org.freedesktop.DBus.Properties";
    let answer = bus.call_method(Some(SERVICE), path, Some(properties), "Get", &(of, name))?;
    let value: OwnedValue = answer.body().deserialize()?;
    T::try_from(value).map_err(|error| zbus::Error::Variant(error.into()))
}
