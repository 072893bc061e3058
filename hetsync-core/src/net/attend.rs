//! A connection's life: which protocol it speaks, and protocol 0 itself.

use async_io::Timer;
use smol::future::FutureExt;

use super::builder::Limits;
use super::connection::{Connection, FAREWELL, Owed, ReadEnd};
use super::hub::Hub;
use super::memory::Claim;
use super::notice::Departure;
use super::session::Session;
use super::tls;
use crate::server::ConnId;
use crate::time::Span;
use crate::wire::v1::ErrorCode;
use crate::wire::{v0, v1};

/// One connection's life, in the protocol that its first byte tells.
pub(super) async fn attend(hub: &Hub, connection: &Connection, claim: Claim, limits: Limits) {
    let conn = connection.id;
    let greeted = greet(connection, limits.hello).await;
    let first = match greeted {
        Ok(()) => connection.first_byte().await,
        Err(why) => Err(connection.departure(why)),
    };
    let (why, worker, claim) = match first {
        // No frame of either protocol begins so.
        Ok(Some(tls::FIRST_BYTE)) => (Departure::SpeaksTls, conn, claim),
        Ok(Some(first)) if first == v1::MAGIC[0] => {
            hub.change(|jobs, now| jobs.handle_new(now, conn));
            let session = Session {
                hub,
                connection,
                claim,
                max_payload_bytes: limits.max_payload_bytes,
            };
            session.run().await
        }
        Ok(Some(_)) => {
            hub.change(|jobs, _| jobs.handle_old(conn));
            attend_old(hub, connection, claim, limits).await
        }
        Ok(None) => (connection.departure(Departure::Closed), conn, claim),
        Err(why) => (why, conn, claim),
    };
    hub.dismiss(conn, why, worker, claim);
}

/// Agrees on keys with a peer, if there is TLS, and is plain with one that
/// does not speak it.
async fn greet(connection: &Connection, most: Span) -> Result<(), Departure> {
    let stream = &connection.stream;
    if !stream.is_tls() {
        return Ok(());
    }
    let greeting = async {
        match stream.first_of_socket().await {
            Ok(Some(tls::FIRST_BYTE)) => stream.greet().await.map_err(Departure::NoTls),
            Ok(Some(first)) => {
                if first == v1::MAGIC[0] {
                    let text = "this server speaks TLS, and this worker does not (--tls-ca)";
                    let why = v1::encode(&v1::Message::Error(v1::message::Error {
                        code: ErrorCode::Unauthorized.into(),
                        text: text.into(),
                    }));
                    let patience = async {
                        Timer::after(FAREWELL.into()).await;
                        Ok(())
                    };
                    // Whether it reads that or not, it is to go.
                    let _ = stream.turn_away(&why).or(patience).await;
                }
                Err(Departure::SpeaksPlain)
            }
            Ok(None) => Err(Departure::Closed),
            Err(error) => Err(Departure::Failed(error)),
        }
    };
    let patience = async {
        Timer::after(most.into()).await;
        Err(Departure::SlowGreeting(most))
    };
    greeting.or(patience).await
}

/// A connection that speaks protocol 0: gradient in, result out, until it
/// ends.
async fn attend_old(
    hub: &Hub,
    connection: &Connection,
    mut claim: Claim,
    limits: Limits,
) -> (Departure, ConnId, Claim) {
    let conn = connection.id;
    let mut decoder = v0::Decoder::new(limits.max_payload_bytes);
    let why = 'life: loop {
        let frame = connection
            .read_frame(
                &mut decoder,
                &mut claim,
                limits.quick_ack,
                || hub.model_bytes(),
                || hub.now(),
            )
            .await;
        match frame {
            Ok(gradient) => {
                connection.owe_reply();
                hub.gradient(conn, gradient.as_bytes().len(), |jobs, now| {
                    jobs.handle_signs(conn, connection.signs(now, true));
                    jobs.handle_old_gradient(now, conn, gradient);
                });
            }
            Err(ReadEnd::Wire(error)) => {
                hub.change(|jobs, now| jobs.handle_wire_error(now, conn, error));
                break Departure::Refused;
            }
            Err(ReadEnd::NoMemory(limit)) => {
                hub.change(|jobs, now| jobs.handle_no_memory(now, conn, limit));
                break Departure::Refused;
            }
            Err(ReadEnd::NoShare(found, share)) => {
                hub.change(|jobs, now| jobs.handle_no_share(now, conn, found, share));
                break Departure::Refused;
            }
            Err(ReadEnd::Gone(why)) => break why,
        }
        loop {
            match connection.reply_sent(|| hub.now()).await {
                Ok(Owed::Sent) => break,
                Ok(Owed::HalfClosed) => hub.half_close(conn),
                Err(why) => break 'life why,
            }
        }
        if let Some(buffer) = hub.spare_buffer(conn) {
            decoder.lend(buffer);
        }
    };
    (why, conn, claim)
}
