//! The corpus of the fuzz targets as an ordinary test: every file, every prefix of it, and every byte of it bent.

use std::fs;
use std::path::Path;

#[path = "../fuzz/inputs.rs"]
mod inputs;

/// Files longer than this are bent at so many places only.
const MOST_PLACES: usize = 400;

#[test]
fn every_reader_of_foreign_bytes_takes_its_corpus_cut_short_and_bent() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut folders: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, inputs::READERS.map(|(name, _)| name), "each folder has its reader");
    for (name, reader) in inputs::READERS {
        let mut files = 0;
        for entry in fs::read_dir(corpus.join(name)).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            files += 1;
            reader(&bytes);
            // A picture takes milliseconds, everything else microseconds.
            let places = if name == "qr" { 24 } else { MOST_PLACES };
            for place in (0..bytes.len()).step_by((bytes.len() / places).max(1)) {
                reader(&bytes[..place]);
                for bent in [0x01, 0x80, 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[place] ^= bent;
                    reader(&bytes);
                }
            }
        }
        assert!(files > 0, "{name} has a corpus");
    }
}
