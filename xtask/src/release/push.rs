//! The image into ECR, under the tags that people read.

use std::collections::BTreeMap;

use anyhow::Context as _;
use registry::{Basic, Client, Progress, Pushed, Registry};
use service_config::Service;

use super::Interrupt;
use super::build::mega;
use crate::cloud::Cloud;
use crate::exit::refused;
use crate::project::Commit;
use crate::ui::Ui;

/// Pushes an image; gives `repository@sha256:…`.
pub async fn push(
    cloud: &Cloud,
    service: &Service,
    images: &image::ImageSet,
    commit: &Commit,
    interrupt: &Interrupt,
    ui: &mut Ui,
) -> anyhow::Result<String> {
    let section = &service.pipeline.registry;
    let name = section.repository.as_str();
    ui.stage("push", &format!("to {name}"));
    let (repository, token) =
        tokio::try_join!(cloud.aws.repository(name), cloud.aws.registry_token())?;
    let repository = match repository {
        Some(repository) => repository,
        None if section.create.unwrap_or(false) => {
            ui.line(&format!("repository {name} is created"));
            cloud.aws.create_repository(name).await?
        }
        None => {
            return Err(refused(
                format!(
                    "there is no repository `{name}` in account {} ({})",
                    cloud.account, cloud.region
                ),
                Some(
                    "create it with your infrastructure code, or set `create = true` under [registry] in pipeline.toml",
                ),
            ));
        }
    };
    crate::ci::mask(&token.password);
    let (host, path) = repository
        .uri
        .split_once('/')
        .context("ECR's repository URI has no host")?;
    let client = Client::new(Registry::new(
        host,
        Some(Basic::new(token.user, token.password)),
    )?)?;
    // Sources that differ from their commit get a tag of their own, so that a commit's tag never moves.
    let tag = if commit.dirty {
        format!("{}-{}", commit.short(), &images.digest().hex()[..12])
    } else {
        commit.name.clone()
    };
    let mut tags = vec![tag];
    if section.latest.unwrap_or(false) {
        tags.push("latest".to_owned());
    }
    let pushed = tokio::select! {
        pushed = sent(&client, path, images, &tags, ui) => pushed?,
        // What was sent so far stays there, does no harm and need not be sent again.
        () = interrupt.came() => anyhow::bail!("interrupted in the middle of the push; nothing live was touched"),
    };
    let what = match pushed.uploaded_bytes {
        0 => "all of it was there already".to_owned(),
        bytes => format!("{:.1} MB sent", mega(bytes)),
    };
    ui.done(&format!("{}:{} ({what})", repository.uri, tags.join(", ")));
    Ok(format!("{}@{}", repository.uri, pushed.digest))
}

/// The reference that an image will have, without pushing it.
pub async fn reference(
    cloud: &Cloud,
    service: &Service,
    images: &image::ImageSet,
) -> anyhow::Result<String> {
    let name = service.pipeline.registry.repository.as_str();
    let Some(repository) = cloud.aws.repository(name).await? else {
        return Err(refused(
            format!(
                "there is no repository `{name}` in account {} ({})",
                cloud.account, cloud.region
            ),
            Some("the first `cargo xtask deploy` creates it where pipeline.toml says so"),
        ));
    };
    Ok(format!("{}@{}", repository.uri, images.digest()))
}

/// Pushes, and shows how far it is.
async fn sent(
    client: &Client,
    path: &str,
    images: &image::ImageSet,
    tags: &[String],
    ui: &mut Ui,
) -> Result<Pushed, registry::Error> {
    let (steps, mut seen) = tokio::sync::mpsc::unbounded_channel();
    // A receiver that is gone means that the push has ended.
    let push = client.push(path, images, tags, move |step| drop(steps.send(step)));
    tokio::pin!(push);
    let mut sizes = BTreeMap::new();
    loop {
        let step = tokio::select! {
            result = &mut push => return result,
            Some(step) = seen.recv() => step,
        };
        match step {
            Progress::BlobStarted { digest, size } => drop(sizes.insert(digest, (0, size))),
            Progress::BlobSent { digest, sent, size } => drop(sizes.insert(digest, (sent, size))),
            Progress::Retrying { reason, wait } => {
                ui.line(&format!(
                    "trying again in {:.1} s: {reason}",
                    wait.as_secs_f64()
                ));
            }
            Progress::BlobSkipped { .. } | Progress::BlobDone { .. } | Progress::Tagged { .. } => {}
        }
        let (sent, size) = sizes
            .values()
            .fold((0, 0), |(a, b), (sent, size)| (a + sent, b + size));
        let text = format!("{:.1} of {:.1} MB", mega(sent), mega(size));
        ui.spin_of(sent, size, &text);
    }
}
