//! The applets beside OATH, as far as they tell which key this is.
//!
//! Source: yubikey-manager, `management.py`; the crate `yubikey`, which asks the PIV applet from firmware 5, and that for
//! one-time passwords before.

use super::super::apdu;
use super::super::faults::Application;
use super::{Applet, Emulator, Response};

const MANAGEMENT: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17];
const OTP: &[u8] = &[0xa0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01];
const PIV: &[u8] = &[0xa0, 0x00, 0x00, 0x03, 0x08];

impl Emulator {
    /// An applet is known by the beginning of its name; what is selected stays so if there is none.
    pub(super) fn select_other(&mut self, aid: &[u8]) -> Response {
        let (major, minor, patch) = self.token.firmware;
        let without = |application| self.token.faults.without.contains(&application);
        let (applet, answer) = match aid {
            MANAGEMENT if !without(Application::Management) => {
                let version = format!("Virtual mgr - FW version {major}.{minor}.{patch}");
                (Applet::Management, version.into_bytes())
            }
            _ if aid.starts_with(OTP) => (Applet::Otp, vec![major, minor, patch, 0, 0, 0]),
            _ if aid.starts_with(PIV) && !without(Application::Piv) => (Applet::Piv, Vec::new()),
            _ => return Err(0x6a82),
        };
        self.selected = Some(applet);
        Ok(answer)
    }

    pub(super) fn other(&self, applet: Applet, ins: u8, p1: u8) -> Response {
        let (major, minor, patch) = self.token.firmware;
        let serial = || self.token.serial.map(|serial| serial.to_be_bytes().to_vec()).ok_or(0x6d00_u16);
        match (applet, ins, p1) {
            (Applet::Management, 0x1d, page) => self.config(page),
            (Applet::Otp, 0x01, 0x10) => serial(),
            (Applet::Piv, 0xfd, _) => Ok(vec![major, minor, patch]),
            (Applet::Piv, 0xf8, _) if major >= 5 => serial(),
            _ => Err(0x6d00),
        }
    }

    /// The management applet's READ CONFIG: what a YubiKey 5 says of itself, from firmware 4.1.
    fn config(&self, page: u8) -> Response {
        let (major, minor, patch) = self.token.firmware;
        if (major, minor) < (4, 1) {
            return Err(0x6d00);
        }
        if page != 0 {
            return Err(0x6a86);
        }
        // OTP, U2F, OpenPGP, PIV, OATH and FIDO2.
        const CAPABILITIES: [u8; 2] = [0x02, 0x3b];
        let mut fields = Vec::new();
        apdu::put(0x01, &CAPABILITIES, &mut fields);
        if let Some(serial) = self.token.serial {
            apdu::put(0x02, &serial.to_be_bytes(), &mut fields);
        }
        apdu::put(0x04, &[0x01], &mut fields); // a keychain's form, USB-A
        apdu::put(0x05, &[major, minor, patch], &mut fields);
        apdu::put(0x03, &CAPABILITIES, &mut fields);
        apdu::put(0x06, &[0, 0], &mut fields);
        apdu::put(0x07, &[0x0f], &mut fields);
        apdu::put(0x08, &[0], &mut fields);
        apdu::put(0x0a, &[0], &mut fields); // no lock code
        let mut answer = vec![u8::try_from(fields.len()).unwrap_or(u8::MAX)];
        answer.append(&mut fields);
        Ok(answer)
    }
}
