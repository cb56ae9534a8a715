//! How layers are compressed: pinned codecs, so that the same tar always gives the same bytes.
//!
//! The output of a codec may change with its version, so a test pins the digest of a known input for each of them.
//!
//! gzip is libdeflate at [`GZIP_LEVEL`], chosen by measuring stripped, static Go binaries on one core of a 2026
//! server, times the best of three:
//!
//! | level | 6.7 MB | 15.4 MB | 25.8 MB |
//! |---|---|---|---|
//! | 1 | 33 ms, 44.3% | 72 ms, 42.1% | 102 ms, 34.9% |
//! | 5 | 54 ms, 41.4% | 121 ms, 39.4% | 169 ms, 32.6% |
//! | **6** | 65 ms, 41.1% | 148 ms, 39.2% | 206 ms, 32.3% |
//! | 7 | 88 ms, 41.0% | 206 ms, 39.0% | 294 ms, 32.1% |
//! | 9 | 179 ms, 40.9% | 444 ms, 38.9% | 688 ms, 32.0% |
//!
//! Level 6 is the last that pays: each byte is compressed once but pulled by every task. One gzip member, not
//! several side by side: lazy-loading snapshotters index layers of one member only.
//!
//! zstd is at [`ZSTD_LEVEL`] for the same reason; `zstd -b LEVEL -i1` on an 11.3 MB binary of the same kind gave
//! 36.2% at level 3, 34.2% at 6 and 33.6% at 9, at 250, 87 and 53 MB a second. Level 6 takes about as long as gzip's.
//! It is one frame in one thread, which alone promises the same bytes on any number of cores.

use std::io::{self, Read};

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor};

use crate::media_type;

/// libdeflate's compression level.
const GZIP_LEVEL: i32 = 6;

/// zstd's compression level.
const ZSTD_LEVEL: i32 = 6;

/// How the layers of an image are compressed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Understood by every runtime.
    #[default]
    Gzip,
    /// Smaller and faster to unpack. OCI manifests only; ECR and Fargate take it.
    Zstd,
}

impl Compression {
    /// The media type of a layer that is compressed so.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Gzip => media_type::LAYER_GZIP,
            Self::Zstd => media_type::LAYER_ZSTD,
        }
    }

    /// Names codec and level; part of every cache key, so that a change of codec never finds old bytes.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Gzip => "gzip-libdeflate-6",
            Self::Zstd => "zstd-6",
        }
    }

    /// Compresses a tar.
    pub(crate) fn compress(self, tar: &[u8]) -> Bytes {
        match self {
            Self::Gzip => gzip(tar),
            Self::Zstd => zstd(tar),
        }
    }

    /// Whether these are the compressed bytes of this tar, so that a key of the cache that names the wrong blob is
    /// found out.
    pub(crate) fn is_compressed(self, tar: &[u8], data: &[u8]) -> bool {
        match self {
            // By the check sum and the length at the end of a gzip member (RFC 1952, section 2.3.1).
            Self::Gzip => {
                let mut end = libdeflater::crc32(tar).to_le_bytes().to_vec();
                // The format keeps the length modulo 2^32.
                end.extend_from_slice(&(tar.len() as u64).to_le_bytes()[..4]);
                data.ends_with(&end)
            }
            // A frame says nothing of its content but the length; it decompresses at a gigabyte a second.
            Self::Zstd => {
                let limit = tar.len() as u64 + 1;
                decompress(media_type::LAYER_ZSTD, data, limit).is_ok_and(|found| found == tar)
            }
        }
    }
}

fn gzip(tar: &[u8]) -> Bytes {
    let level = CompressionLvl::new(GZIP_LEVEL).unwrap_or_default();
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(tar.len())];
    // The only error is a buffer shorter than the bound that was just asked for.
    let length = compressor
        .gzip_compress(tar, &mut out)
        .expect("the buffer is as long as the compressor's own bound");
    out.truncate(length);
    out.into()
}

fn zstd(tar: &[u8]) -> Bytes {
    // The same: the buffer is as long as the library's own bound.
    zstd::bulk::compress(tar, ZSTD_LEVEL)
        .expect("the buffer is as long as the compressor's own bound")
        .into()
}

/// The tar in a layer of this media type.
///
/// # Errors
///
/// When the bytes are damaged, the media type is not that of a layer, or the tar is longer than `limit` bytes.
pub(crate) fn decompress(media_type: &str, data: &[u8], limit: u64) -> io::Result<Vec<u8>> {
    let reader: Box<dyn Read + '_> = match media_type {
        media_type::LAYER_GZIP => Box::new(flate2::read::MultiGzDecoder::new(data)),
        media_type::LAYER_ZSTD => Box::new(zstd::stream::read::Decoder::with_buffer(data)?),
        media_type::LAYER => Box::new(data),
        other => return Err(io::Error::other(format!("`{other}` is no kind of layer"))),
    };
    let mut tar = Vec::new();
    reader.take(limit).read_to_end(&mut tar)?;
    if tar.len() as u64 == limit {
        return Err(io::Error::other(format!(
            "it holds {limit} bytes or more when unpacked"
        )));
    }
    Ok(tar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const ALL: [Compression; 2] = [Compression::Gzip, Compression::Zstd];

    /// A megabyte that compresses like a program does, in part.
    fn sample() -> Vec<u8> {
        let mut state = 1_u32;
        (0..1_u32 << 20)
            .map(|index| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = state.to_be_bytes()[0];
                let slow = index.to_be_bytes()[2];
                if index % 7 < 3 { noise } else { slow }
            })
            .collect()
    }

    #[test]
    fn each_codec_gives_the_pinned_bytes() {
        for (codec, pinned) in [
            (
                Compression::Gzip,
                "sha256:67302b8f5b9fe2728852142452e5c7d46b3c981432e67a552998495492d38255",
            ),
            (
                Compression::Zstd,
                "sha256:0bfccb05258829bd46693ede165f8a2a5762c5f8286ebb57ee3a1588bb94da46",
            ),
        ] {
            let digest = Digest::of(&codec.compress(&sample()));
            assert_eq!(
                digest.as_str(),
                pinned,
                "the output of {codec:?} changed: every image gets a new digest. If a new version of its library is \
                 the reason, put the new digest here, change its `id`, and note the change in the CHANGELOG"
            );
        }
    }

    #[test]
    fn each_codec_round_trips_and_knows_its_own() {
        let data = sample();
        let mut other = data.clone();
        other[0] ^= 1;
        for codec in ALL {
            let packed = codec.compress(&data);
            let limit = data.len() as u64 + 1;
            assert_eq!(
                decompress(codec.media_type(), &packed, limit).unwrap(),
                data
            );
            assert!(codec.is_compressed(&data, &packed));
            assert!(!codec.is_compressed(&other, &packed));
            assert!(!codec.is_compressed(&data[1..], &packed));
        }
        assert_eq!(decompress(media_type::LAYER, b"tar", 4).unwrap(), b"tar");
    }

    #[test]
    fn what_is_damaged_unknown_or_too_long_is_an_error() {
        for codec in ALL {
            let packed = codec.compress(&sample());
            let kind = codec.media_type();
            assert!(decompress(kind, &packed[..packed.len() / 2], u64::MAX).is_err());
            assert!(decompress(kind, b"neither", u64::MAX).is_err());
            assert!(decompress(kind, &packed, 1000).is_err());
        }
        assert!(decompress("text/plain", b"", 1).is_err());
    }
}
