//! Where a service's Go sources are. Its module may lie in its folder, above it (one module with several services), or below it
//! (`./backend/cmd/api`); and a commit's name must not stand for sources that differ from it, wherever the build reads them.

use std::path::{Path, PathBuf};

use service_config::Service;

/// The folder of the service's module: the nearest with a go.mod, from the main package upwards; the service's own when there is none.
pub fn module(service: &Service) -> PathBuf {
    module_of(&service.folder, &service.pipeline.build.package)
}

fn module_of(folder: &Path, package: &str) -> PathBuf {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let named = package.strip_prefix("./");
    let from = named.map_or_else(|| folder.clone(), |path| folder.join(path));
    nearest(&from, "go.mod").unwrap_or(folder)
}

/// The nearest folder that holds a file of that name, upwards.
fn nearest(from: &Path, name: &str) -> Option<PathBuf> {
    from.ancestors()
        .find(|folder| folder.join(name).is_file())
        .map(Path::to_path_buf)
}

/// The folders of a service's sources: its own; that of its module; that of the workspace (go.work) over the module; and those that
/// `replace` points to on this disk.
pub fn folders(service: &Service) -> Vec<PathBuf> {
    let module = module(service);
    let folder = &service.folder;
    let mut folders = vec![std::path::absolute(folder).unwrap_or_else(|_| folder.clone())];
    let workspace = match std::env::var_os("GOWORK") {
        Some(value) if value == "off" => None,
        Some(value) if !value.is_empty() => Path::new(&value).parent().map(Path::to_path_buf),
        _ => nearest(&module, "go.work"),
    };
    for (folder, file) in [(Some(module), "go.mod"), (workspace, "go.work")] {
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
    fn a_module_lies_in_the_services_folder_above_it_or_below_it() {
        let top = tempfile::tempdir().unwrap();
        for (mods, folder, package, expected) in [
            (vec!["one"], "one", "./cmd/server", "one"),
            (vec!["two"], "two/services/api", "./cmd/server", "two"),
            (
                vec!["three/backend"],
                "three",
                "./backend/cmd/api",
                "three/backend",
            ),
            (
                vec!["four/backend"],
                "four",
                "example.com/four/cmd/api",
                "four",
            ),
            (vec![], "five", ".", "five"),
        ] {
            for module in mods {
                let module = top.path().join(module);
                std::fs::create_dir_all(&module).unwrap();
                std::fs::write(module.join("go.mod"), "module example.com/x\n").unwrap();
            }
            let found = module_of(&top.path().join(folder), package);
            assert_eq!(found, top.path().join(expected), "{folder} {package}");
        }
    }

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
