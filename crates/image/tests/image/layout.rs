//! Images on disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use image::{ImageSet, ImageSpec, LayoutError, Platform, assemble, layout};

use crate::{AMD64, ARM64, fixture};

#[test]
fn a_layout_round_trips_and_keeps_its_blobs() {
    let (folder, spec, cache) = fixture(AMD64);
    let image = assemble(&spec, &cache).unwrap();
    let layout = folder.path().join("layout");
    layout::write(&layout, &image.clone().into(), "0123abc").unwrap();
    assert_eq!(layout::read(&layout).unwrap(), image.clone().into());

    let blobs = |layout: &Path| fs::read_dir(layout.join("blobs/sha256")).unwrap().count();
    let before = blobs(&layout);
    let other = assemble(
        &ImageSpec {
            commit: "4567def".to_owned(),
            ..spec
        },
        &cache,
    )
    .unwrap();
    layout::write(&layout, &other.clone().into(), "4567def").unwrap();
    assert_eq!(layout::read(&layout).unwrap(), other.clone().into());
    assert_eq!(
        blobs(&layout),
        before + 2,
        "a new configuration and a new manifest; the layers are shared"
    );
}

#[test]
fn a_damaged_layout_is_refused_and_mended_by_writing_again() {
    let (folder, spec, cache) = fixture(AMD64);
    let image = assemble(&spec, &cache).unwrap();
    let layout = folder.path().join("layout");
    layout::write(&layout, &image.clone().into(), "x").unwrap();
    for digest in [
        &image.manifest_digest,
        &image.config.digest,
        &image.layers[1].digest,
    ] {
        fs::write(layout.join("blobs/sha256").join(digest.hex()), "damage").unwrap();
        assert!(
            matches!(layout::read(&layout), Err(LayoutError::Damaged { .. })),
            "{digest}"
        );
        layout::write(&layout, &image.clone().into(), "x").unwrap();
        assert_eq!(layout::read(&layout).unwrap(), image.clone().into());
    }
    fs::write(layout.join("index.json"), "{}").unwrap();
    assert!(matches!(
        layout::read(&layout),
        Err(LayoutError::Invalid { .. })
    ));
}

#[test]
fn a_layout_of_several_platforms_round_trips() {
    let (folder, spec, cache) = fixture(AMD64);
    let amd64 = assemble(&spec, &cache).unwrap();
    let (_other, spec, _) = fixture(ARM64);
    let spec = ImageSpec {
        platform: Platform::LINUX_ARM64,
        ..spec
    };
    let arm64 = assemble(&spec, &cache).unwrap();
    let set = ImageSet::new(vec![amd64, arm64]).unwrap();
    let layout = folder.path().join("layout");
    layout::write(&layout, &set, "x").unwrap();
    assert_eq!(layout::read(&layout).unwrap(), set);
    let top = fs::read_to_string(layout.join("index.json")).unwrap();
    assert_eq!(top.matches("sha256:").count(), 1, "{top}");
    assert!(top.contains(set.digest().as_str()), "{top}");
}

#[test]
fn what_earlier_builds_left_goes_after_a_while() {
    let (folder, spec, cache) = fixture(AMD64);
    let image = ImageSet::from(assemble(&spec, &cache).unwrap());
    let layout = folder.path().join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let hours = |hours: u64| SystemTime::now() - Duration::from_hours(hours);
    for (name, age) in [("old", hours(2)), ("new", hours(0))] {
        let file = fs::File::create(blobs.join(name)).unwrap();
        file.set_modified(age).unwrap();
    }
    layout::write(&layout, &image, "x").unwrap();
    assert!(!blobs.join("old").exists() && blobs.join("new").exists());
    assert_eq!(layout::read(&layout).unwrap(), image);
}
