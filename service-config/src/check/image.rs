//! What `[build]` and `[image]` may say of the image.

use diagnostic::Diagnostic;

use crate::File;
use crate::pipeline::{BuildSection, ImageSection, Pipeline};

pub(super) fn check(pipeline: &Pipeline, file: &File, problems: &mut Vec<Diagnostic>) {
    platforms(&pipeline.build, file, problems);
    if let Some(section) = &pipeline.image {
        user(section, file, problems);
        files(section, file, problems);
    }
}

fn platforms(section: &BuildSection, file: &File, problems: &mut Vec<Diagnostic>) {
    let Some(platforms) = &section.platforms else {
        return;
    };
    let path = &["build", "platforms"];
    let twice = (1..platforms.len()).find(|&index| platforms[..index].contains(&platforms[index]));
    let message = if section.platform.is_some() {
        "`platform` and `platforms` say the same thing twice; keep one of them".to_owned()
    } else if platforms.is_empty() {
        "an image for no platform runs nowhere".to_owned()
    } else if let Some(index) = twice {
        format!("`{}` is listed twice", platforms[index].name())
    } else {
        return;
    };
    problems.push(
        file.error("bad-platforms", path, message)
            .help("such as [\"linux/amd64\", \"linux/arm64\"]"),
    );
}

fn user(section: &ImageSection, file: &File, problems: &mut Vec<Diagnostic>) {
    let Some(user) = &section.user else {
        return;
    };
    let number =
        |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u32>().is_ok();
    let good = match user.split_once(':') {
        Some((user, group)) => number(user) && number(group),
        None => number(user),
    };
    if !good {
        problems.push(
            file.error(
                "not-a-user",
                &["image", "user"],
                format!("{user:?} is not a user by number"),
            )
            .help("write USER or USER:GROUP, such as \"65532:65532\""),
        );
    }
}

fn files(section: &ImageSection, file: &File, problems: &mut Vec<Diagnostic>) {
    for (index, entry) in section.files.iter().flatten().enumerate() {
        let index = index.to_string();
        let mut wrong = |member: &str, message: String| {
            problems.push(file.error(
                "bad-image-file",
                &["image", "files", &index, member],
                message,
            ));
        };
        let from = entry.from.as_str();
        if from.is_empty() || from.starts_with('/') || from.split('/').any(|part| part == "..") {
            wrong(
                "from",
                format!("{from:?} must be a path within the folder of this file"),
            );
        }
        let to = entry.to.as_str();
        let inner = to.strip_prefix('/').map(|rest| rest.trim_end_matches('/'));
        let clean = inner.is_some_and(|inner| {
            inner.is_empty() || !inner.split('/').any(|part| matches!(part, "" | "." | ".."))
        });
        if !clean {
            wrong(
                "to",
                format!("{to:?} must be an absolute path in the image, such as \"/app/web\""),
            );
        }
    }
}
