//! Files and folders of a service that go into its image beside the program.
//!
//! What a checkout leaves to chance stays out: owners are root, times are 0, of the permission bits only the owner's
//! "executable" counts. Symbolic links are followed, and one that leads out of the service's folder is refused:
//! an image must not depend on, or give away, what lies elsewhere on the machine that builds it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::{self, FileError};

/// A file or folder that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// Where it is, relative to the service's folder.
    pub from: PathBuf,
    /// Where it goes: an absolute path in the image. A folder's content goes into it; a file goes into it when it ends
    /// with a slash, and otherwise becomes it.
    pub to: String,
}

/// More than this in one image is a mistake, such as a data set or a build folder.
const LIMIT: u64 = 1 << 30;

/// Never content, and different on each machine.
const NEVER: [&str; 2] = [".git", ".longshore"];

/// A file cannot go into the image.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The target is no path in an image.
    #[error("`{to}` is no place in an image: {reason}")]
    Target {
        /// The target.
        to: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There is no such file.
    #[error("there is no `{}` in {}: paths under `files` are relative to the service's folder", from.display(), folder.display())]
    Missing {
        /// What was asked for.
        from: PathBuf,
        /// The service's folder.
        folder: PathBuf,
    },
    /// It leads out of the service's folder.
    #[error(
        "{} leads out of the service's folder, to {}: only what lies in {} can go into the image; copy it there",
        path.display(), target.display(), folder.display()
    )]
    Outside {
        /// The file or link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
        /// The service's folder.
        folder: PathBuf,
    },
    /// A link without a target.
    #[error("the symbolic link {} leads nowhere: remove it, or make what it names", .0.display())]
    Dangling(PathBuf),
    /// A link into a folder above it.
    #[error("{} is a folder that holds itself, by a symbolic link: the content would have no end", .0.display())]
    Loop(PathBuf),
    /// A socket, pipe or device.
    #[error("{} is neither a file nor a folder nor a link to one", .0.display())]
    Kind(PathBuf),
    /// A name that is not text.
    #[error("the name of {} is not UTF-8: rename it", .0.display())]
    Name(PathBuf),
    /// Two files for one place.
    #[error("two files would go to `/{0}` in the image: give one of them another `to`")]
    Twice(String),
    /// Something else lies there.
    #[error("`/{path}` in the image is {what}: give the file another `to`")]
    Taken {
        /// The path, without its leading slash.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// Too much.
    #[error("the files of the image are more than {} MB with {}: name the folders that the program needs", LIMIT / 1_000_000, .0.display())]
    TooLarge(PathBuf),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

/// What goes to one path of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// A folder, readable by all.
    Folder,
    /// A file.
    File {
        /// Its bytes.
        data: Vec<u8>,
        /// Whether its owner may execute it.
        executable: bool,
    },
}

/// Everything that goes into the image, by its path without the leading slash.
///
/// # Errors
///
/// See [`TreeError`].
pub(crate) fn collect(
    folder: &Path,
    files: &[ImageFile],
) -> Result<BTreeMap<String, Found>, TreeError> {
    let root = folder.canonicalize().map_err(|source| FileError::Other {
        verb: "read",
        path: folder.to_owned(),
        source,
    })?;
    let mut walk = Walk {
        root,
        size: 0,
        found: BTreeMap::new(),
    };
    for file in files {
        let to = target(&file.to)?;
        let path = walk.root.join(&file.from);
        let real = path.canonicalize().map_err(|_| TreeError::Missing {
            from: file.from.clone(),
            folder: walk.root.clone(),
        })?;
        walk.inside(&path, &real)?;
        let to = match (real.is_dir(), file.to.ends_with('/')) {
            (false, true) => join(&to, &name_of(&path)?),
            (false, false) if to.is_empty() => {
                return Err(TreeError::Target {
                    to: file.to.clone(),
                    reason: "a file needs a name there; end a folder with `/`",
                });
            }
            _ => to,
        };
        walk.add(&path, real, &to, &mut Vec::new())?;
    }
    Ok(walk.found)
}

struct Walk {
    root: PathBuf,
    size: u64,
    found: BTreeMap<String, Found>,
}

