//! The console's federation endpoint: a role's session in, a token for one sign-in out.
//!
//! Knows nothing about which sessions may do so. One request, never repeated.
//! Source: IAM User Guide, "Enable custom identity broker access to the AWS console".

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::{StsError, connector};
use crate::plan::Network;
use crate::session::Session;

/// The session as the endpoint reads it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Given<'a> {
    session_id: &'a str,
    session_key: &'a str,
    session_token: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "SigninToken")]
    token: String,
}

/// A token with which a browser may sign in once, within 15 minutes. `federation` is the endpoint's URL without a query; of
/// `network` the certificates and the way there count.
pub async fn sign_in_token(
    federation: &str,
    network: &Network,
    session: &Session,
) -> Result<SecretString, StsError> {
    let given = Given {
        session_id: &session.access_key_id,
        session_key: session.secret_access_key.expose_secret(),
        session_token: session.session_token.expose_secret(),
    };
    let given = Zeroizing::new(serde_json::to_string(&given).map_err(|_| StsError::Incomplete)?);
    let mut url = Url::parse(federation).map_err(|error| StsError::Network(error.to_string()))?;
    url.query_pairs_mut().append_pair("Action", "getSigninToken").append_pair("Session", &given);
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_uri(url.as_str()).map_err(|error| StsError::Network(error.to_string()))?;
    let answer = connector(network, network.endpoint.as_ref())?.call(request).await;
    let mut answer = answer.map_err(|error| StsError::Network(chain(&error)))?;
    let status = answer.status().as_u16();
    let body = ByteStream::new(answer.take_body()).collect().await;
    let body = Zeroizing::new(body.map_err(|error| StsError::Network(error.to_string()))?.to_vec());
    if status != 200 {
        // What it says is a page for a browser.
        return Err(StsError::SignIn(format!("HTTP {status}")));
    }
    let answer: Answer = serde_json::from_slice(&body).map_err(|_| StsError::Incomplete)?;
    Ok(answer.token.into())
}

/// An error and its causes on one line; none of them holds the query.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::plan::Partition;

    /// Answers one request with `status` and `body`; returns the token or the error, and the request's first line.
    fn asked(status: &str, body: &str) -> (Result<String, StsError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let here = format!("http://{}", listener.local_addr().unwrap());
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut request, mut buffer) = (vec![], [0; 4096]);
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(request).unwrap().lines().next().unwrap().to_owned()
        });
        let network = Network {
            partition: Partition::Aws,
            sts_region: "eu-west-1".into(),
            endpoint: Some(here.parse().unwrap()),
            dualstack: false,
            fips: false,
            ca_bundle: None,
        };
        let session = Session {
            access_key_id: "ASIAX".into(),
            secret_access_key: "s/e+c".into(),
            session_token: "t=&\"".into(),
            expiration: SystemTime::now() + Duration::from_secs(3600),
            minted: SystemTime::now(),
            authenticated: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let token = runtime.block_on(sign_in_token(&format!("{here}/federation"), &network, &session));
        (token.map(|token| token.expose_secret().to_owned()), server.join().unwrap())
    }

    #[test]
    fn a_session_becomes_a_token_by_one_request() {
        let (token, request) = asked("200 OK", r#"{"SigninToken":"VCQgs5qZZt3Q6fn8Tr5EXAMPLE"}"#);
        assert_eq!(token, Ok("VCQgs5qZZt3Q6fn8Tr5EXAMPLE".into()));
        let target = request.strip_prefix("GET ").unwrap().strip_suffix(" HTTP/1.1").unwrap();
        let url = Url::parse("http://x").unwrap().join(target).unwrap();
        assert_eq!(url.path(), "/federation");
        let query: Vec<_> = url.query_pairs().into_owned().collect();
        let session = r#"{"sessionId":"ASIAX","sessionKey":"s/e+c","sessionToken":"t=&\""}"#;
        let expected = [("Action", "getSigninToken"), ("Session", session)];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_refusal_and_half_an_answer_are_errors_without_the_session() {
        assert_eq!(asked("400 Bad Request", "<html>").0, Err(StsError::SignIn("HTTP 400".into())));
        assert_eq!(asked("200 OK", "{}").0, Err(StsError::Incomplete));
        let refused = StsError::SignIn("HTTP 400".into()).to_string();
        assert_eq!(refused, "the console's sign-in refused the session: HTTP 400");
    }
}
