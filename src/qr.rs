//! The texts of the QR codes in a picture.
//!
//! Knows PNG and JPEG, because screenshots are one or the other; knows nothing about what the codes say. The pixels are
//! a secret like the code itself, and are wiped; the copies that the decoders make on their way are not in our hands.
//! Source: the crates `png`, `zune-jpeg` and `rqrr`; docs/adr/qr-codes.md.

use std::io::Cursor;

use secrecy::SecretString;
use zeroize::{Zeroize as _, Zeroizing};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// Most pixels a picture may have: two screens of 8K side by side.
const MOST_PIXELS: usize = 67_108_864;

/// Why a file shows no picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QrError {
    /// The file begins like a picture and is none.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// Neither PNG nor JPEG.
    #[error("it is neither a PNG nor a JPEG")]
    OtherFormat,
    /// More pixels than any screen.
    #[error("the picture is too large; cut it down to the QR code")]
    TooLarge,
}

/// A picture in shades of grey: 0 is black.
struct Grey {
    width: usize,
    height: usize,
    pixels: Zeroizing<Vec<u8>>,
}

/// What each QR code in the picture says, each once; those that cannot be read are left out.
///
/// Light codes on a dark ground, as dark themes show them, are read too. Takes about a second for a large screen.
pub fn codes(picture: &[u8]) -> Result<Vec<SecretString>, QrError> {
    let mut grey = match picture {
        [0x89, b'P', b'N', b'G', ..] => png(picture)?,
        [0xff, 0xd8, 0xff, ..] => jpeg(picture)?,
        _ => return Err(QrError::OtherFormat),
    };
    let mut texts = read(&grey);
    if texts.is_empty() {
        grey.pixels.iter_mut().for_each(|shade| *shade = !*shade);
        texts = read(&grey);
    }
    Ok(texts.drain(..).map(|mut text| SecretString::from(std::mem::take(&mut *text))).collect())
}

