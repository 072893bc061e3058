//! TLS 1.3 on a socket, by rustls with the cryptography of graviola.
//!
//! Not here: which address is worth a certificate, and what a token is for.
//! TLS hides what is said and proves who the server is; who a worker is, its
//! token says.
//!
//! Invariants: nothing waits here. A session holds at most [`MOST_HELD`]
//! bytes that the socket has not taken, and about one record of 16 KiB on its
//! way in. What a peer sends is never more than an error.

use std::fmt;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Connection, RootCertStore};
use rustls::{ClientConnection, ServerConfig, ServerConnection};

use super::socket;

/// Bytes that wait for the socket, at most.
const MOST_HELD: usize = 64 * 1024;

/// The first byte of a TLS connection: a record of the handshake.
pub(super) const FIRST_BYTE: u8 = 0x16;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is nothing of the kind in the PEM text.
    #[error("there is no {0} in it; expected PEM text, as in `-----BEGIN {1}-----`")]
    Missing(&'static str, &'static str),
    /// It is no PEM text, or what it holds cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// This machine's processor lacks what the cryptography needs.
    #[error("this processor cannot do it: {0}")]
    Processor(&'static str),
    /// No server can have this name.
    #[error("`{0}` is no name that a certificate can be for")]
    Name(String),
    /// The two ends have not agreed.
    #[error("{}", explain(.0))]
    Handshake(#[source] rustls::Error),
}

/// What went wrong, in words for whoever runs the peer or the server.
fn explain(error: &rustls::Error) -> String {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(why) => explain_certificate(why),
        Error::AlertReceived(alert) => match alert {
            AlertDescription::UnknownCA => {
                "the other end does not know the authority that signed the certificate".into()
            }
            AlertDescription::CertificateExpired => {
                "the other end says that the certificate has expired".into()
            }
            AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
                "the other end does not accept the certificate, perhaps as it is for other names"
                    .into()
            }
            alert => format!("the other end ended it: {alert:?}"),
        },
        Error::InvalidMessage(_) => "the other end says what is no TLS".into(),
        Error::PeerIncompatible(why) => {
            format!("the other end has no TLS 1.3 that fits ({why:?})")
        }
        other => other.to_string(),
    }
}

fn explain_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => {
            "the server's certificate is not signed by the authority that is trusted (--tls-ca)"
                .into()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired, by this machine's clock".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet, by this machine's clock".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the server's certificate is for other names (--tls-name): {why}")
        }
        other => format!("the server's certificate cannot be used: {other}"),
    }
}

/// What a server shows to its workers. Cheap to clone.
#[derive(Clone)]
pub struct TlsServer(Arc<ServerConfig>);

/// Whom a worker trusts. Cheap to clone.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl TlsServer {
    /// A certificate with those that lead to its authority, and its key, all
    /// as PEM text.
    ///
    /// # Errors
    /// [`TlsError`] if something is missing, or the two do not belong
    /// together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let certificates = read_certificates(certificates)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            rustls::pki_types::pem::Error::NoItemsFound => {
                TlsError::Missing("private key", "PRIVATE KEY")
            }
            other => TlsError::Unusable(other.to_string()),
        })?;
        let unusable = |error: rustls::Error| {
            TlsError::Unusable(match error {
                rustls::Error::InconsistentKeys(_) => {
                    "the key is not that of the certificate".into()
                }
                other => other.to_string(),
            })
        };
        let mut config = ServerConfig::builder_with_provider(provider()?)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(unusable)?;
        // Connections last for a whole training.
        config.send_tls13_tickets = 0;
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn session(&self) -> Result<Session, TlsError> {
        let connection = ServerConnection::new(Arc::clone(&self.0));
        let connection = connection.map_err(TlsError::Handshake)?;
        Ok(Session::new(Connection::Server(connection)))
    }
}

impl TlsClient {
    /// Trusts servers that show a certificate for `name`, which is a DNS name
    /// or an address, signed by one of these authorities (PEM text).
    ///
    /// # Errors
    /// [`TlsError`] if there is no authority, or the name is none.
    pub fn from_pem(authorities: &[u8], name: &str) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in read_certificates(authorities)? {
            let added = roots.add(authority);
            added.map_err(|error| TlsError::Unusable(error.to_string()))?;
        }
        let unusable = |error: rustls::Error| TlsError::Unusable(error.to_string());
        let config = ClientConfig::builder_with_provider(provider()?)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerName::try_from(name.to_owned());
        Ok(Self {
            config: Arc::new(config),
            name: server.map_err(|_| TlsError::Name(name.into()))?,
        })
    }

    pub(super) fn session(&self) -> Result<Session, TlsError> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        let connection = connection.map_err(TlsError::Handshake)?;
        Ok(Session::new(Connection::Client(connection)))
    }
}

