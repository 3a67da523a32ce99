//! Keys that stand in plain text come into the vault: from AWS's own files and from the console's CSV.

use std::time::Duration;

use onetap_support::aws::{Aws, User, World};
use onetap_support::home::{Home, python_tool, said};
use onetap_support::pty::Start;
use onetap_support::secret_service::{Collection, SecretService};

const BINARY: &str = env!("CARGO_BIN_EXE_onetap");
const LIMIT: Duration = Duration::from_secs(60);

fn doug() -> (User, Aws, Home) {
    let doug = User::doug();
    let aws = Aws::start(World::of(doug.clone()));
    let mut home = Home::new(BINARY);
    home.set("AWS_ENDPOINT_URL", aws.endpoint());
    (doug, aws, home)
}

fn add<'a>(doug: &'a User, more: &[&'a str]) -> Vec<&'a str> {
    [&["add", "doug", "--region", "eu-west-1", "--mfa-serial", &doug.devices[0].serial], more].concat()
}

/// A credentials file with lines of other people's in it; the key's own two lines.
fn credentials(doug: &User) -> (String, String) {
    let own = format!(
        "aws_access_key_id = {}\r\naws_secret_access_key = {} \r\n",
        doug.access_key_id, doug.secret_access_key
    );
    let before =
        "# mine\r\n[other]\r\naws_access_key_id = AKIAOTHEROTHEROTHER1\r\naws_secret_access_key=x\r\n\r\n";
    let text = format!("{before}[doug] ; work\r\n{own}# keep me\r\nregion = eu-west-2\r\n");
    let after = text.replace(&own, "");
    (text, after)
}

#[test]
fn an_imported_key_is_proven_stored_and_proven_again_before_its_plain_text_goes() {
    let (doug, aws, home) = doug();
    let (text, after) = credentials(&doug);
    home.private(".aws/credentials", &text);
    let config = format!(
        "[profile doug]\nAWS_Access_Key_Id={}\naws_secret_access_key={}\n",
        doug.access_key_id, doug.secret_access_key
    );
    home.private(".aws/config", &config);
    let said = home.run(&add(&doug, &["--import", "--remove-plain"]));
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!((aws.count("GetCallerIdentity"), aws.requests().len()), (2, 2));
    assert_eq!(home.read(".aws/credentials"), after);
    let config = home.read(".aws/config");
    assert!(!config.to_lowercase().contains("aws_") && config.contains("mfa_serial = "), "{config}");
    let lines: Vec<_> = said.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{}", said.stderr);
    assert!(lines[0].starts_with("onetap: Removed the plain-text key of doug from "), "{}", lines[0]);
    for text in [&said.stdout, &said.stderr, &home.read(".local/state/onetap/vault.age")] {
        assert!(!text.contains(&doug.secret_access_key), "{text}");
    }
    let again = home.run(&add(&doug, &["--import"]));
    assert_eq!((again.status, again.stdout.as_str()), (2, ""));
    assert!(again.stderr.contains("there is nothing to import"), "{}", again.stderr);
}

#[test]
fn without_a_yes_the_plain_text_stays_and_is_warned_of() {
    let (doug, aws, home) = doug();
    let (text, after) = credentials(&doug);
    home.private(".aws/credentials", &text);
    let said = home.run(&add(&doug, &["--import"]));
    assert_eq!((said.status, said.stderr.lines().count()), (0, 1), "{}", said.stderr);
    assert!(said.stderr.contains("keys of the profile doug still stand in plain text"), "{}", said.stderr);
    assert_eq!(home.read(".aws/credentials"), text);
    for (answer, left) in [("no\n", &text), ("yes\n", &after)] {
        let start = Start::new(BINARY).args(add(&doug, &["--import"])).env_clear().envs(home.env());
        let mut terminal = start.folder(home.path("")).spawn().unwrap();
        terminal.wait_for("Type yes to go on", LIMIT).unwrap();
        terminal.send(answer).unwrap();
        let ended = terminal.finish(LIMIT).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.terminal);
        assert_eq!(&home.read(".aws/credentials"), left);
        assert!(!ended.terminal.contains(&doug.secret_access_key));
    }
    assert_eq!(aws.count("GetCallerIdentity"), 6);
}

