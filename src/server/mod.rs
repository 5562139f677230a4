//! The server: sockets, rooms, and the event loop between them.

mod capacity;
mod client;
mod client_id;
mod counts;
mod departure;
mod duration_histogram;
mod event;
mod event_loop;
mod handle;
mod hub;
mod limits;
mod memory_usage;
mod room;
mod shown;
#[cfg(any(test, fuzzing))]
pub mod simulation;
mod spares;
mod system;
mod time;
#[cfg_attr(not(feature = "tls"), path = "without_tls.rs")]
mod tls;
mod tls_counts;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use mio::Interest;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

pub use client_id::{ClientId, InvalidClientId};
pub use counts::{Compression, Counts};
pub use departure::{Cause, CauseKind, Departure};
pub use duration_histogram::DurationHistogram;
pub use event::{Deferred, Event, Exchange, RequestHead, SubprotocolNotOffered, Upgrade};
pub use handle::{Handle, HandleError};
pub use hub::{Hub, RestoreError, RoomInfo};
pub use memory_usage::MemoryUsage;
pub use tls_counts::{TlsCounts, TlsFailure};

use crate::config::{Config, Listen, ListenAddress};
use event_loop::listeners::Listeners;
use event_loop::reading::Reader;
use event_loop::{EventLoop, SIGNALS, WAKE};
use handle::Commands;
use system::{Poll, Signals, Waker};
use time::wheel::Timestamp;

/// A WebSocket server that is bound to its addresses.
///
/// The application is one closure, which [`run`](Self::run) calls for every event.
///
/// ```
/// use townhall::{Config, Event, Server};
///
/// let mut config = Config::default();
/// config.listen = vec!["127.0.0.1:0".parse()?];
/// let server = Server::bind(config)?;
/// let handle = server.handle();
/// // Any thread can stop the server, at any time.
/// handle.stop();
/// server.run(|hub, client, event| match event {
///     Event::Open { room, .. } => {
///         hub.join(client, room);
///     }
///     Event::Message(message) => hub.publish(client, message),
///     _ => {}
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it serves no clients until `run` is called"]
pub struct Server {
    event_loop: EventLoop,
    listening: Vec<Listen>,
    addresses: Vec<SocketAddr>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("listening", &self.listening).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds the configured addresses. From then on, the system accepts connections; [`run`](Self::run)
    /// serves them.
    ///
    /// # Errors
    /// A [`ConfigError`](crate::ConfigError) inside an error of the kind
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), if the configuration is not valid; otherwise the
    /// system's error, with the address that it is about.
    pub fn bind(config: Config) -> io::Result<Self> {
        check(&config)?;
        let (poll, commands) = prepare()?;
        let listeners = Listeners::bind(&config, poll.registry(), &commands)?;
        Self::new(config, poll, commands, listeners)
    }

    /// Uses listeners that the program has already bound, instead of [`Config::listen`]. See
    /// [`ListenAddress::Bound`]; [`Config::listen`] may contain other sockets
    /// too, such as those of a service manager.
    ///
    /// ```
    /// use std::net::TcpListener;
    /// use townhall::{Config, Server};
    ///
    /// let listener = TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let server = Server::from_listeners(Config::default(), vec![listener])?;
    /// assert_eq!(server.addresses(), [address]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`bind`](Self::bind). Without a listener, the error is
    /// [`ConfigError::Empty`](crate::ConfigError::Empty).
    pub fn from_listeners(mut config: Config, listeners: Vec<TcpListener>) -> io::Result<Self> {
        config.listen = listeners.into_iter().map(Listen::from).collect();
        Self::bind(config)
    }

    fn new(
        mut config: Config,
        poll: Poll,
        commands: Commands,
        listeners: Listeners,
    ) -> io::Result<Self> {
        let listening = listeners.listening();
        let tcp = |listen: &Listen| match listen.address {
            ListenAddress::Tcp(address) => Some(address),
            _ => None,
        };
        let addresses: Vec<_> = listening.iter().filter_map(tcp).collect();
        // Sockets that were bound already are open as long as the configuration has them.
        config.listen.clone_from(&listening);
        let mut hub = Hub::new(config);
        hub.listening.clone_from(&addresses);
        hub.hands_over = listeners.have_inherited();
        let event_loop = EventLoop {
            poll,
            listeners,
            hub,
            reader: Reader::new(),
            signals: None,
            commands,
            expired: Timestamp::default(),
            hung_up: false,
            shutdown: None,
        };
        Ok(Self { event_loop, listening, addresses })
    }

    /// Where the server listens, in the order of [`Config::listen`]: TCP addresses with their actual
    /// ports, and absolute paths of Unix sockets.
    pub fn listening(&self) -> &[Listen] {
        &self.listening
    }

    /// The TCP addresses that were bound, in the order of [`Config::listen`], with their actual ports.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle with which other threads send messages, run closures on the server's thread, and stop
    /// the server.
    pub fn handle(&self) -> Handle {
        self.event_loop.commands.handle()
    }

    /// Lets SIGINT and SIGTERM stop the server, and SIGHUP log what happened so far and cause an
    /// [`Event::Reload`]: it does not end the server, as it would by default when the terminal goes away. A second signal to stop ends the
    /// server at once.
    ///
    /// ```no_run
    /// use townhall::{Config, Server};
    ///
    /// let mut server = Server::bind(Config::default())?;
    /// server.listen_to_signals()?;
    /// server.run(|_, _, _| {})?;
    /// println!("stopped");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The system's.
    pub fn listen_to_signals(&mut self) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        self.event_loop.poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
        self.event_loop.signals = Some(signals);
        Ok(())
    }

    /// Serves until the server is stopped, and for the delay of [`Config::shutdown`], in which requests can
    /// report [`Hub::is_stopping`]. Then the listeners are closed, and every connection is closed and given
    /// time to end. Requests on connections that are open are still answered; upgrades are refused with
    /// 503.
    ///
    /// The server logs through the `log` crate, on the calling thread. A logger that blocks delays every
    /// connection.
    ///
    /// # Errors
    /// The system's error, if waiting for events fails. The failure of a single connection is not an
    /// error, but an [`Event`].
    pub fn run(self, mut app: impl FnMut(&mut Hub, ClientId, Event<'_>)) -> io::Result<()> {
        self.event_loop.run(&mut app)
    }
}

/// The poll, and the commands that wake it.
fn prepare() -> io::Result<(Poll, Commands)> {
    let poll = Poll::new()?;
    let commands = Commands::new(Waker::new(poll.registry(), WAKE)?);
    Ok((poll, commands))
}

fn check(config: &Config) -> io::Result<()> {
    config.check().map_err(|reason| io::Error::new(io::ErrorKind::InvalidInput, reason))
}
