//! What an image holds besides the program, and how it is packed.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use image::oci::{ImageConfig, Manifest};
use image::{
    AssembleError, Base, Cache, Compression, Image, ImageFile, ImageSet, ImageSpec, Platform,
    TreeError, assemble, media_type,
};
use tempfile::TempDir;

use crate::{AMD64, ARM64, base_image, fixture, static_elf};

/// One line for each entry of each layer: layer, mode, owner, path. Time zones aside.
fn listing(image: &Image) -> String {
    let mut lines = Vec::new();
    for (index, layer) in image.layers.iter().enumerate() {
        let mut tar = Vec::new();
        match layer.media_type.as_str() {
            media_type::LAYER_GZIP => {
                flate2::read::GzDecoder::new(&*layer.data).read_to_end(&mut tar)
            }
            media_type::LAYER_ZSTD => zstd::stream::read::Decoder::new(&*layer.data)
                .unwrap()
                .read_to_end(&mut tar),
            other => panic!("{other}"),
        }
        .unwrap();
        assert_eq!(image::Digest::of(&tar), layer.diff_id);
        for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            let path = entry.path().unwrap().display().to_string();
            assert_eq!(header.mtime().unwrap(), 0, "{path}");
            assert_eq!(header.uid().unwrap(), header.gid().unwrap(), "{path}");
            if !path.contains("zoneinfo/") {
                lines.push(format!(
                    "{index} {:>4o} {:>5} {path}",
                    header.mode().unwrap(),
                    header.uid().unwrap()
                ));
            }
        }
    }
    lines.join("\n")
}

fn file(from: &str, to: &str) -> ImageFile {
    ImageFile {
        from: from.into(),
        to: to.to_owned(),
    }
}

/// A service with files, checked out by somebody with an unusual umask.
fn with_files(mode: u32) -> (TempDir, ImageSpec, Cache) {
    let (folder, mut spec, cache) = fixture(AMD64);
    let service = folder.path().join("service");
    for path in ["web/index.html", "web/js/app.js", "run.sh", "ca.pem"] {
        let path = service.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
        let executable = if path.ends_with("run.sh") { 0o100 } else { 0 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode | executable)).unwrap();
    }
    spec.folder = service;
    spec.files = vec![
        file("web", "/srv/web"),
        file("run.sh", "/tmp/tools/"),
        file("ca.pem", "/etc/ssl/certs/company.pem"),
    ];
    (folder, spec, cache)
}

/// The root file system of a static program: what others call "distroless static", and the files above it. The
/// folders of the base that files go into (`/etc`, `/tmp`) are not in the upper layer: they keep their owner and mode.
#[test]
fn the_image_holds_what_a_static_program_needs_and_the_files() {
    let (folder, mut spec, cache) = with_files(0o640);
    let probe = folder.path().join("probe");
    fs::write(&probe, static_elf(AMD64)).unwrap();
    spec.probe = Some(probe);
    let image = assemble(&spec, &cache).unwrap();
    insta::assert_snapshot!("listing", listing(&image));
    let config: ImageConfig = serde_json::from_slice(&image.config.data).unwrap();
    let history: Vec<_> = config
        .history
        .iter()
        .filter_map(|step| step.created_by.as_deref())
        .collect();
    assert_eq!(
        history,
        [
            "longshore: base",
            "longshore: /probe",
            "longshore: files",
            "longshore: /api"
        ]
    );
}

#[test]
fn files_give_the_same_image_whatever_the_checkout_looks_like() {
    let (_a, spec, cache) = with_files(0o640);
    let first = assemble(&spec, &cache).unwrap();
    let (_b, mut spec, cache) = with_files(0o606);
    spec.files.reverse();
    assert_eq!(assemble(&spec, &cache).unwrap(), first);

    fs::write(spec.folder.join("web/index.html"), "other").unwrap();
    let changed = assemble(&spec, &cache).unwrap();
    let same = |index: usize| first.layers[index] == changed.layers[index];
    assert_eq!(
        [0, 1, 2].map(same),
        [true, false, true],
        "only the layer of files changes"
    );
}