#[test]
fn a_key_that_aws_refuses_is_neither_stored_nor_removed_and_another_key_stays() {
    let (doug, aws, home) = doug();
    let wrong = format!("[doug]\naws_access_key_id={}\naws_secret_access_key=wrong\n", doug.access_key_id);
    home.private(".aws/credentials", &wrong);
    let said = home.run(&add(&doug, &["--import", "--remove-plain"]));
    assert_eq!((said.status, said.stdout.as_str()), (8, ""), "{}", said.stderr);
    assert_eq!(home.read(".aws/credentials"), wrong);
    assert!(!home.path(".local/state/onetap/vault.age").exists() && !home.path(".aws/config").exists());
    assert_eq!(aws.count("GetCallerIdentity"), 1);

    // The config file's key is another one: it was not stored, so it is not removed.
    let (text, after) = credentials(&doug);
    home.private(".aws/credentials", &text);
    let other = "[profile doug]\naws_access_key_id = AKIAOTHEROTHEROTHER1\naws_secret_access_key = x\n";
    home.private(".aws/config", other);
    let said = home.run(&add(&doug, &["--import", "--remove-plain"]));
    assert_eq!(said.status, 0, "{}", said.stderr);
    assert_eq!(home.read(".aws/credentials"), after);
    assert!(home.read(".aws/config").starts_with(other), "{}", home.read(".aws/config"));
    assert!(
        said.stderr.contains("has another access key in this profile, which stays there"),
        "{}",
        said.stderr
    );
}

#[test]
fn a_profile_without_a_long_term_key_imports_nothing() {
    let (doug, aws, home) = doug();
    for (text, status, told) in [
        ("", 2, "has no aws_access_key_id"),
        ("[doug]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n", 2, "has no aws_secret_access_key"),
        (
            "[doug]\naws_access_key_id = ASIAIOSFODNN7EXAMPLE\naws_secret_access_key = s3cret\n",
            2,
            "temporary",
        ),
        (
            "[doug]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s3cret\naws_session_token = t\n",
            2,
            "temporary",
        ),
        (
            "[doug]\naws_access_key_id = s3cret/s3cret\naws_secret_access_key = x\n",
            2,
            "is not an access key id",
        ),
    ] {
        home.private(".aws/credentials", text);
        let said = home.run(&add(&doug, &["--import", "--remove-plain"]));
        assert_eq!((said.status, said.stdout.as_str()), (status, ""), "{}", said.stderr);
        assert!(said.stderr.contains(told) && said.stderr.lines().count() == 1, "{}", said.stderr);
        assert!(!said.stderr.contains("s3cret"), "{}", said.stderr);
        assert_eq!(home.read(".aws/credentials"), text);
    }
    assert_eq!(aws.requests().len(), 0);
    assert!(!home.path(".local/state/onetap").exists() && !home.path(".aws/config").exists());
}

#[test]
fn the_consoles_csv_is_read_and_stays_and_a_bad_one_stores_nothing() {
    let (doug, aws, home) = doug();
    let (id, secret) = (&doug.access_key_id, &doug.secret_access_key);
    for bad in [
        "",
        "User name,Password,Console sign-in URL\r\ndoug,s3cret,https://x\r\n",
        "Access key ID,Secret access key\r\n",
        "Access key ID,Secret access key\r\ns3cret/s3cret,AKIAIOSFODNN7EXAMPLE\r\n",
        &format!("Access key ID,Secret access key\n{id},{secret}\n{id},{secret}\n"),
        &"x".repeat(70_000),
    ] {
        home.private("keys.csv", bad);
        let said = home.run(&add(&doug, &["--csv", "keys.csv"]));
        assert_eq!((said.status, said.stdout.as_str()), (2, ""), "{}", said.stderr);
        assert!(
            said.stderr.starts_with("onetap: keys.csv ") && said.stderr.lines().count() == 1,
            "{}",
            said.stderr
        );
        assert!(!said.stderr.contains("s3cret") && !said.stderr.contains(secret), "{}", said.stderr);
    }
    let absent = home.run(&add(&doug, &["--csv", "absent.csv"]));
    assert!(absent.status == 2 && absent.stderr.contains("absent.csv cannot be read"), "{}", absent.stderr);
    assert!(!home.path(".local/state/onetap").exists() && aws.requests().is_empty());

    let good = format!("\u{feff}Access key ID,Secret access key\r\n{id},{secret}\r\n");
    home.private("keys.csv", &good);
    let said = home.run(&add(&doug, &["--csv", "keys.csv"]));
    assert_eq!(said.status, 0, "{}", said.stderr);
    let warning = "onetap: Warning: keys.csv still holds the key in plain text; delete it\n";
    assert_eq!((said.stderr.as_str(), home.read("keys.csv")), (warning, good));
    assert!(said.stdout.starts_with(&format!("Stored {id} of ")) && !said.stdout.contains(secret));
    let two = home.run(&add(&doug, &["--csv", "keys.csv", "--import"]));
    assert_eq!(two.status, 2);
}

