//! From Go sources to an image, in memory and as a layout on disk.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image::{Cache, Compression, GoBuild, ImageFile, ImageSet, ImageSpec, Platform, ProbeBuild};
use service_config::Service;

use crate::cloud::build_folder;
use crate::project::{self, Commit, Project};
use crate::ui::Ui;

/// What a build gives.
pub struct Built {
    /// The image, or one for each platform.
    pub images: ImageSet,
    /// The OCI image layout that holds it.
    pub layout: PathBuf,
}

/// Builds the program and its image, for each platform.
pub async fn build(
    project: &Project,
    service: &Service,
    commit: &Commit,
    ui: &mut Ui,
) -> anyhow::Result<Built> {
    let pipeline = &service.pipeline;
    let section = &pipeline.build;
    let platforms: Vec<Platform> = section
        .platforms()
        .into_iter()
        .map(|platform| platform.name().parse())
        .collect::<Result<_, _>>()?;
    let folder = build_folder(project, service)?;
    let names: Vec<String> = platforms.iter().map(Platform::to_string).collect();
    let names = names.join(" and ");

    ui.stage(
        "build",
        &format!("go build {} for {names}", section.package),
    );
    let programs = platforms
        .iter()
        .map(|&platform| {
            if platforms.len() > 1 {
                ui.progress(&format!("for {platform}"));
            }
            tokio::task::block_in_place(|| programs(service, commit, platform, &folder))
        })
        .collect::<Result<Vec<_>, _>>()?;
    ui.done(&format!(
        "{} for {names}, commit {}",
        section.package,
        commit.short()
    ));

    if commit.name == project::UNVERSIONED {
        ui.line("note: this is no git repository with a commit: nothing will tell what the image was built from");
    }

    ui.stage("image", "layers, configuration, manifest");
    let cache = Cache::new(project.home()?.join("cache"));
    let mut images = Vec::new();
    for programs in programs {
        let spec = image_spec(service, commit, programs, &cache, ui).await?;
        images.push(tokio::task::block_in_place(|| {
            image::assemble(&spec, &cache)
        })?);
    }
    let images = ImageSet::new(images).context("no platform is named")?;
    let layout = folder.join("image");
    tokio::task::block_in_place(|| image::layout::write(&layout, &images, &commit.name))?;
    ui.done(&format!(
        "{} ({:.1} MB)",
        images.digest(),
        mega(images.size())
    ));
    Ok(Built { images, layout })
}

/// The programs of an image, on this machine.
struct Programs {
    platform: Platform,
    service: PathBuf,
    probe: Option<PathBuf>,
}

fn programs(
    service: &Service,
    commit: &Commit,
    platform: Platform,
    folder: &Path,
) -> Result<Programs, image::BuildError> {
    let section = &service.pipeline.build;
    let module_dir = folder_of(service);
    let env: Vec<(String, String)> = section
        .env
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let binary = image::go::build(&GoBuild {
        module_dir: module_dir.clone(),
        package: section.package.clone(),
        platform,
        commit_variable: section.commit_variable.clone(),
        commit: commit.name.clone(),
        ldflags: section.ldflags.clone().unwrap_or_default(),
        tags: section.tags.clone().unwrap_or_default(),
        env: env.clone(),
        output_dir: folder.join("bin"),
    })?;
    let wanted = service
        .pipeline
        .image
        .as_ref()
        .and_then(|image| image.probe);
    let probe = wanted.unwrap_or(false).then(|| {
        image::probe::build(&ProbeBuild {
            module_dir,
            platform,
            env,
            output_dir: folder.join("probe"),
        })
    });
    Ok(Programs {
        platform,
        service: binary,
        probe: probe.transpose()?,
    })
}

/// What pipeline.toml asks of the image.
async fn image_spec(
    service: &Service,
    commit: &Commit,
    programs: Programs,
    cache: &Cache,
    ui: &mut Ui,
) -> anyhow::Result<ImageSpec> {
    let name = programs
        .service
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("app")
        .to_owned();
    let mut spec = ImageSpec::new(programs.platform, programs.service, name, &commit.name);
    spec.folder = folder_of(service);
    spec.probe = programs.probe;
    let Some(section) = service.pipeline.image.clone() else {
        return Ok(spec);
    };
    if let Some(base) = &section.base {
        ui.progress(&format!("base {base}"));
        let base = registry::pull_base(base, programs.platform, None, cache).await?;
        spec.base = image::Base::Registry(Box::new(base));
    }
    spec.entrypoint = section.entrypoint;
    spec.user = section.user;
    spec.labels = section.labels.unwrap_or_default();
    spec.compression = match section.compression.unwrap_or_default() {
        service_config::Compression::Gzip => Compression::Gzip,
        service_config::Compression::Zstd => Compression::Zstd,
    };
    spec.files = section
        .files
        .into_iter()
        .flatten()
        .map(|file| ImageFile {
            from: file.from.into(),
            to: file.to,
        })
        .collect();
    Ok(spec)
}

/// The folder that paths in pipeline.toml are relative to.
fn folder_of(service: &Service) -> PathBuf {
    if service.folder.as_os_str().is_empty() {
        ".".into()
    } else {
        service.folder.clone()
    }
}

/// Bytes as megabytes, for people.
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
