//! The OATH applet's commands, as functions.

/// Why the applet did not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OathError {
    /// Every reader answers this until the applet's commands are here.
    #[error("the OATH applet is not there")]
    NoApplet,
}
