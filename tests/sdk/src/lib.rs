//! Nothing but the page for those who use the library, whose examples are tests here.
#![doc = include_str!("../../../docs/LIBRARY.md")]
