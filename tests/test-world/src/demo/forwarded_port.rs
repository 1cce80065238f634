//! Forwards the port that `cargo lambda invoke` uses by default to the running functions.
//!
//! cargo-lambda binds one address and does not report which port it got if its port is 0. So it listens on a free port,
//! and connections to this one are forwarded byte by byte. Only loopback addresses are bound: cargo-lambda's own
//! default, `::`, would let the network invoke the functions.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Failure;

/// The port that `cargo lambda invoke` uses by default.
pub(crate) const DEFAULT_PORT: u16 = 9000;

/// Any free port.
pub(crate) const ANY_PORT: u16 = 0;

/// How many free ports of one address are tried until one is also free on the other.
const MAX_ATTEMPTS: usize = 16;

/// The pause after a connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(20);

/// A forwarded port on the loopback addresses. It closes, with all its connections, when this is dropped.
pub(crate) struct ForwardedPort {
    port: u16,
    has_ipv6: bool,
    listeners: Vec<TcpListener>,
    serving: JoinSet<()>,
}

impl ForwardedPort {
    /// Opens `port`, or a free one for [`ANY_PORT`], on 127.0.0.1 and, if the machine has it, on ::1. Connections wait
    /// until [`ForwardedPort::forward_to`] is called.
    ///
    /// # Errors
    ///
    /// [`Failure::PortInUse`] when either address is taken; [`Failure::PortUnavailable`] when the system refuses the
    /// port for another reason.
    pub(crate) async fn open(port: u16) -> Result<Self, Failure> {
        let mut attempts = if port == ANY_PORT { MAX_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            match listeners(port).await {
                Ok((port, listeners)) => {
                    let has_ipv6 = listeners.len() > 1;
                    return Ok(Self { port, has_ipv6, listeners, serving: JoinSet::new() });
                }
                Err(error) if error.kind() == ErrorKind::AddrInUse && attempts > 0 => {}
                Err(error) if error.kind() == ErrorKind::AddrInUse => return Err(Failure::PortInUse(port)),
                Err(error) => return Err(Failure::PortUnavailable { port, error }),
            }
        }
    }

    /// Forwards every connection to this address from now on.
    pub(crate) fn forward_to(&mut self, address: SocketAddr) {
        for listener in self.listeners.drain(..) {
            self.serving.spawn(forward(listener, address));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its HTTP address.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// The options with which `cargo lambda invoke` finds it; empty if the defaults work.
    pub(crate) fn invoke_options(&self) -> String {
        let mut options = String::new();
        if !self.has_ipv6 {
            options += " --invoke-address 127.0.0.1";
        }
        if self.port != DEFAULT_PORT {
            options += &format!(" --invoke-port {}", self.port);
        }
        options
    }
}

/// The HTTP address of a port that [`ForwardedPort::open`] opens.
pub(crate) fn url(port: u16) -> String {
    format!("http://{}:{port}", Ipv4Addr::LOCALHOST)
}

/// Binds the port on each loopback address that the machine has.
async fn listeners(port: u16) -> io::Result<(u16, Vec<TcpListener>)> {
    let ipv4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = ipv4.local_addr()?.port();
    match TcpListener::bind((IpAddr::from(Ipv6Addr::LOCALHOST), port)).await {
        Ok(ipv6) => Ok((port, vec![ipv4, ipv6])),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        // A system without IPv6 lacks this address or the whole address family.
        Err(_) => Ok((port, vec![ipv4])),
    }
}

async fn forward(listener: TcpListener, address: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((mut caller, _)) = listener.accept() => {
                connections.spawn(async move {
                    let mut function = TcpStream::connect(address).await?;
                    copy_bidirectional(&mut caller, &mut function).await
                });
            }
            // If one side closes a connection, the other side sees its end.
            Some(_) = connections.join_next() => {}
            else => tokio::time::sleep(PAUSE).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// The loopback addresses of this machine.
    async fn loopback() -> Vec<IpAddr> {
        let has_ipv6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok();
        [Ipv4Addr::LOCALHOST.into()].into_iter().chain(has_ipv6.then(|| Ipv6Addr::LOCALHOST.into())).collect()
    }

    #[tokio::test]
    async fn connection_to_either_loopback_address_reaches_the_function() {
        let behind = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let mut forwarded = ForwardedPort::open(ANY_PORT).await.expect("a free port");
        forwarded.forward_to(behind.local_addr().expect("a bound listener has an address"));
        for address in loopback().await {
            let mut caller = TcpStream::connect((address, forwarded.port())).await.expect("the port is open");
            let (mut function, _) = behind.accept().await.expect("the connection is forwarded");
            caller.write_all(b"event").await.expect("a connection");
            let mut event = [0; 5];
            function.read_exact(&mut event).await.expect("a connection");
            function.write_all(b"answer").await.expect("a connection");
            drop(function);
            let mut answer = String::new();
            caller.read_to_string(&mut answer).await.expect("a connection");
            assert_eq!((&event, answer.as_str()), (b"event", "answer"), "{address}");
        }
    }

    #[tokio::test]
    async fn port_in_use_on_one_address_is_refused_with_advice() {
        // A plain `cargo lambda watch` takes all addresses of a machine. Only Linux then refuses to bind one of them.
        let everywhere = cfg!(target_os = "linux").then(|| Ipv4Addr::UNSPECIFIED.into());
        for address in loopback().await.into_iter().chain(everywhere) {
            let other = TcpListener::bind((address, 0)).await.expect("a free port");
            let port = other.local_addr().expect("a bound listener has an address").port();
            let failure = ForwardedPort::open(port).await.err().expect("the port is taken").to_string();
            assert!(failure.contains(&format!("Port {port} is in use")), "{failure}");
            assert!(failure.contains("make dev PORT="), "{failure}");
        }
    }

    #[tokio::test]
    async fn port_is_free_again_after_a_drop() {
        let mut forwarded = ForwardedPort::open(ANY_PORT).await.expect("a free port");
        let port = forwarded.port();
        forwarded.forward_to((Ipv4Addr::LOCALHOST, port).into());
        drop(forwarded);
        // The listening tasks end when the runtime runs next.
        tokio::task::yield_now().await;
        ForwardedPort::open(port).await.expect("the port is free");
    }

    #[test]
    fn invoke_needs_no_options_at_its_own_default_address_and_port() {
        let forwarded =
            |port, has_ipv6| ForwardedPort { port, has_ipv6, listeners: Vec::new(), serving: JoinSet::new() };
        assert_eq!(forwarded(9000, true).invoke_options(), "");
        assert_eq!(forwarded(9001, true).invoke_options(), " --invoke-port 9001");
        assert_eq!(forwarded(9000, false).invoke_options(), " --invoke-address 127.0.0.1");
    }
}
