//! What a new connection speaks, by its first bytes: HTTP, TLS, or media; and inside TLS the same once more.
//!
//! One byte is enough (RFC 7983 and its neighbours keep them apart): a record of TLS begins with 22, a request of HTTP with
//! a letter, a message of TURN with its type, 0 to 3, and a packet of ICE-TCP with the upper byte of a length below 2,048.
//! So nobody is looked at for longer than until a first byte is there, and what it is of stays unread.

use super::connection::Connection;
use crate::tls::{ACME, TURN};
use std::io;
use tokio::io::AsyncBufReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The first byte of a TLS connection (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;
/// First bytes of TURN and of ICE-TCP are below.
const MEDIA_END: u8 = 8;

/// A connection, and what it speaks.
pub enum Spoken {
    /// Plain HTTP.
    Http(Connection<TcpStream>),
    /// HTTP inside TLS.
    Https(Box<TlsStream<Connection<TcpStream>>>),
    /// ICE-TCP or TURN.
    Media(Connection<TcpStream>),
    /// TURN inside TLS.
    SecretMedia(Box<TlsStream<Connection<TcpStream>>>),
    /// Nothing more: its handshake was all that it was for.
    Nothing,
}

/// Waits for the first byte, and for the handshake and the first byte behind it where that is TLS.
///
/// # Errors
/// When the connection ends or the handshake fails.
pub async fn recognise(
    stream: Connection<TcpStream>,
    tls: Option<&TlsAcceptor>,
    with_media: bool,
) -> io::Result<Spoken> {
    let mut first = [0];
    if stream.as_ref().peek(&mut first).await? == 0 {
        return Ok(Spoken::Nothing);
    }
    match (first[0], tls) {
        (TLS_HANDSHAKE, Some(_)) => {}
        (..MEDIA_END, _) if with_media => return Ok(Spoken::Media(stream)),
        _ => return Ok(Spoken::Http(stream)),
    }
    let Some(tls) = tls else { return Ok(Spoken::Http(stream)) };
    let mut stream = Box::new(tls.accept(stream).await?);
    match stream.get_ref().1.alpn_protocol() {
        Some(ACME) => return Ok(Spoken::Nothing),
        Some(TURN) if with_media => return Ok(Spoken::SecretMedia(stream)),
        Some(TURN) => return Ok(Spoken::Nothing),
        Some(_) => return Ok(Spoken::Https(stream)),
        // Browsers name HTTP, and nothing where they speak TURN; other programs name nothing at all.
        None if !with_media => return Ok(Spoken::Https(stream)),
        None => {}
    }
    match stream.fill_buf().await?.first() {
        None => Ok(Spoken::Nothing),
        Some(..MEDIA_END) => Ok(Spoken::SecretMedia(stream)),
        Some(_) => Ok(Spoken::Https(stream)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore, ServerConfig};
    use std::io::Read;
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::sync::Semaphore;
    use tokio_rustls::TlsConnector;

    /// Both ends of a connection.
    async fn connection() -> (TcpStream, Connection<TcpStream>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        (client, Connection::new(server, place))
    }

    /// A server that takes what ours takes, and a client that names what it wants.
    fn tls(wanted: &[&[u8]]) -> (TlsAcceptor, TlsConnector) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        server.alpn_protocols = vec![b"http/1.1".to_vec(), TURN.to_vec()];
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = wanted.iter().map(|name| name.to_vec()).collect();
        (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)))
    }

    fn word(spoken: &Spoken) -> &'static str {
        match spoken {
            Spoken::Http(_) => "http",
            Spoken::Https(_) => "https",
            Spoken::Media(_) => "media",
            Spoken::SecretMedia(_) => "secret media",
            Spoken::Nothing => "nothing",
        }
    }

    const ALLOCATE: [u8; 8] = [0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42];

    #[tokio::test]
    async fn one_byte_tells_and_stays_unread() {
        let cases: [(&[u8], bool, &str); 5] = [
            (b"GET / HTTP/1.1", true, "http"),
            (&ALLOCATE, true, "media"),
            (&[0, 100, 0, 1, 0, 80], true, "media"),
            (&ALLOCATE, false, "http"),
            (&[TLS_HANDSHAKE, 3, 1], true, "http"),
        ];
        for (bytes, with_media, wanted) in cases {
            let (mut client, server) = connection().await;
            client.write_all(bytes).await.unwrap();
            let spoken = recognise(server, None, with_media).await.unwrap();
            assert_eq!(word(&spoken), wanted, "{bytes:?}");
            if let Spoken::Media(stream) | Spoken::Http(stream) = spoken {
                let mut unread = stream.into_inner().into_std().unwrap();
                unread.set_nonblocking(false).unwrap();
                let mut read = vec![0; bytes.len()];
                unread.read_exact(&mut read).unwrap();
                assert_eq!(read, bytes);
            }
        }
    }

    #[tokio::test]
    async fn who_leaves_without_a_word_has_said_nothing() {
        let (client, server) = connection().await;
        drop(client);
        let (acceptor, _) = tls(&[]);
        assert_eq!(word(&recognise(server, Some(&acceptor), true).await.unwrap()), "nothing");
    }

    #[tokio::test]
    async fn inside_tls_the_name_tells_or_the_first_byte() {
        let http = b"GET / HTTP/1.1\r\n".as_slice();
        type Names<'a> = &'a [&'a [u8]];
        let cases: [(Names<'_>, &[u8], bool, &str); 7] = [
            (&[b"http/1.1"], http, true, "https"),
            (&[b"h2", b"http/1.1"], http, true, "https"),
            (&[b"stun.turn"], &ALLOCATE, true, "secret media"),
            (&[], &ALLOCATE, true, "secret media"),
            (&[], http, true, "https"),
            (&[], &ALLOCATE, false, "https"),
            (&[b"stun.turn"], &ALLOCATE, false, "nothing"),
        ];
        for (names, bytes, with_media, wanted) in cases {
            let (client, server) = connection().await;
            let (acceptor, connector) = tls(names);
            let name = ServerName::try_from("localhost").unwrap();
            let client = async {
                let mut client = connector.connect(name, client).await.unwrap();
                client.write_all(bytes).await.unwrap();
                client.flush().await.unwrap();
                client
            };
            let (spoken, _client) =
                tokio::join!(recognise(server, Some(&acceptor), with_media), client);
            let spoken = spoken.unwrap();
            assert_eq!(word(&spoken), wanted, "{names:?}");
            if let (Spoken::SecretMedia(stream), []) = (spoken, names) {
                let (_, mut session) = stream.into_inner();
                let mut read = [0; ALLOCATE.len()];
                session.reader().read_exact(&mut read).unwrap();
                assert_eq!(read, ALLOCATE, "what was looked at goes on with the session");
            }
        }
    }
}
