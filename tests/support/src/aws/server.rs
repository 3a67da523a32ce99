//! Threads and sockets: a thread that accepts, a thread a connection.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::call;
use super::federation;
use super::http::{self, Reply, Request};
use super::state::State;
use super::{Fault, Seen, clock};

/// How long a connection may say nothing, and how long a client may leave an answer unread.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where scripts read what was asked.
const NOTEBOOK: &str = "/stand-in/requests";

/// Is told about every request.
pub(crate) type Watch = Box<dyn Fn(&Seen) + Send + Sync>;

/// What all connections share.
pub(crate) struct Shared {
    state: Mutex<State>,
    watch: Option<Watch>,
    tls: Option<Arc<ServerConfig>>,
    stopped: AtomicBool,
    open: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Shared {
    /// The state, also after another thread died while it held the lock.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; dropping it closes the port and every connection.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens, and serves in threads of its own.
    pub(crate) fn start(
        address: SocketAddr,
        state: State,
        tls: Option<Arc<ServerConfig>>,
        watch: Option<Watch>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            watch,
            tls,
            stopped: AtomicBool::new(false),
            open: Mutex::new(BTreeMap::new()),
        });
        let served = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("stand-in".into()).spawn(move || accept(&listener, &served))?;
        Ok(Self { address, shared, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // `accept` has no time limit; a connection of our own wakes it.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
        for stream in self.shared.open().values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (number, stream) in (0..).zip(listener.incoming()) {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if let Ok(copy) = stream.try_clone() {
            shared.open().insert(number, copy);
        }
        let served = Arc::clone(shared);
        let spawned = std::thread::Builder::new().name("stand-in".into()).spawn(move || {
            // A connection that breaks is the client's affair: it has seen the error itself.
            let _ = connection(stream, &served);
            served.open().remove(&number);
        });
        if spawned.is_err() {
            shared.open().remove(&number);
        }
    }
}

fn connection(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    match &shared.tls {
        None => converse(stream, shared),
        Some(config) => {
            let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            converse(StreamOwned::new(session, stream), shared)
        }
    }
}

fn converse(mut stream: impl Read + Write, shared: &Shared) -> io::Result<()> {
    let mut left = Vec::new();
    while let Some(request) = http::read(&mut stream, &mut left)? {
        let Some(reply) = reply(&request, shared) else {
            return Ok(());
        };
        http::write(&mut stream, &reply)?;
        if request.header("connection").is_some_and(|wish| wish.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
    }
    Ok(())
}

/// The reply to one request; `None` if the connection is to end instead.
fn reply(request: &Request, shared: &Shared) -> Option<Reply> {
    if request.path() == NOTEBOOK {
        return Some(notebook(request, &shared.state()));
    }
    let answered = match request.path() {
        federation::PATH => federation::answer(request, &mut shared.state()),
        _ => call::answer(request, &mut shared.state()),
    };
    if let Some(watch) = &shared.watch {
        watch(&answered.seen);
    }
    match answered.fault {
        Some(Fault::Drop) => return None,
        Some(Fault::Slow(wait)) => std::thread::sleep(wait),
        _ => (),
    }
    Some(answered.reply)
}

fn notebook(request: &Request, state: &State) -> Reply {
    let headers = vec![("Date", clock::http_date(state.now())), ("Content-Type", "application/json".into())];
    match request.method.as_str() {
        "GET" => {
            let body = serde_json::to_string(&state.seen).unwrap_or_default();
            Reply { status: 200, headers, body }
        }
        _ => Reply { status: 404, headers, body: String::new() },
    }
}
