//! The QR code of a new device, for a phone. It is the seed: it goes to the terminal and nowhere else.

use qrcodegen::{QrCode, QrCodeEcc};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use crate::error::Error;

use super::super::Context;

/// White modules around the code (ISO 18004: four; scanners take two).
const MARGIN: i32 = 2;

/// Shows the URI, two rows of modules in a line.
pub(super) fn show(context: &Context, uri: &SecretString) -> Result<(), Error> {
    let unfit = |_| Error::Seed("it does not fit into a QR code".into());
    let code = QrCode::encode_text(uri.expose_secret(), QrCodeEcc::Low).map_err(unfit)?;
    let (from, to) = (-MARGIN, code.size().saturating_add(MARGIN));
    let row = |y: i32| {
        let modules =
            (from..to).map(|x| match (code.get_module(x, y), code.get_module(x, y.saturating_add(1))) {
                // Dark on light, also on a dark terminal.
                (true, true) => ' ',
                (true, false) => '\u{2584}',
                (false, true) => '\u{2580}',
                (false, false) => '\u{2588}',
            });
        Zeroizing::new(modules.collect::<String>())
    };
    let rows = (from..to).step_by(2).map(row).collect::<Vec<_>>();
    Ok(context.attendant.show(&rows)?)
}
