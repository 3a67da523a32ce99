//! Somebody between a client and its `pcscd`, who makes happen what a real one cannot be made to do in a test.
//!
//! A client finds it through `PCSCLITE_CSOCK_NAME`. Every byte goes through to the real daemon and back, but for the
//! commands of the script. Source: pcsc-lite's `winscard_msg.h`, protocol 4.4: a header (length of the struct, command),
//! the struct, whose last field is the outcome, and for a transmit the APDU.

use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A command of a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `SCardBeginTransaction`.
    Begin,
    /// `SCardConnect`: where pcscd asks polkit for `access_card`.
    Connect,
    /// The connection to the daemon itself: where pcscd asks polkit for `access_pcsc`, and hangs up.
    Hello,
    /// `SCardTransmit` of a command APDU with this instruction byte.
    Transmit(u8),
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happens {
    /// The daemon does not see it, and the client is answered with this code, so many times.
    Answer(u32, usize),
    /// The daemon answers, and the client gets the answer when [`Between::release`] says so; the first time only.
    AnswerHeld,
    /// The connection ends.
    HangUp,
}

/// A socket that stands for the daemon's; nobody listens once it is dropped and its clients have gone.
#[derive(Debug)]
pub struct Between {
    folder: tempfile::TempDir,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    daemon: PathBuf,
    script: Vec<(Event, Happens)>,
    seen: Mutex<Seen>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    /// How often each entry of the script has happened.
    happened: Vec<usize>,
    held: bool,
    holding: bool,
    transmitted: Vec<u8>,
}

impl Between {
    /// Takes connections and hands them to the daemon at this socket.
    pub fn start(daemon: &Path, script: &[(Event, Happens)]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let seen = Mutex::new(Seen { happened: vec![0; script.len()], ..Seen::default() });
        let state = State { daemon: daemon.into(), script: script.into(), seen, released: Condvar::new() };
        let between = Self { folder, state: Arc::new(state) };
        let (listener, state) = (UnixListener::bind(between.socket())?, between.state.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = state.clone();
                thread::spawn(move || state.serve(&client));
            }
        });
        Ok(between)
    }

    /// The path for `PCSCLITE_CSOCK_NAME`.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("pcscd.comm")
    }

    /// The instruction bytes of the APDUs that clients sent.
    pub fn transmitted(&self) -> Vec<u8> {
        self.state.seen().transmitted.clone()
    }

    /// Waits until an answer is held back.
    pub fn wait_for_held(&self) -> io::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        while !self.state.seen().holding {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Lets the answer go that was held back.
    pub fn release(&self) {
        self.state.seen().held = false;
        self.state.released.notify_all();
    }
}

impl State {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the script says of this command.
    fn happens(&self, event: Event) -> Option<Happens> {
        let mut seen = self.seen();
        for (place, (scripted, happens)) in self.script.iter().enumerate() {
            let times = match happens {
                Happens::Answer(_, times) => *times,
                Happens::AnswerHeld => 1,
                Happens::HangUp => usize::MAX,
            };
            if let Some(happened) = seen.happened.get_mut(place)
                && *scripted == event
                && *happened < times
            {
                *happened += 1;
                return Some(*happens);
            }
        }
        None
    }

    fn serve(self: &Arc<Self>, client: &UnixStream) {
        let served = UnixStream::connect(&self.daemon).and_then(|daemon| {
            let (from, to, state) = (daemon.try_clone()?, client.try_clone()?, self.clone());
            let back = thread::spawn(move || state.pump(&from, &to));
            let served = self.listen(client, &daemon);
            let _ = daemon.shutdown(Shutdown::Both);
            let _ = back.join();
            served
        });
        // How a connection ends is the client's to see.
        drop(served);
        let _ = client.shutdown(Shutdown::Both);
    }

    /// The daemon's answers, as they come. The daemon's end is the client's.
    fn pump(&self, mut daemon: &UnixStream, mut client: &UnixStream) {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = daemon.read(&mut bytes) {
            let mut seen = self.seen();
            while seen.held {
                seen.holding = true;
                seen = self.released.wait(seen).unwrap_or_else(PoisonError::into_inner);
            }
            drop(seen);
            if bytes.get(..length).is_none_or(|answer| client.write_all(answer).is_err()) {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }

    fn listen(&self, mut client: &UnixStream, mut daemon: &UnixStream) -> io::Result<()> {
        const BEGIN: u32 = 0x07;
        const CONNECT: u32 = 0x04;
        const TRANSMIT: u32 = 0x09;
        if self.happens(Event::Hello) == Some(Happens::HangUp) {
            return Ok(());
        }
        loop {
            let mut header = [0; 8];
            client.read_exact(&mut header)?;
            let word = |bytes: &[u8], at: usize| {
                let word = bytes.get(at..at + 4).and_then(|word| <[u8; 4]>::try_from(word).ok());
                word.map(u32::from_le_bytes).ok_or(io::ErrorKind::InvalidData)
            };
            let (size, command) = (word(&header, 0)?, word(&header, 4)?);
            let mut body = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            client.read_exact(&mut body)?;
            let mut apdu = Vec::new();
            let event = match command {
                BEGIN => Some(Event::Begin),
                CONNECT => Some(Event::Connect),
                TRANSMIT => {
                    apdu.resize(usize::try_from(word(&body, 12)?).map_err(io::Error::other)?, 0);
                    client.read_exact(&mut apdu)?;
                    let instruction = apdu.get(1).copied().unwrap_or_default();
                    self.seen().transmitted.push(instruction);
                    Some(Event::Transmit(instruction))
                }
                _ => None,
            };
            match event.and_then(|event| self.happens(event)) {
                Some(Happens::Answer(code, _)) => {
                    let outcome = body.len().saturating_sub(4);
                    body.truncate(outcome);
                    body.extend_from_slice(&code.to_le_bytes());
                    client.write_all(&body)?;
                    continue;
                }
                Some(Happens::AnswerHeld) => self.seen().held = true,
                Some(Happens::HangUp) => return Ok(()),
                None => {}
            }
            for part in [header.as_slice(), &body, &apdu] {
                daemon.write_all(part)?;
            }
        }
    }
}
