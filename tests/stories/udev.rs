//! The rules in `udev/`: what a key that is plugged in gets from udev's, and whom polkit's lets in.

use std::path::Path;
use std::process::{Command, Output};

/// Runs a script in a mount namespace of its own, so that only our rules are there and nothing is left behind.
fn apart(script: &str, arguments: &[&Path]) -> Output {
    let root = is_root();
    let mut command = Command::new("unshare");
    if !root {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-euc", script, "sh"]).args(arguments).output().unwrap()
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// What udev makes of a fake USB device.
fn tags(vendor: &str, interfaces: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("key.umockdev");
    let text = format!(
        "P: /devices/pci0000:00/0000:00:14.0/usb1/1-2\nN: bus/usb/001/004\nE: DEVNAME=/dev/bus/usb/001/004\n\
         E: DEVTYPE=usb_device\nE: ID_USB_INTERFACES={interfaces}\nE: SUBSYSTEM=usb\nA: idVendor={vendor}\\n\n\n"
    );
    std::fs::write(&device, text).unwrap();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("udev");
    let said = apart(
        "mount -t tmpfs none /usr/lib/udev/rules.d
         mkdir -p /run/udev
         mount -t tmpfs none /run/udev
         mkdir /run/udev/rules.d
         cp \"$1\"/*.rules /run/udev/rules.d/
         timeout 30 umockdev-run --device \"$2\" -- udevadm test /sys/devices/pci0000:00/0000:00:14.0/usb1/1-2 2>&1",
        &[&rules, &device],
    );
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.status.success(), "{text}{}", String::from_utf8_lossy(&said.stderr));
    assert!(text.contains("rules.d/70-onetap-yubikey.rules"), "our rules were not read: {text}");
    assert!(!text.contains("70-uaccess.rules"), "others' rules were read: {text}");
    text.lines().filter(|line| line.starts_with("TAGS=")).map(str::to_owned).collect()
}

#[test]
fn a_key_with_a_smart_card_interface_is_tagged_for_whoever_sits_at_the_machine_and_nothing_else_is() {
    assert_eq!(tags("1050", ":030101:030000:0b0000:"), "TAGS=:uaccess:");
    assert_eq!(tags("1050", ":030101:030000:"), "", "a key without CCID, such as a Security Key");
    assert_eq!(tags("072f", ":0b0000:"), "", "somebody else's reader");
}

/// polkit's own engine is JavaScript, and so is this: the rule runs in node with polkit's names.
fn result(action: &str, groups: &str) -> String {
    let rule = Path::new(env!("CARGO_MANIFEST_DIR")).join("udev/polkit/50-onetap-pcscd.rules");
    let script = "const rules = [];
        globalThis.polkit = { addRule: (rule) => rules.push(rule), Result: { YES: 'yes', NOT_HANDLED: 'not handled' } };
        (0, eval)(require('fs').readFileSync(process.argv[1], 'utf8'));
        const groups = process.argv[3].split(',');
        if (rules.length !== 1) throw new Error('rules: ' + rules.length);
        console.log(rules[0]({ id: process.argv[2] }, { isInGroup: (name) => groups.includes(name) }));";
    let said = Command::new("node").args(["-e", script]).arg(rule).args([action, groups]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

#[test]
fn polkit_lets_the_group_use_the_service_and_its_cards_and_leaves_all_else_alone() {
    for action in ["org.debian.pcsc-lite.access_pcsc", "org.debian.pcsc-lite.access_card"] {
        assert_eq!(result(action, "users,pcsc"), "yes");
        assert_eq!(result(action, "users,pcscd"), "not handled");
    }
    assert_eq!(result("org.freedesktop.login1.power-off", "pcsc"), "not handled");
}