#[test]
fn nothing_takes_the_place_of_something_else() {
    let (folder, spec, cache) = with_files(0o644);
    let probe = folder.path().join("probe");
    fs::write(&probe, static_elf(AMD64)).unwrap();
    let error = |file: ImageFile| {
        let spec = ImageSpec {
            files: vec![file],
            probe: Some(probe.clone()),
            ..spec.clone()
        };
        let error = assemble(&spec, &cache).unwrap_err();
        assert!(
            matches!(error, AssembleError::Files(TreeError::Taken { .. })),
            "{error}"
        );
        error.to_string()
    };
    let texts = [
        error(file("ca.pem", "/api")),
        error(file("run.sh", "/probe")),
        error(file("ca.pem", "/etc")),
        error(file("web", "/etc/passwd")),
    ];
    insta::assert_snapshot!(texts.join("\n"), @"
    `/api` in the image is the service's program: give the file another `to`
    `/probe` in the image is the probe (`probe = true`): give the file another `to`
    `/etc` in the image is a folder already: give the file another `to`
    `/etc/passwd` in the image is a file already, and no folder: give the file another `to`
    ");
    let named = ImageSpec {
        name: "probe".to_owned(),
        probe: Some(probe),
        files: Vec::new(),
        ..spec
    };
    assert!(matches!(
        assemble(&named, &cache),
        Err(AssembleError::Name(_))
    ));
}

#[test]
fn another_user_starts_where_it_may_be() {
    let (_folder, spec, cache) = fixture(AMD64);
    for (user, expected) in [
        (None, ("65532", "/home/nonroot")),
        (Some("65532:65532"), ("65532:65532", "/home/nonroot")),
        (Some("1000:1000"), ("1000:1000", "/")),
        (Some("0"), ("0", "/")),
    ] {
        let spec = ImageSpec {
            user: user.map(str::to_owned),
            ..spec.clone()
        };
        let image = assemble(&spec, &cache).unwrap();
        let config: ImageConfig = serde_json::from_slice(&image.config.data).unwrap();
        let found = (
            config.config.user.as_str(),
            config.config.working_dir.as_str(),
        );
        assert_eq!(found, expected);
    }
}

/// The digests of two whole images. They depend on nothing but Cargo.lock: where they differ on another machine, the
/// promise of the same digest for the same commit is broken.
#[test]
fn each_codec_gives_the_pinned_image() {
    for (compression, pinned) in [
        (
            Compression::Gzip,
            "sha256:1e90e6d4237fb544e3d763eaa31575415aa520dc228b6f99a992c65fd46cf7a0",
        ),
        (
            Compression::Zstd,
            "sha256:759d2d8fcbc95655771ea70a428fea1cb9897df83d137314106ad5d8fad20b81",
        ),
    ] {
        let (_folder, mut spec, cache) = with_files(0o644);
        spec.compression = compression;
        let image = assemble(&spec, &cache).unwrap();
        let manifest: Manifest = serde_json::from_slice(&image.manifest).unwrap();
        let kinds = |kind: &str| manifest.layers.iter().all(|layer| layer.media_type == kind);
        assert!(kinds(compression.media_type()));
        assert_eq!(manifest.media_type, media_type::MANIFEST);
        assert_eq!(
            image.manifest_digest.as_str(),
            pinned,
            "{compression:?}: after an update of a codec or of the base in Cargo.lock, put the new digest here and \
             note the update in the CHANGELOG"
        );
    }
}

#[test]
fn a_base_is_packed_like_the_rest_and_keeps_its_content() {
    let (_folder, mut spec, cache) = with_files(0o644);
    spec.base = Base::Registry(Box::new(base_image("amd64")));
    let gzip = assemble(&spec, &cache).unwrap();
    spec.compression = Compression::Zstd;
    let zstd = assemble(&spec, &cache).unwrap();
    assert_eq!(listing(&gzip), listing(&zstd));
    let diff_ids = |image: &Image| -> Vec<_> {
        image
            .layers
            .iter()
            .map(|layer| layer.diff_id.clone())
            .collect()
    };
    assert_eq!(diff_ids(&gzip), diff_ids(&zstd));
    assert!(
        zstd.layers
            .iter()
            .all(|layer| layer.media_type == media_type::LAYER_ZSTD)
    );

    // A base whose layer is not what its configuration names.
    let mut base = base_image("amd64");
    base.layers[0].data = base.layers[1].data.clone();
    spec.base = Base::Registry(Box::new(base));
    let error = assemble(&spec, &cache).unwrap_err();
    assert!(matches!(error, AssembleError::BaseLayer { .. }), "{error}");
}

#[test]
fn several_platforms_are_one_index() {
    let (_a, spec, cache) = fixture(AMD64);
    let amd64 = assemble(&spec, &cache).unwrap();
    let (_b, spec, _) = fixture(ARM64);
    let spec = ImageSpec {
        platform: Platform::LINUX_ARM64,
        ..spec
    };
    let arm64 = assemble(&spec, &cache).unwrap();

    let set = ImageSet::new(vec![arm64.clone(), amd64.clone()]).unwrap();
    assert_eq!(
        ImageSet::new(vec![amd64.clone(), arm64.clone()]).unwrap(),
        set
    );
    let index = set.index().unwrap();
    assert_eq!(set.digest(), &index.digest);
    assert_eq!(set.top(), *index);
    insta::assert_snapshot!(String::from_utf8_lossy(&index.data), @r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:2a60c067ba001585303bf148184ff53aac878761c05650bd11f66acde7928f0a","size":557,"platform":{"architecture":"amd64","os":"linux"}},{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:033a8a8023ec4f3a38008b4281db2d608620908c4b8a1b7a955854370fd0f504","size":557,"platform":{"architecture":"arm64","os":"linux"}}]}"#);
    // The base is the same for both, and there once.
    assert_eq!(set.blobs().len(), 1 + 2 + 2);
    assert!(set.size() < amd64.size() + arm64.size());

    let one = ImageSet::new(vec![amd64.clone()]).unwrap();
    assert_eq!(one.digest(), &amd64.manifest_digest);
    assert_eq!(one.top(), amd64.manifest_blob());
    assert!(one.index().is_none() && ImageSet::new(Vec::new()).is_none());
}
