//! The crate through its public door: a Go program becomes an image, twice the same.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod files;
mod go;
mod layout;
mod probe;

use std::collections::BTreeMap;
use std::fs;

use image::oci::{ImageConfig, Manifest, RootFs, RunConfig};
use image::{
    AssembleError, Base, BaseImage, Cache, Digest, ElfError, ImageSpec, Platform, assemble,
};
use tempfile::TempDir;

/// The smallest file that passes for a static program: an ELF header without segments.
fn static_elf(machine: u16) -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0]);
    elf[16] = 2; // ET_EXEC
    elf[18..20].copy_from_slice(&machine.to_le_bytes());
    elf[20] = 1;
    elf[52] = 64; // e_ehsize
    elf
}

const AMD64: u16 = 62;
const ARM64: u16 = 183;

fn fixture(machine: u16) -> (TempDir, ImageSpec, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("built");
    fs::write(&binary, static_elf(machine)).unwrap();
    let spec = ImageSpec::new(Platform::LINUX_AMD64, binary, "api", "0123abc");
    let cache = Cache::new(folder.path().join("cache"));
    (folder, spec, cache)
}

#[test]
fn the_same_input_gives_the_same_digest_in_another_folder() {
    let (_a, spec, cache) = fixture(AMD64);
    let first = assemble(&spec, &cache).unwrap();
    let again = assemble(&spec, &cache).unwrap();
    let (_b, spec, cache) = fixture(AMD64);
    let elsewhere = assemble(&spec, &cache).unwrap();
    assert_eq!(first, again);
    assert_eq!(first, elsewhere);

    let other = assemble(
        &ImageSpec {
            commit: "4567def".to_owned(),
            ..spec
        },
        &cache,
    )
    .unwrap();
    assert_ne!(first.manifest_digest, other.manifest_digest);
    assert_eq!(first.layers, other.layers);
}

#[test]
fn the_documents_say_what_the_specification_asks_for() {
    let (_folder, mut spec, cache) = fixture(AMD64);
    spec.env.insert("PATH".to_owned(), "/".to_owned());
    spec.env
        .insert("GOMEMLIMIT".to_owned(), "400MiB".to_owned());
    spec.exposed_ports.insert(8080);
    spec.labels.insert("team".to_owned(), "shop".to_owned());
    let image = assemble(&spec, &cache).unwrap();

    let pretty = |data: &[u8]| {
        serde_json::to_string_pretty(&serde_json::from_slice::<serde_json::Value>(data).unwrap())
    };
    insta::assert_snapshot!("manifest", pretty(&image.manifest).unwrap());
    insta::assert_snapshot!("config", pretty(&image.config.data).unwrap());
    assert_eq!(image.manifest_digest, Digest::of(&image.manifest));
    for blob in image.blobs() {
        assert_eq!(blob.digest, Digest::of(&blob.data));
    }
    let total: usize = image.blobs().map(|blob| blob.data.len()).sum();
    assert_eq!(image.size(), (total + image.manifest.len()) as u64);
}

#[test]
fn a_binary_that_cannot_run_is_refused() {
    let (folder, spec, cache) = fixture(ARM64);
    let error = assemble(&spec, &cache).unwrap_err();
    assert!(
        matches!(&error, AssembleError::Binary { source: ElfError::WrongArch { found, .. }, .. } if found == "arm64"),
        "{error}"
    );

    let text = |data: &[u8]| {
        let binary = folder.path().join("bad");
        fs::write(&binary, data).unwrap();
        let error = assemble(
            &ImageSpec {
                binary,
                ..spec.clone()
            },
            &cache,
        )
        .unwrap_err();
        error
            .to_string()
            .replace(&folder.path().display().to_string(), "")
    };
    insta::assert_snapshot!(
        [
            &b"#!/bin/sh\n"[..],
            b"",
            b"\xcf\xfa\xed\xfe",
            b"!<arch>\n",
            &with_segment(3, b"/lib64/ld-linux-x86-64.so.2\0"),
            &with_segment(2, &[1_u64, 7, 1, 9, 0, 0].map(u64::to_le_bytes).concat()),
            &with_segment(3, b"/no/end"),
        ]
        .map(text)
        .join("\n"),
        @r"
        /bad cannot go into an image: it is a script, not a 64-bit Linux (ELF) executable: build it with GOOS=linux and GOARCH=amd64
        /bad cannot go into an image: it is an empty file, not a 64-bit Linux (ELF) executable: build it with GOOS=linux and GOARCH=amd64
        /bad cannot go into an image: it is a macOS executable, not a 64-bit Linux (ELF) executable: build it with GOOS=linux and GOARCH=amd64
        /bad cannot go into an image: it is an object archive (the package is not `main`), not a 64-bit Linux (ELF) executable: build it with GOOS=linux and GOARCH=amd64
        /bad cannot go into an image: it is dynamically linked (interpreter /lib64/ld-linux-x86-64.so.2): set CGO_ENABLED=0 and do not use -buildmode=pie, because the image holds no C library
        /bad cannot go into an image: it is dynamically linked (2 shared libraries): set CGO_ENABLED=0 and do not use -buildmode=pie, because the image holds no C library
        /bad cannot go into an image: its ELF headers are damaged (Invalid ELF interpreter segment data): build it again
        "
    );
}