impl Walk {
    fn inside(&self, path: &Path, real: &Path) -> Result<(), TreeError> {
        if real.starts_with(&self.root) {
            return Ok(());
        }
        Err(TreeError::Outside {
            path: path.to_owned(),
            target: real.to_owned(),
            folder: self.root.clone(),
        })
    }

    /// Adds the file or folder `real`, met as `path`, within the folders `above`.
    fn add(
        &mut self,
        path: &Path,
        real: PathBuf,
        to: &str,
        above: &mut Vec<PathBuf>,
    ) -> Result<(), TreeError> {
        let failed = |source| FileError::Other {
            verb: "read",
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(&real).map_err(failed)?;
        if metadata.is_file() {
            self.size += metadata.len();
            if self.size > LIMIT {
                return Err(TreeError::TooLarge(path.to_owned()));
            }
            let found = Found::File {
                data: files::read(&real)?,
                executable: is_executable(&metadata),
            };
            return match self.found.insert(to.to_owned(), found) {
                None => Ok(()),
                Some(_) => Err(TreeError::Twice(to.to_owned())),
            };
        }
        if !metadata.is_dir() {
            return Err(TreeError::Kind(path.to_owned()));
        }
        if above.contains(&real) {
            return Err(TreeError::Loop(path.to_owned()));
        }
        // The root of the image is no folder to make.
        if !to.is_empty()
            && let Some(Found::File { .. }) = self.found.insert(to.to_owned(), Found::Folder)
        {
            return Err(TreeError::Twice(to.to_owned()));
        }
        let mut entries = fs::read_dir(&real)
            .and_then(Iterator::collect::<io::Result<Vec<_>>>)
            .map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        above.push(real);
        for entry in entries {
            let real = entry.path();
            let name = name_of(&real)?;
            let path = path.join(&name);
            if NEVER.contains(&name.as_str()) {
                continue;
            }
            let real = if entry.file_type().map_err(failed)?.is_symlink() {
                let real = real
                    .canonicalize()
                    .map_err(|_| TreeError::Dangling(path.clone()))?;
                self.inside(&path, &real)?;
                real
            } else {
                real
            };
            self.add(&path, real, &join(to, &name), above)?;
        }
        above.pop();
        Ok(())
    }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

fn name_of(path: &Path) -> Result<String, TreeError> {
    path.file_name()
        .and_then(|name| name.to_str())
        .map(str::to_owned)
        .ok_or_else(|| TreeError::Name(path.to_owned()))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// A path in the image without the slashes at its ends; empty for the root.
fn target(to: &str) -> Result<String, TreeError> {
    let bad = |reason| {
        Err(TreeError::Target {
            to: to.to_owned(),
            reason,
        })
    };
    let Some(rest) = to.strip_prefix('/') else {
        return bad("it must begin with `/`");
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains('\0') {
        return bad("it holds a NUL");
    }
    let clean = rest
        .split('/')
        .all(|part| !part.is_empty() && part != "." && part != "..");
    if !clean && !rest.is_empty() {
        return bad("it must hold neither `.` nor `..` nor `//`");
    }
    Ok(rest.to_owned())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, mode) in [
            ("service/web/index.html", 0o600),
            ("service/web/js/app.js", 0o664),
            ("service/web/run.sh", 0o700),
            ("service/web/.git/HEAD", 0o644),
            ("service/notes.txt", 0o644),
            ("elsewhere/secret", 0o644),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        folder
    }

    fn file(from: &str, to: &str) -> ImageFile {
        ImageFile {
            from: from.into(),
            to: to.to_owned(),
        }
    }

    fn listed(folder: &TempDir, files: &[ImageFile]) -> Result<String, String> {
        let found = collect(&folder.path().join("service"), files);
        let text = |(path, found): (&String, &Found)| match found {
            Found::Folder => format!("{path}/"),
            Found::File { data, executable } => {
                let mark = if *executable { "*" } else { "" };
                format!("{path}{mark}={}", String::from_utf8_lossy(data))
            }
        };
        let root = folder.path().canonicalize().unwrap();
        match found {
            Ok(found) => Ok(found.iter().map(text).collect::<Vec<_>>().join(" ")),
            Err(error) => Err(error.to_string().replace(&root.display().to_string(), "")),
        }
    }

    #[test]
    fn folders_and_files_go_where_they_are_sent() {
        let folder = folder();
        for (from, to, expected) in [
            (
                "web",
                "/srv/web",
                "srv/web/ srv/web/index.html=index.html srv/web/js/ srv/web/js/app.js=app.js srv/web/run.sh*=run.sh",
            ),
            ("web/js", "/", "app.js=app.js"),
            ("./web/js/", "/a/", "a/ a/app.js=app.js"),
            ("notes.txt", "/etc/about", "etc/about=notes.txt"),
            ("notes.txt", "/etc/", "etc/notes.txt=notes.txt"),
            ("notes.txt", "/", "notes.txt=notes.txt"),
        ] {
            assert_eq!(
                listed(&folder, &[file(from, to)]).as_deref(),
                Ok(expected),
                "{from} to {to}"
            );
        }
        // Two folders may share one place.
        let both = [file("web/js", "/a"), file("notes.txt", "/a/js/")];
        assert_eq!(
            listed(&folder, &both).as_deref(),
            Ok("a/ a/app.js=app.js a/js/notes.txt=notes.txt")
        );
    }

    #[test]
    fn links_are_followed_within_the_folder_and_refused_beyond_it() {
        let folder = folder();
        let web = folder.path().join("service/web");
        symlink("../../notes.txt", web.join("js/notes")).unwrap();
        symlink("js", web.join("scripts")).unwrap();
        assert_eq!(
            listed(&folder, &[file("web/scripts", "/s")]).as_deref(),
            Ok("s/ s/app.js=app.js s/notes=notes.txt"),
            "a link that is named itself"
        );
        let all = listed(&folder, &[file("web", "/w")]).unwrap();
        assert!(
            all.contains("w/js/notes=notes.txt") && all.contains("w/scripts/notes=notes.txt"),
            "{all}"
        );

        let refused = |link: &str, to: &str| {
            let path = web.join(link);
            symlink(to, &path).unwrap();
            let error = listed(&folder, &[file("web", "/w")]).unwrap_err();
            fs::remove_file(path).unwrap();
            error
        };
        let texts = [
            refused("out", "../../elsewhere/secret"),
            refused("far", "/etc/hosts"),
            refused("gone", "nothing"),
            refused("around", ".."),
        ];
        insta::assert_snapshot!(texts.join("\n"), @"
        /service/web/out leads out of the service's folder, to /elsewhere/secret: only what lies in /service can go into the image; copy it there
        /service/web/far leads out of the service's folder, to /etc/hosts: only what lies in /service can go into the image; copy it there
        the symbolic link /service/web/gone leads nowhere: remove it, or make what it names
        /service/web/around/web is a folder that holds itself, by a symbolic link: the content would have no end
        ");
    }

    #[test]
    fn what_cannot_go_in_is_named() {
        let folder = folder();
        let service = folder.path().join("service");
        let _listener = std::os::unix::net::UnixListener::bind(service.join("socket")).unwrap();
        let texts: Vec<String> = [
            vec![file("missing", "/a")],
            vec![file("../elsewhere", "/a")],
            vec![file("/etc", "/a")],
            vec![file("web", "a")],
            vec![file("web", "/a/../b")],
            vec![file("socket", "/a")],
            vec![file("notes.txt", "/a"), file("web/run.sh", "/a")],
            vec![file("notes.txt", "/a"), file("web", "/a")],
        ]
        .into_iter()
        .map(|files| listed(&folder, &files).unwrap_err())
        .collect();
        insta::assert_snapshot!(texts.join("\n"), @"
        there is no `missing` in /service: paths under `files` are relative to the service's folder
        /service/../elsewhere leads out of the service's folder, to /elsewhere: only what lies in /service can go into the image; copy it there
        /etc leads out of the service's folder, to /etc: only what lies in /service can go into the image; copy it there
        `a` is no place in an image: it must begin with `/`
        `/a/../b` is no place in an image: it must hold neither `.` nor `..` nor `//`
        /service/socket is neither a file nor a folder nor a link to one
        two files would go to `/a` in the image: give one of them another `to`
        two files would go to `/a` in the image: give one of them another `to`
        ");
    }
}
