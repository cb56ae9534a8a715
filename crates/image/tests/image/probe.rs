//! `/probe`, as ECS would run it: the program is built and run on this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Cache, ImageSpec, Platform, ProbeBuild, assemble};

use crate::go::{has_go, write_module};

pub fn host() -> Platform {
    if cfg!(target_arch = "aarch64") {
        Platform::LINUX_ARM64
    } else {
        Platform::LINUX_AMD64
    }
}

fn build(folder: &Path, env: &[(&str, &str)]) -> PathBuf {
    write_module(&folder.join("module"));
    image::probe::build(&ProbeBuild {
        module_dir: folder.join("module"),
        platform: host(),
        env: env
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        output_dir: folder.join("probe"),
    })
    .unwrap()
}

/// Exit code and what was said.
fn run(probe: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(probe).args(args).output().unwrap();
    assert_eq!(
        output.stdout, b"",
        "it has nothing to print when all is well"
    );
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said.trim_end().to_owned())
}

/// Answers one request with these bytes, or holds the connection open without a word; gives the address.
fn server(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        let text = String::from_utf8_lossy(&request[..length]);
        match answer {
            Some(answer) if text.starts_with("GET /health?full=1 HTTP/1.1\r\n") => {
                stream.write_all(answer.as_bytes()).unwrap();
            }
            Some(_) => stream.write_all(text.as_bytes()).unwrap(),
            None => drop(stream.read(&mut request)),
        }
    });
    format!("http://{address}/health?full=1")
}

#[test]
fn it_ends_with_0_on_200_and_says_in_one_line_why_not() {
    if !has_go() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let probe = build(folder.path(), &[]);
    let ok = server(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    assert_eq!(run(&probe, &[&ok]), (Some(0), String::new()));

    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/", listener.local_addr().unwrap())
    };
    for (address, expected) in [
        (
            server(Some("HTTP/1.1 503 Service Unavailable\r\n\r\n")),
            "it answered \"503 Service Unavailable\", not 200",
        ),
        (
            server(Some("HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n")),
            "it answered \"301 Moved\", not 200",
        ),
        (server(Some("SSH-2.0-x\r\n")), "the answer is not HTTP"),
        (
            server(Some("")),
            "the connection ended before an HTTP answer",
        ),
        (server(None), "no answer within 200ms"),
        (closed, "connection refused"),
    ] {
        let (code, said) = run(&probe, &["-timeout", "200ms", &address]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(expected) && said.contains(&address), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    for args in [
        &[][..],
        &["a", "b"],
        &["-timeout", "0s", "http://127.0.0.1:1"],
    ] {
        let (code, said) = run(&probe, args);
        assert_eq!(code, Some(2));
        assert!(said.contains("usage: probe"), "{said}");
    }
    let (code, said) = run(&probe, &["https://127.0.0.1/"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("http://127.0.0.1:8080/health"), "{said}");
}

#[test]
fn it_is_the_same_everywhere_and_goes_into_an_image() {
    if !has_go() {
        return;
    }
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = build(a.path(), &[]);
    // Flags for the service's module are not for this one.
    let second = build(b.path(), &[("GOFLAGS", "-mod=vendor")]);
    let data = std::fs::read(&first).unwrap();
    assert!(data == std::fs::read(second).unwrap());
    assert!(data.len() < 4_000_000, "{}", data.len());
    let mut spec = ImageSpec::new(host(), &first, "api", "0123abc");
    spec.probe = Some(first);
    let image = assemble(&spec, &Cache::new(a.path().join("cache"))).unwrap();
    assert_eq!(image.layers.len(), 3);
}
