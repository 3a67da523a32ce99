//! stub
use super::*;
use crate::card::Reader;
/// stub
#[derive(Debug)]
pub struct YubiKey;
impl YubiKey {
    /// stub
    pub fn new(_: Reader, _: String) -> Self {
        Self
    }
}
impl CodeSource for YubiKey {
    fn name(&self) -> &'static str {
        "yubikey"
    }
    fn code(&self, _: TimeStep, _: Instant, _: &dyn Attendant) -> Result<Code, CodeError> {
        Err(CardError::NoReader.into())
    }
}
