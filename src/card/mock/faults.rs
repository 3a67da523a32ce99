//! What goes wrong with the virtual token, as its file scripts it.

use std::time::Duration;

/// So long a finger takes, unless the file says otherwise: long enough for the notice to appear.
const A_FINGER: Duration = Duration::from_millis(600);

/// Whether and when a touch comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchComes {
    /// `fault touch-after MS`, or 600 ms.
    After(Duration),
    /// `fault touch never`.
    Never,
}

/// An application that a key may not have, or not over USB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// The management applet.
    Management,
    /// OATH.
    Oath,
    /// PIV.
    Piv,
}

/// The scripted faults. Each counts anew at every use of the token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// `fault busy N`: so many attempts to connect meet somebody else.
    pub busy: u32,
    /// `fault removed-after N`: the token is pulled after so many commands.
    pub removed_after: Option<u32>,
    /// `fault reset-after N`: another program resets the card after so many commands; several lines, several resets.
    pub reset_after: Vec<u32>,
    /// When a touch comes.
    pub touch: TouchComes,
    /// `fault without management`, `oath` or `piv`: the application is not there.
    pub without: Vec<Application>,
}

impl Default for TouchComes {
    fn default() -> Self {
        Self::After(A_FINGER)
    }
}

impl Faults {
    pub(super) fn set(&mut self, fault: &str) -> Result<(), &'static str> {
        let (word, value) = fault.split_once(char::is_whitespace).unwrap_or((fault, ""));
        let number = || value.trim().parse::<u32>().map_err(|_| "this fault needs a number");
        match (word, value.trim()) {
            ("busy", _) => self.busy = number()?,
            ("removed-after", _) => self.removed_after = Some(number()?),
            ("reset-after", _) => self.reset_after.push(number()?),
            ("without", "management") => self.without.push(Application::Management),
            ("without", "oath") => self.without.push(Application::Oath),
            ("without", "piv") => self.without.push(Application::Piv),
            ("touch", "never") => self.touch = TouchComes::Never,
            ("touch-after", _) => self.touch = TouchComes::After(Duration::from_millis(u64::from(number()?))),
            _ => {
                return Err(
                    "faults are busy N, removed-after N, reset-after N, touch never, touch-after MS, without \
                     management, without oath, without piv",
                );
            }
        }
        Ok(())
    }
}
