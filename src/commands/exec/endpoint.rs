//! The container credentials endpoint: one address of this machine where exec's child asks for credentials.
//!
//! Knows who may ask and how the answer is written; says nothing to anybody else, and logs nothing.
//! Source: AWS SDKs and Tools Reference, "Container credential provider".

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::peer;
use super::renewal::Renewal;
use crate::session::Session;

/// Bytes of the token, before they become hex.
const TOKEN_BYTES: usize = 32;
/// Connections at one time; an SDK holds one.
const CONNECTIONS: usize = 256;
/// How long a client may take for the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// When a port cannot be accepted from (no file descriptors are left), others get a moment to end.
const PAUSE: Duration = Duration::from_millis(100);

/// The port and the token, before anybody listens.
pub(super) struct Endpoint {
    listener: TcpListener,
    address: SocketAddr,
    token: SecretString,
}

impl Endpoint {
    /// A free port of 127.0.0.1 and a fresh token.
    pub(super) fn bind() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let mut token = Zeroizing::new([0; TOKEN_BYTES]);
        getrandom::fill(&mut *token).map_err(|error| io::Error::other(error.to_string()))?;
        let token = data_encoding::HEXLOWER.encode(&*token).into();
        Ok(Self { address: listener.local_addr()?, listener, token })
    }

    /// The address for `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What `AWS_CONTAINER_AUTHORIZATION_TOKEN` is set to.
    pub(super) fn token(&self) -> &SecretString {
        &self.token
    }

    /// Answers until the process ends.
    pub(super) async fn serve(self, renewal: Arc<Renewal>) {
        let Self { listener, address, token } = self;
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        let (door, room) = (Arc::new(Door { address, token }), Arc::new(Semaphore::new(CONNECTIONS)));
        loop {
            let Ok(place) = room.clone().acquire_owned().await else { return };
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let (door, renewal) = (door.clone(), renewal.clone());
            tokio::spawn(async move {
                let stranger = !peer::is_ours(peer, address).await;
                let answer = service_fn(|request| {
                    let (door, renewal) = (door.clone(), renewal.clone());
                    async move { Ok::<_, Infallible>(door.answer(&request, stranger, &renewal).await) }
                });
                let mut http = http1::Builder::new();
                http.timer(TokioTimer::new()).header_read_timeout(HEAD);
                // A connection that breaks is the client's affair.
                let _ = http.serve_connection(TokioIo::new(stream), answer).await;
                drop(place);
            });
        }
    }
}

/// Who may come in.
struct Door {
    address: SocketAddr,
    token: SecretString,
}

impl Door {
    async fn answer(
        &self,
        request: &Request<Incoming>,
        stranger: bool,
        renewal: &Arc<Renewal>,
    ) -> Response<Full<Bytes>> {
        if let Some((status, message)) = self.refusal(request, stranger) {
            return refused(status, message);
        }
        match renewal.session().await {
            Ok(session) => match json(&session) {
                Ok(text) => response(StatusCode::OK, text),
                Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            },
            Err(line) => refused(StatusCode::SERVICE_UNAVAILABLE, &format!("onetap: {line}")),
        }
    }

    fn refusal(&self, request: &Request<Incoming>, stranger: bool) -> Option<(StatusCode, &'static str)> {
        let headers = request.headers();
        if stranger {
            return Some((StatusCode::FORBIDDEN, "this is another user's"));
        }
        // A page in a browser that had a name resolve to this address sends that name.
        let port = self.address.port();
        let hosts = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        if !headers.get(HOST).is_some_and(|host| hosts.iter().any(|ours| host == ours.as_str())) {
            return Some((StatusCode::FORBIDDEN, "this is not the host that was asked for"));
        }
        let token = headers.get(AUTHORIZATION).map_or(b"".as_slice(), HeaderValue::as_bytes);
        if !bool::from(token.ct_eq(self.token.expose_secret().as_bytes())) {
            return Some((StatusCode::UNAUTHORIZED, "the authorization token is not the child's"));
        }
        if request.uri().path() != "/" {
            return Some((StatusCode::NOT_FOUND, "there is nothing here"));
        }
        (request.method() != Method::GET).then_some((StatusCode::METHOD_NOT_ALLOWED, "only GET is answered"))
    }
}

fn refused(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    // AWS's SDK for Go reads a text here and shows nothing of a refusal whose code is a number.
    #[derive(Serialize)]
    struct Refusal<'a> {
        code: String,
        message: &'a str,
    }
    let code = status.canonical_reason().unwrap_or_default().replace(' ', "");
    response(status, serde_json::to_vec(&Refusal { code, message }).unwrap_or_default())
}

fn response(status: StatusCode, text: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    access_key_id: &'a str,
    secret_access_key: &'a str,
    token: &'a str,
    expiration: String,
}

fn json(session: &Session) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Document {
        access_key_id: &session.access_key_id,
        secret_access_key: session.secret_access_key.expose_secret(),
        token: session.session_token.expose_secret(),
        expiration: session.expiration_text(),
    })
}
