//! Where the machine keeps PostgreSQL's programs.

use std::path::{Path, PathBuf};

/// Folders that distributions install versions in: parent, what stands before the version, what stands behind it.
const VERSIONED: [(&str, &str, &str); 4] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// A folder with `initdb`, `pg_ctl`, `postgres` and `createdb`.
#[derive(Clone, Debug)]
pub(super) struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// The first such folder on PATH, else the highest version of the usual places.
    pub(super) fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).find(|folder| complete(folder));
        on_path
            .or_else(|| {
                VERSIONED
                    .iter()
                    .flat_map(|(parent, before, behind)| {
                        versions(Path::new(parent), before, behind)
                    })
                    .filter(|(_, folder)| complete(folder))
                    .max_by_key(|(version, _)| *version)
                    .map(|(_, folder)| folder)
            })
            .map(|folder| Self { folder })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn complete(folder: &Path) -> bool {
    ["initdb", "pg_ctl", "postgres", "createdb"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

/// The versions below `parent`, each with its folder.
fn versions(parent: &Path, before: &str, behind: &str) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(parent) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(before)?.parse().ok()?;
            Some((version, entry.path().join(behind)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["pgsql-9", "pgsql-15", "pgsql-old", "other"] {
            std::fs::create_dir(parent.path().join(name)).unwrap();
        }
        let mut found = versions(parent.path(), "pgsql-", "bin");
        found.sort();
        let folder = |name: &str| parent.path().join(name).join("bin");
        assert_eq!(found, [(9, folder("pgsql-9")), (15, folder("pgsql-15"))]);
        assert!(!complete(parent.path()));
    }
}
