//! Which folders a build reads, so that a change in any of them is known for one: a commit's name must not stand for sources that
//! differ from it.

use std::path::{Path, PathBuf};

/// The folders of a service's sources: its own; that of its module, the nearest above with a go.mod; that of the workspace (go.work)
/// over the module; and those that `replace` points to on this disk.
pub fn folders(service: &Path) -> Vec<PathBuf> {
    let service = std::path::absolute(service).unwrap_or_else(|_| service.to_path_buf());
    let mut folders = vec![service.clone()];
    let nearest = |from: &Path, name: &str| {
        from.ancestors()
            .find(|folder| folder.join(name).is_file())
            .map(Path::to_path_buf)
    };
    let workspace = match std::env::var_os("GOWORK") {
        Some(value) if value == "off" => None,
        Some(value) if !value.is_empty() => Path::new(&value).parent().map(Path::to_path_buf),
        _ => nearest(&service, "go.work"),
    };
    let module = nearest(&service, "go.mod");
    for (folder, file) in [(module, "go.mod"), (workspace, "go.work")] {
        let Some(folder) = folder else { continue };
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        folders.extend(replacements(&text).map(|path| folder.join(path)));
        folders.push(folder);
    }
    // git refuses a folder that is not there; Go has its own words for it.
    folders.retain(|folder| folder.exists());
    folders.sort();
    folders.dedup();
    folders
}

/// Paths on this disk in the `replace` lines of a go.mod or go.work: they begin with `./` or `../` (Go Modules Reference, "replace
/// directive"). Absolute ones are on one machine only and no part of the repository.
fn replacements(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.split("//").next().unwrap_or_default();
        let (_, path) = line.split_once("=>")?;
        let path = path.trim().trim_matches(['"', '`']);
        (path.starts_with("./") || path.starts_with("../")).then_some(path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_replacements_are_found() {
        let text = "module example.com/shop\n\nreplace example.com/a => ../a // ours\nreplace (\n\texample.com/b v1.0.0 => ./b\n\t\
                    example.com/c => example.com/d v1.2.3\n\texample.com/e => \"../e\"\n)\n";
        assert_eq!(
            replacements(text).collect::<Vec<_>>(),
            ["../a", "./b", "../e"]
        );
    }
}