fn read_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| TlsError::Unusable(error.to_string()))?;
    match found.is_empty() {
        true => Err(TlsError::Missing("certificate", "CERTIFICATE")),
        false => Ok(found),
    }
}

/// The cryptography, where the processor has what it needs. It would panic
/// elsewhere.
fn provider() -> Result<Arc<rustls::crypto::CryptoProvider>, TlsError> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if !(has!("aes")
            && has!("pclmulqdq")
            && has!("bmi1")
            && has!("adx")
            && has!("avx")
            && has!("avx2"))
        {
            return Err(TlsError::Processor(
                "TLS needs AES, PCLMULQDQ, BMI1, ADX, AVX and AVX2, which processors have since about 2014",
            ));
        }
        Ok(Arc::new(rustls_graviola::default_provider()))
    }
    #[cfg(target_arch = "aarch64")]
    {
        use std::arch::is_aarch64_feature_detected as has;
        if !(has!("neon") && has!("aes") && has!("pmull") && has!("sha2")) {
            return Err(TlsError::Processor(
                "TLS needs NEON, AES, PMULL and SHA-2 instructions",
            ));
        }
        Ok(Arc::new(rustls_graviola::default_provider()))
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    Err(TlsError::Processor(
        "there is TLS on x86-64 and AArch64 alone",
    ))
}

/// What a greeting waits for.
pub(super) enum Step {
    Done,
    Read,
    Write,
}

/// One connection's keys, and what is between it and its socket.
pub(super) struct Session {
    connection: Connection,
}

fn broken_off(kind: io::ErrorKind) -> io::Error {
    let text = "the other end closed the connection when TLS began; does it speak TLS?";
    io::Error::new(kind, text)
}

/// A socket for rustls, which never raises SIGPIPE.
struct Raw<'a>(&'a TcpStream);

impl Read for Raw<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        socket::send(self.0, &[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        socket::send(self.0, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Session {
    fn new(mut connection: Connection) -> Self {
        connection.set_buffer_limit(Some(MOST_HELD));
        Self { connection }
    }

    /// One step towards keys.
    pub(super) fn greet(&mut self, socket: &TcpStream) -> io::Result<Step> {
        loop {
            match self.flush(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Write),
                Err(error) => return Err(error),
                Ok(()) if !self.connection.is_handshaking() => return Ok(Step::Done),
                Ok(()) => {}
            }
            match self.take_in(socket) {
                Ok(0) => return Err(broken_off(io::ErrorKind::UnexpectedEof)),
                Ok(_) => {}
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Step::Read),
                    // So does a peer that has not read what it was sent.
                    kind @ io::ErrorKind::ConnectionReset => return Err(broken_off(kind)),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Takes bytes from the socket, and decrypts what is whole.
    fn take_in(&mut self, socket: &TcpStream) -> io::Result<usize> {
        let count = self.connection.read_tls(&mut Raw(socket))?;
        if let Err(error) = self.connection.process_new_packets() {
            // The other end is told why, if it can be.
            let _ = self.connection.write_tls(&mut Raw(socket));
            return Err(io::Error::other(TlsError::Handshake(error)));
        }
        if self.connection.wants_write() && !self.connection.is_handshaking() {
            // New keys, or an answer to them; what is left goes with the next
            // bytes.
            let _ = self.connection.write_tls(&mut Raw(socket));
        }
        Ok(count)
    }

    pub(super) fn has_plaintext(&mut self) -> bool {
        // Its end counts: reading tells of it.
        match self.connection.reader().fill_buf() {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    pub(super) fn read(&mut self, socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        self.decrypted(socket, |reader| reader.read(buffer))
    }

    pub(super) fn peek(&mut self, socket: &TcpStream) -> io::Result<Option<u8>> {
        self.decrypted(socket, |reader| Ok(reader.fill_buf()?.first().copied()))
    }

    /// Reads plaintext, or more of what it is made of until there is some.
    fn decrypted<T: Default>(
        &mut self,
        socket: &TcpStream,
        mut read: impl FnMut(&mut rustls::Reader<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match read(&mut self.connection.reader()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Frames know their own length, so an end without a goodbye
                // takes nothing from anybody unseen.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(T::default());
                }
                other => return other,
            }
            self.take_in(socket)?;
        }
    }

    /// Encrypts as much as there is room for, and gives the socket what it
    /// takes.
    pub(super) fn send(&mut self, socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        let count = self.connection.writer().write_vectored(slices)?;
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    pub(super) fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Raw(socket))?;
        }
        Ok(())
    }

    /// Says that nothing more will come.
    pub(super) fn goodbye(&mut self, socket: &TcpStream) {
        self.connection.send_close_notify();
        // If it is gone already, all the better.
        let _ = self.flush(socket);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}
