//! Images, a host and a runner for the tests.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use local_cloud::runner::{Helper, Host, Isolation, Runner};
use local_cloud::task::{ContainerSpec, Effect, LogTarget, Millis, Report, TaskSpec};
use serde_json::json;
use tempfile::TempDir;

use crate::layers::{LayerBuilder, digest, gzip};

/// First argument of this binary as a helper process.
pub const HELPER: &str = "--sandbox-helper";
/// Path of the Go program, for a run of this binary by another user, which may have no Go.
pub const PROGRAM: &str = "RUNNER_TEST_PROGRAM";
pub const ID: &str = "0123456789abcdef0123456789abcdef";
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a test cannot run on this machine.
pub struct Skip(pub String);

/// The program of `program.go`, built once.
pub fn program() -> Result<Vec<u8>, Skip> {
    static BUILT: std::sync::OnceLock<Result<Vec<u8>, String>> = std::sync::OnceLock::new();
    BUILT.get_or_init(build).clone().map_err(Skip)
}

fn build() -> Result<Vec<u8>, String> {
    if let Some(path) = std::env::var_os(PROGRAM) {
        return Ok(std::fs::read(path).unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("program");
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(&output)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runner/program.go"))
        .envs([("CGO_ENABLED", "0"), ("GOFLAGS", ""), ("GOOS", "linux")])
        .current_dir(folder.path())
        .status()
        .map_err(|_| "go is not on PATH".to_owned())?;
    assert!(status.success(), "go build failed");
    Ok(std::fs::read(output).unwrap())
}

#[derive(Default)]
struct Seen {
    reports: Vec<Report>,
    lines: Vec<(String, String)>,
}

/// A registry in a folder, fixed secrets, and a memory of what was told.
pub struct TestHost {
    folder: PathBuf,
    manifests: Mutex<BTreeMap<String, Vec<u8>>>,
    seen: Mutex<Seen>,
    change: Condvar,
    pub forwards: Mutex<Vec<SocketAddr>>,
}

impl Host for TestHost {
    fn secret(&self, value_from: &str) -> Result<String, String> {
        match value_from {
            "/app/password" => Ok("hunter2".to_owned()),
            _ => Err(format!("invalid parameters: {value_from}")),
        }
    }

    fn manifest(&self, image: &str) -> Result<(String, Vec<u8>), String> {
        let manifests = self.manifests.lock().unwrap();
        let bytes = manifests
            .get(image)
            .ok_or_else(|| format!("{image}: not found"))?;
        Ok((digest(bytes), bytes.clone()))
    }

    fn blob(&self, _image: &str, digest: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(digest);
        path.exists()
            .then_some(path)
            .ok_or_else(|| format!("{digest}: not found"))
    }

    fn create_log_group(&self, _group: &str) {}

    fn log_group_exists(&self, group: &str) -> bool {
        group == "/there"
    }

    fn log(&self, target: &LogTarget, at: Millis, line: &str) {
        assert!(at > 1_600_000_000_000);
        let mut seen = self.seen.lock().unwrap();
        seen.lines.push((target.stream.clone(), line.to_owned()));
        self.change.notify_all();
    }

    fn report(&self, report: Report) {
        self.seen.lock().unwrap().reports.push(report);
        self.change.notify_all();
    }

    fn forwards(&self) -> Vec<SocketAddr> {
        self.forwards.lock().unwrap().clone()
    }
}

/// A runner with all around it, in a folder that goes with it.
pub struct Bench {
    pub runtime: tokio::runtime::Runtime,
    pub host: Arc<TestHost>,
    pub runner: Option<Arc<Runner>>,
    pub folder: TempDir,
}

impl Bench {
    /// A runner whose registry has the image `host/app:1` with the Go program as `/program`.
    pub fn new() -> Result<Self, Skip> {
        let bench = Self::without_image();
        let layer = LayerBuilder::default()
            .folder("etc", 0o755)
            .file(
                "etc/passwd",
                0o644,
                b"root:x:0:0::/root:/s\nnonroot:x:65532:65532::/home/nonroot:/s\n",
            )
            .file("etc/group", 0o644, b"root:x:0:\n")
            .file("etc/private", 0o600, b"root's own")
            .folder("home/nonroot", 0o755)
            .folder("tmp", 0o1777)
            .file("program", 0o755, &program()?)
            .file("text", 0o755, b"no program")
            .file("script", 0o755, b"#!/no/interpreter\n")
            // The start of an ELF file for a processor nobody has.
            .file(
                "foreign",
                0o755,
                b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xff\xff\x01\0\0\0",
            )
            .file("data", 0o644, b"not executable")
            .bytes();
        bench.push("host/app:1", &[layer], std::env::consts::ARCH);
        Ok(bench)
    }

    pub fn without_image() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = folder.path().join("blobs");
        std::fs::create_dir(&blobs).unwrap();
        let host = Arc::new(TestHost {
            folder: blobs,
            manifests: Mutex::default(),
            seen: Mutex::default(),
            change: Condvar::new(),
            forwards: Mutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let runner = {
            let _inside = runtime.enter();
            Runner::new(
                Arc::clone(&host) as Arc<dyn Host>,
                // Longer than the address of a Unix socket may be.
                folder.path().join("a-long-name-".repeat(10)),
                Helper {
                    program: "/proc/self/exe".into(),
                    args: vec![OsString::from(HELPER)],
                },
            )
            .unwrap()
        };
        Self {
            runtime,
            host,
            runner: Some(Arc::new(runner)),
            folder,
        }
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("a-long-name-".repeat(10))
    }

    /// Puts an image of these layers into the registry.
    pub fn push(&self, reference: &str, layers: &[Vec<u8>], architecture: &str) {
        let architecture = match architecture {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let mut diff_ids = Vec::new();
        let mut descriptors = Vec::new();
        for (at, layer) in layers.iter().enumerate() {
            diff_ids.push(digest(layer));
            // One of each kind, in turn.
            let (blob, kind) = match at % 3 {
                0 => (gzip(layer), "application/vnd.oci.image.layer.v1.tar+gzip"),
                1 => (layer.clone(), "application/vnd.oci.image.layer.v1.tar"),
                _ => (
                    zstd::bulk::compress(layer, 3).unwrap(),
                    "application/vnd.oci.image.layer.v1.tar+zstd",
                ),
            };
            descriptors
                .push(json!({"mediaType": kind, "digest": self.blob(&blob), "size": blob.len()}));
        }
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "config": {"User": "nonroot", "Env": ["FROM_IMAGE=1", "BOTH=image"], "Entrypoint": ["/program"], "Cmd": ["serve"], "WorkingDir": "/home/nonroot"},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = serde_json::to_vec(&config).unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.blob(&config), "size": config.len()},
            "layers": descriptors,
        });
        self.manifest(reference, serde_json::to_vec(&manifest).unwrap());
    }

    pub fn manifest(&self, reference: &str, bytes: Vec<u8>) {
        let mut manifests = self.host.manifests.lock().unwrap();
        manifests.insert(
            format!(
                "{}@{}",
                reference.split(':').next().unwrap(),
                digest(&bytes)
            ),
            bytes.clone(),
        );
        manifests.insert(reference.to_owned(), bytes);
    }

    pub fn digest_of(&self, reference: &str) -> String {
        digest(&self.host.manifests.lock().unwrap()[reference])
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        std::fs::write(self.host.folder.join(&digest), bytes).unwrap();
        digest
    }

    pub fn is_plain(&self) -> bool {
        matches!(self.runner().isolation(), Isolation::Plain { .. })
    }

    pub fn runner(&self) -> &Arc<Runner> {
        self.runner.as_ref().unwrap()
    }

    pub fn start(&self, containers: Vec<ContainerSpec>) {
        self.start_as(ID, containers);
    }

    pub fn start_as(&self, id: &str, containers: Vec<ContainerSpec>) {
        let task = Box::new(TaskSpec {
            id: id.to_owned(),
            cluster: "default".to_owned(),
            family: "app".to_owned(),
            containers,
        });
        self.runner().perform(Effect::Start { task });
    }

    pub fn stop(&self) {
        self.runner().perform(Effect::Stop {
            task: ID.to_owned(),
        });
    }

    pub fn check(&self, command: &[&str], timeout_ms: u64) -> bool {
        self.runner().perform(Effect::CheckHealth {
            task: ID.to_owned(),
            container: "app".to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            timeout_ms,
        });
        self.take(|report| match report {
            Report::HealthChecked { healthy, .. } => Some(*healthy),
            _ => None,
        })
    }

    /// Waits for a report and forgets it.
    pub fn take<T>(&self, wanted: impl Fn(&Report) -> Option<T>) -> T {
        self.wait(|seen| {
            let at = seen
                .reports
                .iter()
                .position(|report| wanted(report).is_some())?;
            wanted(&seen.reports.remove(at))
        })
    }

    pub fn exited(&self, container: &str) -> (i32, bool) {
        self.take(|report| match report {
            Report::Exited {
                container: name,
                exit_code,
                out_of_memory,
                ..
            } if name == container => Some((*exit_code, *out_of_memory)),
            _ => None,
        })
    }

    pub fn started(&self) {
        self.take(|report| matches!(report, Report::Started { .. }).then_some(()));
    }

    /// Waits for the end of the task and checks that nothing is left of it.
    pub fn gone(&self) {
        self.take(|report| matches!(report, Report::Gone { .. }).then_some(()));
        self.nothing_left();
    }

    pub fn start_failed(&self) -> (String, String) {
        let failed = self.take(|report| match report {
            Report::StartFailed {
                failure, reason, ..
            } => Some((failure.name().to_owned(), reason.clone())),
            _ => None,
        });
        self.nothing_left();
        failed
    }

    pub fn nothing_left(&self) {
        assert_eq!(
            std::fs::read_dir(self.home().join("tasks"))
                .unwrap()
                .count(),
            0
        );
        for entry in std::fs::read_dir(self.home().join("rootfs")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.starts_with("sha256-"), "{name}");
        }
    }

    /// Waits for a line of output that holds `text`.
    pub fn line(&self, text: &str) -> String {
        self.wait(|seen| {
            let (_, line) = seen.lines.iter().find(|(_, line)| line.contains(text))?;
            Some(line.clone())
        })
    }

    /// Waits for a line of output in a stream.
    pub fn line_of(&self, stream: &str, text: &str) {
        self.wait(|seen| {
            let wanted = (stream.to_owned(), text.to_owned());
            seen.lines.contains(&wanted).then_some(())
        });
    }

    pub fn lines(&self) -> Vec<String> {
        let seen = self.host.seen.lock().unwrap();
        seen.lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// Runs one container to its end and gives its output.
    pub fn output(&self, container: ContainerSpec) -> Vec<String> {
        self.start(vec![container]);
        let (code, _) = self.exited("app");
        self.gone();
        assert_eq!(code, 0, "{:?}", self.lines());
        self.lines()
    }

    fn wait<T>(&self, mut wanted: impl FnMut(&mut Seen) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut seen = self.host.seen.lock().unwrap();
        loop {
            if let Some(found) = wanted(&mut seen) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let mut told = String::new();
                for report in &seen.reports {
                    writeln!(told, "{report:?}").unwrap();
                }
                let lines = seen.lines.clone();
                drop(seen);
                panic!("waited in vain; told so far:\n{told}{lines:?}");
            }
            seen = self.host.change.wait_timeout(seen, left).unwrap().0;
        }
    }
}

