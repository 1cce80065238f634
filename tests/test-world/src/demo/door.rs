//! The address that `cargo lambda invoke` asks by default, with the running functions behind it.
//!
//! cargo-lambda's stand-in for Lambda binds one address and, told port 0, does not say which port it got. So it keeps a
//! port of the system's choice, and the connections that arrive here are passed on to it, byte by byte. Only the
//! loopback addresses are bound: cargo-lambda's own default, `::`, would let the network invoke the functions.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::Failure;

/// The port that `cargo lambda invoke` asks unless it is given another.
pub(crate) const DEFAULT_PORT: u16 = 9000;

/// Asks the system for a free port.
pub(crate) const ANY_PORT: u16 = 0;

/// How many of the system's ports are tried until one is free on both addresses.
const MAX_ATTEMPTS: usize = 16;

/// Before the next connection is accepted, when one could not be.
const PAUSE: Duration = Duration::from_millis(20);

/// An open port on the loopback addresses. It closes, with all its connections, when this is dropped.
pub(crate) struct Door {
    port: u16,
    has_ipv6: bool,
    listeners: Vec<TcpListener>,
    serving: JoinSet<()>,
}

impl Door {
    /// Opens `port`, or a free one for [`ANY_PORT`], on 127.0.0.1 and, where the machine has it, on ::1. Connections
    /// wait until [`Door::lead_to`] says where to.
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

    /// Passes every connection on to this address from now on.
    pub(crate) fn lead_to(&mut self, address: SocketAddr) {
        for listener in self.listeners.drain(..) {
            self.serving.spawn(pass_on(listener, address));
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address for HTTP.
    pub(crate) fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// What `cargo lambda invoke` must be given to find it: nothing, where its defaults do.
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

/// Binds the port on each loopback address that the machine has.
async fn listeners(port: u16) -> io::Result<(u16, Vec<TcpListener>)> {
    let ipv4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = ipv4.local_addr()?.port();
    match TcpListener::bind((IpAddr::from(Ipv6Addr::LOCALHOST), port)).await {
        Ok(ipv6) => Ok((port, vec![ipv4, ipv6])),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        // Without IPv6 the system has no such address, or no such kind of address.
        Err(_) => Ok((port, vec![ipv4])),
    }
}

async fn pass_on(listener: TcpListener, address: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((mut caller, _)) = listener.accept() => {
                connections.spawn(async move {
                    let mut function = TcpStream::connect(address).await?;
                    copy_bidirectional(&mut caller, &mut function).await
                });
            }
            // Whichever side broke a connection off, the other one sees its end.
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
    async fn connection_to_either_loopback_address_reaches_what_is_behind_the_door() {
        let behind = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let mut door = Door::open(ANY_PORT).await.expect("a free port");
        door.lead_to(behind.local_addr().expect("a bound listener has an address"));
        for address in loopback().await {
            let mut caller = TcpStream::connect((address, door.port())).await.expect("the door is open");
            let (mut function, _) = behind.accept().await.expect("the connection is passed on");
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
    async fn port_taken_on_one_address_is_refused_with_the_way_out() {
        // A plain `cargo lambda watch` takes all of a machine's addresses. Elsewhere than on Linux one may still be bound.
        let everywhere = cfg!(target_os = "linux").then(|| Ipv4Addr::UNSPECIFIED.into());
        for address in loopback().await.into_iter().chain(everywhere) {
            let other = TcpListener::bind((address, 0)).await.expect("a free port");
            let port = other.local_addr().expect("a bound listener has an address").port();
            let failure = Door::open(port).await.err().expect("the port is taken").to_string();
            assert!(failure.contains(&format!("Port {port} is in use")), "{failure}");
            assert!(failure.contains("make dev PORT="), "{failure}");
        }
    }

    #[tokio::test]
    async fn port_of_a_dropped_door_is_free_again() {
        let mut door = Door::open(ANY_PORT).await.expect("a free port");
        let port = door.port();
        door.lead_to((Ipv4Addr::LOCALHOST, port).into());
        drop(door);
        // The tasks that listened end with the next turn of the runtime.
        tokio::task::yield_now().await;
        Door::open(port).await.expect("the port is free");
    }

    #[test]
    fn invoke_needs_no_options_at_its_own_default_address_and_port() {
        let door = |port, has_ipv6| Door { port, has_ipv6, listeners: Vec::new(), serving: JoinSet::new() };
        assert_eq!(door(9000, true).invoke_options(), "");
        assert_eq!(door(9001, true).invoke_options(), " --invoke-port 9001");
        assert_eq!(door(9000, false).invoke_options(), " --invoke-address 127.0.0.1");
    }
}
