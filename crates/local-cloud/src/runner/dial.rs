//! Reaching a port of a task from outside.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::sandbox::network::{CONNECT, DOOR, LISTEN};

/// The address of a container port of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dial {
    /// A port inside the task's own network, behind the Unix socket `door`.
    Task {
        /// Where connections can be asked for.
        door: PathBuf,
        /// Container port.
        port: u16,
    },
    /// An address of this machine.
    Tcp(SocketAddr),
}

impl Dial {
    /// The port of a task whose folder is `folder`.
    pub(super) fn task(folder: &Path, port: u16) -> Self {
        Self::Task {
            door: folder.join(DOOR),
            port,
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// As for any TCP connection; `ConnectionRefused` when nothing listens or the task is gone.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let stream = match self {
            Self::Tcp(address) => TcpStream::connect(address).await?,
            Self::Task { door, port } => {
                let socket = ask(door, CONNECT, *port).await.map_err(task_gone)?;
                TcpStream::from_std(socket.into())?
            }
        };
        // Small answers must not wait for an acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// A listener inside the task's network, at 127.0.0.1 and `port`.
pub(super) async fn listen_inside(folder: &Path, port: u16) -> io::Result<TcpListener> {
    let socket = ask(&folder.join(DOOR), LISTEN, port).await?;
    TcpListener::from_std(socket.into())
}

/// A task that has ended has no door any more.
fn task_gone(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            io::Error::from(io::ErrorKind::ConnectionRefused)
        }
        _ => error,
    }
}

async fn ask(door: &Path, what: u8, port: u16) -> io::Result<OwnedFd> {
    let mut stream = connect(door).await?;
    let [high, low] = port.to_be_bytes();
    stream.write_all(&[what, high, low]).await?;
    let (code, socket) = stream
        .async_io(Interest::READABLE, || receive(&stream))
        .await?;
    match (code, socket) {
        (0, Some(socket)) => Ok(socket),
        (0, None) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        (code, _) => Err(io::Error::from_raw_os_error(code)),
    }
}

fn receive(stream: &UnixStream) -> io::Result<(i32, Option<OwnedFd>)> {
    let mut code = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let length = recvmsg(
        stream,
        &mut [IoSliceMut::new(&mut code)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?
    .bytes;
    if length < code.len() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    let socket = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    });
    Ok((i32::from_ne_bytes(code), socket))
}

/// Connects to a Unix socket whose path may be longer than an address holds: through the folder, opened.
async fn connect(door: &Path) -> io::Result<UnixStream> {
    let folder = std::fs::File::open(door.parent().unwrap_or(Path::new(".")))?;
    let name = door.file_name().unwrap_or(door.as_os_str());
    let short = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    UnixStream::connect(short).await
}