/// A container that runs the Go program with these arguments.
pub fn container(command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        name: "app".to_owned(),
        image: "host/app:1".to_owned(),
        entry_point: None,
        command: Some(command.iter().map(|&word| word.to_owned()).collect()),
        working_directory: None,
        user: None,
        environment: Vec::new(),
        secrets: Vec::new(),
        ports: vec![8080],
        readonly_root: false,
        memory_mib: None,
        stop_timeout_ms: 2000,
        log: Some(LogTarget {
            group: "/there".to_owned(),
            stream: format!("app/app/{ID}"),
            create_group: false,
        }),
        held: false,
        restarts: false,
    }
}

/// The tests run one after the other: the processes that have come since are this test's.
pub fn processes_of(marker: &Path) -> Vec<String> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let folder = entry.ok()?.path();
            let link = |name: &str| std::fs::read_link(folder.join(name)).unwrap_or_default();
            let ours = link("root").starts_with(marker)
                || link("cwd").starts_with(marker)
                || link("exe").starts_with(marker)
                || std::fs::read(folder.join("cmdline")).is_ok_and(|line| {
                    line.starts_with(b"/program\0")
                        || line
                            .split(|&byte| byte == 0)
                            .any(|word| word == HELPER.as_bytes())
                });
            let zombie = std::fs::read_to_string(folder.join("stat"))
                .is_ok_and(|stat| stat.contains(") Z "));
            (ours && !zombie).then(|| folder.display().to_string())
        })
        .collect()
}
