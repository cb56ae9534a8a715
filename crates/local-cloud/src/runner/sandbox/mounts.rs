//! The file system a container sees.
//!
//! The image is the lower half of an overlay whose upper half is memory: nothing a container writes reaches the disk or another container. What of `/proc` is hidden or
//! read-only, and which devices there are, follows the OCI runtime specification, "Default Filesystems" and "Default Devices", and what container runtimes mask.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root};

use super::failed;
use super::protocol::{Container, Mode};
use crate::runner::rooted;

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Folders and files of `/proc` that speak of the whole machine: hidden.
const HIDDEN: [&str; 9] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
];
/// Those that may be read but change the whole machine when written to.
const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];
/// Docker's default for `/dev/shm`.
const SHARED_MEMORY: &str = "mode=1777,size=64m";

/// A view of the task's own processes for `init`.
pub(super) fn proc_for_init() -> Result<(), String> {
    mount_new("proc", Path::new("/proc"), MsFlags::MS_NOEXEC, "")
}

/// Tries on scratch folders in memory what [`enter_root`] needs.
pub(super) fn probe(mode: Mode) -> Result<(), String> {
    // Any folder but /proc will do: only this process sees it covered.
    let scratch = Path::new("/dev");
    mount_new("tmpfs", scratch, MsFlags::empty(), "mode=0755")?;
    chdir(scratch).map_err(failed("chdir"))?;
    for folder in ["lower", "upper", "work", "root"] {
        std::fs::create_dir(folder).map_err(failed(folder))?;
    }
    overlay(mode)
}

/// Makes the root of a container below the current folder (the task's) and makes it this process's root. The process must have a mount namespace of its own.
pub(super) fn enter_root(
    mode: Mode,
    container: &Container,
    index: usize,
    hostname: &str,
) -> Result<(), String> {
    let base = format!("root-{index}");
    create_dir(Path::new(&base))?;
    mount_new("tmpfs", Path::new(&base), MsFlags::empty(), "mode=0755")?;
    chdir(base.as_str()).map_err(failed(&base))?;
    for folder in ["lower", "upper", "work", "root"] {
        create_dir(Path::new(folder))?;
    }
    bind(&container.root, Path::new("lower"))?;
    let image = std::fs::metadata("lower").map_err(failed("lower"))?;
    if mode == Mode::Root {
        lchown("upper", Some(image.uid()), Some(image.gid())).map_err(failed("upper"))?;
    }
    std::fs::set_permissions("upper", Permissions::from_mode(image.mode() & 0o7777))
        .map_err(failed("upper"))?;
    overlay(mode)?;

    let root = Path::new("root");
    mount_point(root, "proc")?;
    mount_new("proc", &root.join("proc"), MsFlags::MS_NOEXEC, "")?;
    devices(root)?;
    names(root, hostname)?;
    working_directory(root, &container.process.cwd)?;

    chdir(root).map_err(failed("chdir root"))?;
    pivot_root(".", ".").map_err(failed("pivot_root"))?;
    umount2(".", MntFlags::MNT_DETACH).map_err(failed("unmount the old root"))?;
    chdir("/").map_err(failed("chdir /"))?;
    Ok(())
}

/// The last changes, after which the container cannot change the machine through `/proc`, nor its own root when that is read-only.
pub(super) fn seal(readonly_root: bool) -> Result<(), String> {
    for path in READ_ONLY.map(Path::new) {
        if path.exists() {
            bind(path, path)?;
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            read_only(path, flags)?;
        }
    }
    for path in HIDDEN.map(Path::new) {
        match path.metadata() {
            Ok(found) if found.is_dir() => {
                mount_new("tmpfs", path, MsFlags::MS_RDONLY, "size=0")?;
            }
            Ok(_) => bind(Path::new("/dev/null"), path)?,
            Err(_) => {}
        }
    }
    if readonly_root {
        read_only(Path::new("/"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV)?;
    }
    Ok(())
}

fn overlay(mode: Mode) -> Result<(), String> {
    let options = match mode {
        // In a user namespace the overlay may keep its notes only in attributes of this kind.
        Mode::User => "lowerdir=lower,upperdir=upper,workdir=work,userxattr",
        Mode::Root | Mode::Plain => "lowerdir=lower,upperdir=upper,workdir=work",
    };
    mount_new("overlay", Path::new("root"), MsFlags::MS_NODEV, options)
}

fn devices(root: &Path) -> Result<(), String> {
    mount_point(root, "dev")?;
    let dev = root.join("dev");
    // Without the flag that forbids devices: the files below are the machine's own.
    mount(
        Some("tmpfs"),
        &dev,
        Some("tmpfs"),
        MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC,
        Some("mode=0755,size=64k"),
    )
    .map_err(failed("mount /dev"))?;
    for name in DEVICES {
        let device = dev.join(name);
        File::create(&device).map_err(failed(name))?;
        bind(&Path::new("/dev").join(name), &device)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).map_err(failed(name))?;
    }
    create_dir(&dev.join("shm"))?;
    mount_new("tmpfs", &dev.join("shm"), MsFlags::MS_NOEXEC, SHARED_MEMORY)
}

/// `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`, as runtimes write them. The task has no network but its own loopback, so no name server answers.
fn names(root: &Path, hostname: &str) -> Result<(), String> {
    for (path, text) in [
        (
            "etc/hosts",
            format!("127.0.0.1 localhost\n127.0.0.1 {hostname}\n"),
        ),
        ("etc/hostname", format!("{hostname}\n")),
        ("etc/resolv.conf", "nameserver 127.0.0.1\n".to_owned()),
    ] {
        let write = || -> io::Result<()> {
            let file = rooted::resolve_parent(root, Path::new(path))?;
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            if file.symlink_metadata().is_ok() {
                std::fs::remove_file(&file)?;
            }
            std::fs::write(&file, &text)?;
            std::fs::set_permissions(&file, Permissions::from_mode(0o644))
        };
        write().map_err(failed(path))?;
    }
    Ok(())
}

/// Runtimes make a working directory that is missing.
pub(super) fn working_directory(root: &Path, cwd: &str) -> Result<(), String> {
    let folder = rooted::resolve(root, Path::new(cwd)).map_err(failed(cwd))?;
    std::fs::create_dir_all(folder).map_err(failed(cwd))
}

/// A folder of the image to mount on; a link or file in its place goes.
fn mount_point(root: &Path, name: &str) -> Result<(), String> {
    let path = root.join(name);
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => std::fs::remove_file(&path).map_err(failed(name))?,
        Err(_) => {}
    }
    create_dir(&path)
}

fn create_dir(path: &Path) -> Result<(), String> {
    std::fs::create_dir(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn mount_new(kind: &str, path: &Path, flags: MsFlags, options: &str) -> Result<(), String> {
    mount(
        Some(kind),
        path,
        Some(kind),
        flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options),
    )
    .map_err(|error| format!("mount {kind} on {}: {error}", path.display()))
}

fn bind(from: &Path, to: &Path) -> Result<(), String> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(|error: Errno| format!("bind {} on {}: {error}", from.display(), to.display()))
}

fn read_only(path: &Path, flags: MsFlags) -> Result<(), String> {
    mount(
        None::<&str>,
        path,
        None::<&str>,
        MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | flags,
        None::<&str>,
    )
    .map_err(|error| format!("make {} read-only: {error}", path.display()))
}
