//! The virtual token as a card in `vpcd`'s virtual reader, and so behind a real `pcscd`.
//!
//! A card is a client that connects to the driver's port; to close the connection is to pull the card.
//! Source: vsmartcard's wire protocol: a big-endian `u16` length and as many bytes; one byte alone is a word to the
//! reader's hardware (0 off, 1 on, 2 reset, 4 "your answer to reset?"), anything longer a command APDU.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use onetap::card::mock::Held;
use onetap::card::mock::emulator::Outcome;

/// A YubiKey 5's answer to reset.
const ATR: &[u8] = &[
    0x3b, 0xfd, 0x13, 0x00, 0x00, 0x81, 0x31, 0xfe, 0x15, 0x80, 0x73, 0xc0, 0x21, 0xc0, 0x57, 0x59, 0x75,
    0x62, 0x69, 0x4b, 0x65, 0x79, 0x40,
];

/// A virtual token in a virtual reader, until it is pulled or dropped.
#[derive(Debug)]
pub struct InsertedToken {
    stream: TcpStream,
    pulled: Option<Sender<()>>,
    served: Option<JoinHandle<io::Result<()>>>,
}

impl InsertedToken {
    /// Reads the token's file, takes its lock and connects to the reader on this port of the loopback.
    pub fn insert(path: &Path, port: u16) -> io::Result<Self> {
        let held = Held::take(path, Instant::now() + Duration::from_secs(5)).map_err(io::Error::other)?;
        let stream = connect(port)?;
        let (pulled, pull) = mpsc::channel();
        let card = Card { stream: stream.try_clone()?, held, path: path.to_path_buf(), pull };
        let served = std::thread::spawn(move || card.serve());
        Ok(Self { stream, pulled: Some(pulled), served: Some(served) })
    }

    /// Pulls the token out of the reader, also in the middle of a touch.
    pub fn pull(mut self) -> io::Result<()> {
        self.end()
    }

    /// Serves until the reader goes away.
    pub fn wait(mut self) -> io::Result<()> {
        self.served.take().map_or(Ok(()), join)
    }

    fn end(&mut self) -> io::Result<()> {
        drop(self.pulled.take());
        let _ = self.stream.shutdown(Shutdown::Both);
        self.served.take().map_or(Ok(()), join)
    }
}

impl Drop for InsertedToken {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn join(served: JoinHandle<io::Result<()>>) -> io::Result<()> {
    served.join().unwrap_or_else(|_| Err(io::Error::other("the virtual token panicked")))
}

/// The reader's driver listens a moment after the daemon has begun.
fn connect(port: u16) -> io::Result<TcpStream> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

struct Card {
    stream: TcpStream,
    held: Held,
    path: PathBuf,
    pull: Receiver<()>,
}

impl Card {
    fn serve(mut self) -> io::Result<()> {
        while let Some(message) = self.receive()? {
            match message.as_slice() {
                [0..=2] => self.held.power_cycle(),
                [4] => self.send(ATR)?,
                command => match self.answer(command)? {
                    Some(answer) => self.send(&answer)?,
                    None => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// The response APDU; `None` if the token is not there any more.
    fn answer(&mut self, command: &[u8]) -> io::Result<Option<Vec<u8>>> {
        match self.held.respond(command).map_err(io::Error::other)? {
            Outcome::Answer(answer) => Ok(Some(answer)),
            Outcome::AwaitTouch(wait) => match self.pull.recv_timeout(wait) {
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.held.touched().map(Some).map_err(io::Error::other)
                }
                _ => Ok(None),
            },
            Outcome::Removed => Ok(None),
            // To the client, a card that was reset under its hands is one that has forgotten its selection.
            Outcome::Reset => self.answer(command),
        }
    }

    /// The next message; `None` when the connection is closed.
    fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 2];
        match self.read(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", self.path.display())));
            }
        }
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        self.read(&mut message)?;
        Ok(Some(message))
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        // The driver writes a length and then its bytes; without this, each costs a delayed acknowledgement of 40 ms.
        // The system forgets it again, hence before every read.
        #[cfg(target_os = "linux")]
        rustix::net::sockopt::set_tcp_quickack(&self.stream, true)?;
        self.stream.read_exact(bytes)
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(message);
        self.stream.write_all(&framed)
    }
}