fn read(grey: &Grey) -> Vec<Zeroizing<String>> {
    let shade = |x: usize, y: usize| {
        let place = y.checked_mul(grey.width).and_then(|row| row.checked_add(x));
        place.and_then(|place| grey.pixels.get(place)).copied().unwrap_or(u8::MAX)
    };
    let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(grey.width, grey.height, shade);
    let mut texts: Vec<Zeroizing<String>> = Vec::new();
    for grid in prepared.detect_grids() {
        if let Ok((_, text)) = grid.decode() {
            let text = Zeroizing::new(text);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    texts
}

fn png(picture: &[u8]) -> Result<Grey, QrError> {
    let damaged = |error: png::DecodingError| match error {
        png::DecodingError::LimitsExceeded => QrError::TooLarge,
        error => QrError::Damaged(error.to_string()),
    };
    let limits = png::Limits { bytes: MOST_PIXELS };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(picture), limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    small_enough(width, height)?;
    let size = reader.output_buffer_size().ok_or(QrError::TooLarge)?;
    let mut bytes = Zeroizing::new(vec![0; size]);
    let frame = reader.next_frame(&mut bytes).map_err(damaged)?;
    let samples = frame.color_type.samples();
    let bytes = bytes.get(..frame.buffer_size()).unwrap_or_default();
    let pixels = Zeroizing::new(bytes.chunks_exact(samples).map(shade).collect());
    Ok(Grey { width, height, pixels })
}

/// One pixel's shade, on white paper where it is transparent.
fn shade(pixel: &[u8]) -> u8 {
    let (colour, alpha) = match *pixel {
        [grey] => (u32::from(grey), 255),
        [grey, alpha] => (u32::from(grey), u32::from(alpha)),
        [red, green, blue] => (luma(red, green, blue), 255),
        [red, green, blue, alpha] => (luma(red, green, blue), u32::from(alpha)),
        _ => (255, 255),
    };
    u8::try_from((colour * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
}

/// Brightness as the eye sees it (ITU-R BT.601).
fn luma(red: u8, green: u8, blue: u8) -> u32 {
    (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000
}

fn jpeg(picture: &[u8]) -> Result<Grey, QrError> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(picture), options);
    let damaged = |error: zune_jpeg::errors::DecodeErrors| QrError::Damaged(error.to_string());
    decoder.decode_headers().map_err(damaged)?;
    let (width, height) = decoder.dimensions().ok_or(QrError::OtherFormat)?;
    small_enough(width, height)?;
    let mut pixels = Zeroizing::new(decoder.decode().map_err(damaged)?);
    if pixels.len() != width.saturating_mul(height) {
        pixels.zeroize();
        return Err(QrError::Damaged("its size is not what it says".into()));
    }
    Ok(Grey { width, height, pixels })
}

fn small_enough(width: usize, height: usize) -> Result<(), QrError> {
    match width.checked_mul(height) {
        Some(pixels) if (1..=MOST_PIXELS).contains(&pixels) => Ok(()),
        _ => Err(QrError::TooLarge),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    const URI: &str = "otpauth://totp/Amazon%20Web%20Services:doug@123456789012?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Amazon%20Web%20Services";

    /// A PNG that shows `texts` side by side, a module `scale` pixels wide, drawn with these two colours.
    fn picture(texts: &[&str], scale: usize, dark: [u8; 4], light: [u8; 4]) -> Vec<u8> {
        let codes: Vec<_> = texts
            .iter()
            .map(|text| qrcodegen::QrCode::encode_text(text, qrcodegen::QrCodeEcc::Medium).unwrap())
            .collect();
        let margin = 4;
        let side = codes.iter().map(|code| code.size() as usize).max().unwrap_or(20) + 2 * margin;
        let (width, height) = (side * scale * codes.len().max(1), side * scale);
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let (place, x) = (x / (side * scale), x % (side * scale));
                let at = |n: usize| (n / scale) as i32 - margin as i32;
                let set = codes.get(place).is_some_and(|code| code.get_module(at(x), at(y)));
                pixels.extend_from_slice(if set { &dark } else { &light });
            }
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgba);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        bytes
    }

    fn said(picture: &[u8]) -> Vec<String> {
        codes(picture).unwrap().iter().map(|text| text.expose_secret().to_owned()).collect()
    }

    const BLACK: [u8; 4] = [0, 0, 0, 255];
    const WHITE: [u8; 4] = [255; 4];

    #[test]
    fn a_code_is_read_at_every_size_a_screen_shows_it() {
        for scale in [2, 3, 4, 5, 8, 13] {
            assert_eq!(said(&picture(&[URI], scale, BLACK, WHITE)), [URI], "{scale} pixels a module");
        }
    }

    #[test]
    fn dark_themes_colours_and_transparent_paper_do_not_hide_it() {
        for (dark, light) in [(WHITE, BLACK), ([20, 30, 90, 255], [250, 240, 200, 255]), (BLACK, [0; 4])] {
            assert_eq!(said(&picture(&[URI], 4, dark, light)), [URI], "{dark:?} on {light:?}");
        }
    }

    #[test]
    fn two_codes_are_both_read_and_none_is_no_error() {
        let mut both = said(&picture(&[URI, "https://example.com"], 4, BLACK, WHITE));
        both.sort();
        assert_eq!(both, ["https://example.com", URI]);
        assert_eq!(said(&picture(&[], 4, BLACK, WHITE)), [""; 0]);
    }

    #[test]
    fn what_is_no_picture_is_said_and_a_damaged_one_never_panics() {
        assert_eq!(codes(b"GIF89a").unwrap_err(), QrError::OtherFormat);
        assert_eq!(codes(b"").unwrap_err(), QrError::OtherFormat);
        assert!(matches!(codes(&[0xff, 0xd8, 0xff, 0xe0]), Err(QrError::Damaged(_))));
        let whole = picture(&["x"], 1, BLACK, WHITE);
        for end in (4..whole.len()).step_by(7) {
            // Only the mark of the end may lack.
            let cut = codes(&whole[..end]);
            assert!(
                cut.is_err() || end + 12 >= whole.len() || cut.is_ok_and(|read| read.is_empty()),
                "{end}"
            );
        }
        for place in (0..whole.len()).step_by(11) {
            let mut bent = whole.clone();
            bent[place] ^= 0x55;
            let _ = codes(&bent);
        }
    }
}
