//! From Go sources to an image, in memory and as a layout on disk.

use std::path::PathBuf;

use image::{Cache, GoBuild, Image, ImageSpec, Platform};
use service_config::Service;

use crate::cloud::build_folder;
use crate::project::{Commit, Project};
use crate::ui::Ui;

/// An image that was built.
pub struct Built {
    /// The image.
    pub image: Image,
    /// The OCI image layout that holds it.
    pub layout: PathBuf,
}

/// Builds the program and its image.
pub async fn build(
    project: &Project,
    service: &Service,
    commit: &Commit,
    ui: &mut Ui,
) -> anyhow::Result<Built> {
    let pipeline = &service.pipeline;
    let section = &pipeline.build;
    let platform: Platform = section.platform.unwrap_or_default().name().parse()?;
    let folder = build_folder(project, service)?;

    ui.stage(
        "build",
        &format!("go build {} for {platform}", section.package),
    );
    let go = GoBuild {
        module_dir: if service.folder.as_os_str().is_empty() {
            ".".into()
        } else {
            service.folder.clone()
        },
        package: section.package.clone(),
        platform,
        commit_variable: section.commit_variable.clone(),
        commit: commit.name.clone(),
        ldflags: section.ldflags.clone().unwrap_or_default(),
        tags: section.tags.clone().unwrap_or_default(),
        env: section
            .env
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
        output_dir: folder.join("bin"),
    };
    let binary = tokio::task::block_in_place(|| image::go::build(&go))?;
    ui.done(&format!(
        "{} for {platform}, commit {}",
        section.package,
        commit.short()
    ));

    ui.stage("image", "layers, configuration, manifest");
    let name = binary
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("app")
        .to_owned();
    let mut spec = ImageSpec::new(platform, &binary, name, &commit.name);
    let cache = Cache::new(project.home()?.join("cache"));
    if let Some(section) = &pipeline.image {
        if let Some(base) = &section.base {
            ui.progress(&format!("base {base}"));
            let base = registry::pull_base(base, platform, None, &cache).await?;
            spec.base = image::Base::Registry(Box::new(base));
        }
        spec.entrypoint.clone_from(&section.entrypoint);
        spec.labels
            .extend(section.labels.clone().unwrap_or_default());
    }
    let image = tokio::task::block_in_place(|| image::assemble(&spec, &cache))?;
    let layout = folder.join("image");
    image::layout::write(&layout, &image, &commit.name)?;
    let size = image.size();
    ui.done(&format!("{} ({:.1} MB)", image.manifest_digest, mega(size)));
    Ok(Built { image, layout })
}

/// Bytes as megabytes, for people.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