/// A program with one segment of this type (2 is `PT_DYNAMIC`, 3 is `PT_INTERP`).
fn with_segment(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut elf = static_elf(AMD64);
    elf[32] = 64; // e_phoff
    elf[54] = 56; // e_phentsize
    elf[56] = 1; // e_phnum
    elf.extend(kind.to_le_bytes());
    elf.extend([0; 4]); // p_flags
    elf.extend(120_u64.to_le_bytes()); // p_offset
    elf.extend([0; 16]); // p_vaddr, p_paddr
    elf.extend((data.len() as u64).to_le_bytes()); // p_filesz
    elf.extend([0; 16]); // p_memsz, p_align
    elf.extend(data);
    elf
}

#[test]
fn a_name_that_would_hide_a_folder_is_refused() {
    let (_folder, spec, cache) = fixture(AMD64);
    for name in ["", "tmp", "etc", "a/b", "..", ".hidden"] {
        let spec = ImageSpec {
            name: name.to_owned(),
            ..spec.clone()
        };
        assert!(
            matches!(assemble(&spec, &cache), Err(AssembleError::Name(_))),
            "{name}"
        );
    }
}

fn base_image(architecture: &str) -> BaseImage {
    let (_folder, spec, cache) = fixture(AMD64);
    let layers = assemble(&spec, &cache).unwrap().layers;
    BaseImage {
        reference: "example.com/base@sha256:0".to_owned(),
        digest: Digest::of(b"base"),
        config: ImageConfig {
            created: None,
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
            config: RunConfig {
                user: "1000".to_owned(),
                env: vec!["A=1".to_owned(), "B=2".to_owned()],
                cmd: vec!["sh".to_owned()],
                working_dir: "/work".to_owned(),
                labels: BTreeMap::from([("maintainer".to_owned(), "someone else".to_owned())]),
                ..RunConfig::default()
            },
            rootfs: RootFs {
                kind: "layers".to_owned(),
                diff_ids: layers.iter().map(|layer| layer.diff_id.clone()).collect(),
            },
            history: Vec::new(),
        },
        layers,
    }
}

#[test]
fn a_base_from_a_registry_is_built_upon() {
    let (_folder, mut spec, cache) = fixture(AMD64);
    spec.env.insert("B".to_owned(), "3".to_owned());
    spec.env.insert("C".to_owned(), "4".to_owned());
    spec.base = Base::Registry(Box::new(base_image("amd64")));
    let image = assemble(&spec, &cache).unwrap();

    let config: ImageConfig = serde_json::from_slice(&image.config.data).unwrap();
    assert_eq!(image.layers.len(), 3);
    assert_eq!(config.rootfs.diff_ids.len(), 3);
    assert_eq!(config.history.len(), 3);
    assert_eq!(config.config.env, ["A=1", "B=3", "C=4"]);
    assert_eq!(config.config.user, "1000");
    assert_eq!(config.config.working_dir, "/work");
    assert_eq!(config.config.entrypoint, ["/api"]);
    assert!(config.config.cmd.is_empty());
    let manifest: Manifest = serde_json::from_slice(&image.manifest).unwrap();
    assert_eq!(
        manifest.annotations["org.opencontainers.image.base.digest"],
        Digest::of(b"base").to_string()
    );
}

#[test]
fn a_base_that_does_not_fit_is_refused() {
    let (_folder, mut spec, cache) = fixture(AMD64);
    spec.base = Base::Registry(Box::new(base_image("arm64")));
    assert!(matches!(
        assemble(&spec, &cache),
        Err(AssembleError::BasePlatform { .. })
    ));

    let mut base = base_image("amd64");
    base.layers.pop();
    spec.base = Base::Registry(Box::new(base));
    assert!(matches!(
        assemble(&spec, &cache),
        Err(AssembleError::BaseLayers { .. })
    ));
}