/// Stores what aws-vault stores, where it does: `argv` are the profile, the key's id and its secret.
const AWS_VAULT: &str = "
import base64, json, sys
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
bus = open_dbus_connection(bus='SESSION')
def call(path, interface, method, signature, *body):
    where = DBusAddress(path, bus_name='org.freedesktop.secrets', interface=interface)
    return bus.send_and_get_reply(new_method_call(where, method, signature, body)).body
root = '/org/freedesktop/secrets'
_, session = call(root, 'org.freedesktop.Secret.Service', 'OpenSession', 'sv', 'plain', ('s', ''))
# Without a prompt: gnome-keyring's own way.
collection, = call(root, 'org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface', 'CreateWithMasterPassword',
    'a{sv}(oayays)', {'org.freedesktop.Secret.Collection.Label': ('s', 'awsvault')}, (session, b'', b'pw', 'text/plain'))
profile, key, secret = sys.argv[1:]
data = json.dumps(dict(AccessKeyID=key, SecretAccessKey=secret, SessionToken='', ProviderName=''))
item = json.dumps(dict(Key=profile, Data=base64.b64encode(data.encode()).decode(), Label='aws-vault (%s)' % profile,
    Description='', KeychainNotTrustApplication=True, KeychainNotSynchronizable=False))
call(collection, 'org.freedesktop.Secret.Collection', 'CreateItem', 'a{sv}(oayays)b',
    {'org.freedesktop.Secret.Item.Label': ('s', profile)}, (session, b'', item.encode(), 'application/json'), True)
";

#[test]
fn what_aws_vault_keeps_in_the_secret_service_is_read_and_stays() {
    let (doug, aws, mut home) = doug();
    let service = SecretService::start(Collection::Unlocked).unwrap();
    let bus = service.env().into_iter().find(|(name, _)| *name == "DBUS_SESSION_BUS_ADDRESS").unwrap();
    home.set(bus.0, bus.1);
    let none = home.run(&add(&doug, &["--from-aws-vault"]));
    assert_eq!((none.status, none.stdout.as_str()), (2, ""), "{}", none.stderr);
    let other = "`aws-vault exec --no-session doug -- onetap add doug --from-env`";
    assert!(none.stderr.contains(other) && none.stderr.lines().count() == 1, "{}", none.stderr);
    let mut python = home.program(python_tool("python3"));
    python.args(["-c", AWS_VAULT, "doug", &doug.access_key_id, &doug.secret_access_key]);
    let stored = said(&mut python);
    assert_eq!(stored.status, 0, "{}", stored.stderr);
    for _ in 0..2 {
        let taken = home.run(&add(&doug, &["--from-aws-vault"]));
        assert_eq!((taken.status, taken.stderr.as_str()), (0, ""));
        assert!(taken.stdout.starts_with(&format!("Stored {} of ", doug.access_key_id)), "{}", taken.stdout);
    }
    assert_eq!(aws.count("GetCallerIdentity"), 2);
    service.freeze_bus().unwrap();
    let silent = home.run(&add(&doug, &["--from-aws-vault"]));
    assert_eq!((silent.status, silent.stdout.as_str()), (4, ""), "{}", silent.stderr);
}
