//! From the bytes of a file to its text, whatever editor or shell wrote it.

/// How a file was written, when that is not plain UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    /// UTF-8 behind a byte order mark.
    Utf8Mark,
    /// UTF-16, as Windows shells write when output is redirected.
    Utf16,
}

/// Why bytes are no Unicode text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotText {
    /// The text up to there.
    pub before: String,
    /// The byte that is none of a text, and its offset in the file; none for what begins as UTF-16.
    pub byte: Option<(usize, u8)>,
}

/// The text, and how it was written.
pub(crate) fn decode(bytes: &[u8]) -> Result<(String, Encoding), NotText> {
    let (text, encoding) = one_mark_less(bytes)?;
    // Tools that add a mark to a file that has one leave two.
    let text = match encoding {
        Encoding::Plain => text,
        _ => text.trim_start_matches('\u{feff}').to_owned(),
    };
    Ok((text, encoding))
}

fn one_mark_less(bytes: &[u8]) -> Result<(String, Encoding), NotText> {
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => {
            Ok((utf8(rest, bytes.len() - rest.len())?, Encoding::Utf8Mark))
        }
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes).ok_or_else(no_utf16),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes).ok_or_else(no_utf16),
        _ => Ok((utf8(bytes, 0)?, Encoding::Plain)),
    }
}

/// The text of bytes that begin so far into the file.
fn utf8(bytes: &[u8], offset: usize) -> Result<String, NotText> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let (before, rest) = bytes.split_at(error.valid_up_to());
        NotText {
            before: String::from_utf8_lossy(before).into_owned(),
            byte: rest.first().map(|byte| (offset + before.len(), *byte)),
        }
    })?;
    Ok(text.to_owned())
}

fn no_utf16() -> NotText {
    NotText {
        before: String::new(),
        byte: None,
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<(String, Encoding)> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| unit([pair[0], pair[1]]))
        .collect();
    Some((String::from_utf16(&units).ok()?, Encoding::Utf16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_writing_gives_the_same_text() {
        let text = "{\"a\": \"ü\"}";
        let utf16 = |mark: [u8; 2], order: fn(u16) -> [u8; 2]| {
            mark.into_iter()
                .chain(text.encode_utf16().flat_map(order))
                .collect::<Vec<u8>>()
        };
        for (bytes, encoding) in [
            (text.as_bytes().to_vec(), Encoding::Plain),
            (
                [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
                Encoding::Utf8Mark,
            ),
            (
                [b"\xEF\xBB\xBF\xEF\xBB\xBF", text.as_bytes()].concat(),
                Encoding::Utf8Mark,
            ),
            (utf16([0xFF, 0xFE], u16::to_le_bytes), Encoding::Utf16),
            (utf16([0xFE, 0xFF], u16::to_be_bytes), Encoding::Utf16),
        ] {
            assert_eq!(decode(&bytes), Ok((text.to_owned(), encoding)));
        }
        assert_eq!(decode(&[0xFF, 0xFE, 0x00]), Err(no_utf16()));
        let broken = decode(b"\xEF\xBB\xBF{\n\x80}");
        let expected = NotText {
            before: "{\n".to_owned(),
            byte: Some((5, 0x80)),
        };
        assert_eq!(broken, Err(expected));
    }
}
