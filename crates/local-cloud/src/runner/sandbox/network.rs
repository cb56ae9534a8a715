//! The task's network: its own loopback interface, and a door through which the daemon reaches it.
//!
//! The door is a Unix socket in the task's folder. The daemon asks for a connection to a port, or for a listener on one, and `init` passes the open socket itself
//! (`SCM_RIGHTS`). A socket stays in the network namespace it was made in, so the daemon then speaks with the container directly and nothing has to be copied in between. A
//! request is three bytes: what, and the port, most significant byte first. The answer is four bytes, an error number or 0 with the socket.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};

use super::failed;

/// File name of the door in the task's folder.
pub(in crate::runner) const DOOR: &str = "net.sock";
/// Request: a connection to 127.0.0.1 at a port.
pub(in crate::runner) const CONNECT: u8 = b'C';
/// Request: a listener on 127.0.0.1 at a port.
pub(in crate::runner) const LISTEN: u8 = b'L';

/// A connection on a loopback interface is made at once, or the listener's queue is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Brings `lo` up, which a new network namespace has down, and opens ports below 1024 to every user in the task, as container runtimes do.
pub(super) fn loopback_up() -> Result<(), String> {
    let netlink = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .map_err(failed("netlink"))?;
    sendto(
        netlink.as_raw_fd(),
        &link_up_message(),
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )
    .map_err(failed("netlink"))?;
    let mut answer = [0; 256];
    let length =
        recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(failed("netlink"))?;
    // `struct nlmsgerr` behind the 16 bytes of `struct nlmsghdr`: a negative error number first.
    let code = answer[..length]
        .get(16..20)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, i32::from_ne_bytes);
    if code != 0 {
        return Err(format!(
            "bring the loopback interface up: {}",
            io::Error::from_raw_os_error(-code)
        ));
    }
    let file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    std::fs::write(file, "0").map_err(failed(file))
}

/// `rtnetlink(7)`: `RTM_NEWLINK` with an acknowledgement, for interface 1, which is always `lo`.
fn link_up_message() -> [u8; 32] {
    const RTM_NEWLINK: u16 = 16;
    const NLM_F_REQUEST_ACK: u16 = 1 | 4;
    const LOOPBACK: i32 = 1;
    const IFF_UP: u32 = 1;
    let mut message = [0; 32];
    // struct nlmsghdr: length, type, flags, sequence, port.
    message[0..4].copy_from_slice(&32_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&NLM_F_REQUEST_ACK.to_ne_bytes());
    message[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    // struct ifinfomsg: family, padding, type, index, flags, change mask.
    message[20..24].copy_from_slice(&LOOPBACK.to_ne_bytes());
    message[24..28].copy_from_slice(&IFF_UP.to_ne_bytes());
    message[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    message
}

/// Answers requests at the door until the runtime ends.
pub(super) async fn serve_door(listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            // Who asked and went away gets no answer.
            let _ = answer(stream).await;
        });
    }
}

async fn answer(mut stream: UnixStream) -> io::Result<()> {
    let mut request = [0; 3];
    stream.read_exact(&mut request).await?;
    let port = u16::from_be_bytes([request[1], request[2]]);
    let address = (Ipv4Addr::LOCALHOST, port);
    let made: io::Result<OwnedFd> = match request[0] {
        CONNECT => {
            match tokio::time::timeout(CONNECT_TIMEOUT, tokio::net::TcpStream::connect(address))
                .await
            {
                Ok(connected) => connected
                    .and_then(tokio::net::TcpStream::into_std)
                    .map(OwnedFd::from),
                Err(_) => Err(io::Error::from_raw_os_error(nix::libc::ETIMEDOUT)),
            }
        }
        LISTEN => tokio::net::TcpListener::bind(address)
            .await
            .and_then(tokio::net::TcpListener::into_std)
            .map(OwnedFd::from),
        _ => Err(io::Error::from_raw_os_error(nix::libc::EINVAL)),
    };
    let code = match &made {
        Ok(_) => 0,
        Err(error) => error.raw_os_error().unwrap_or(nix::libc::EIO),
    };
    stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            let passed = made.as_ref().ok().map(|socket| [socket.as_fd()]);
            if let Some(passed) = &passed {
                control.push(SendAncillaryMessage::ScmRights(passed));
            }
            sendmsg(
                &stream,
                &[IoSlice::new(&code.to_ne_bytes())],
                &mut control,
                SendFlags::NOSIGNAL,
            )
            .map_err(io::Error::from)
        })
        .await?;
    Ok(())
}
