//! Edits the files.

/// Where a value stands.
pub fn locate(_content: &[u8], _section: &str, _key: Option<&str>) -> Option<usize> {
    None
}
