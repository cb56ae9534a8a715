//! Random text for credentials, from the operating system.

use std::fs::File;
use std::io::{self, Read as _};

/// Capital letters and digits: what access key ids are made of.
pub(crate) const CAPITALS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Letters and digits.
pub(crate) const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// `length` characters of `alphabet`, each as likely as any other.
pub(crate) fn text(alphabet: &[u8], length: usize) -> io::Result<String> {
    let mut source = File::open("/dev/urandom")?;
    // Bytes above the largest multiple of the alphabet's length would favour its first letters.
    let usable = 256 - 256 % alphabet.len();
    let mut out = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while out.len() < length {
        source.read_exact(&mut bytes)?;
        let letters = bytes
            .iter()
            .map(|byte| usize::from(*byte))
            .filter(|byte| *byte < usable)
            .map(|byte| char::from(alphabet[byte % alphabet.len()]));
        out.extend(letters.take(length - out.len()));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_the_length_and_letters_asked_for() {
        let a = text(CAPITALS, 40).unwrap();
        assert_eq!(a.len(), 40);
        assert!(a.bytes().all(|byte| CAPITALS.contains(&byte)));
        assert_ne!(a, text(CAPITALS, 40).unwrap());
    }
}
