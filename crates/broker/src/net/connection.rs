//! One connection, from its first frame to its last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable};
use tokio::net::TcpStream;

use super::Shared;
use super::frame::{self, FrameError};
use super::outgoing::{Held, Outgoing, Stretches};
use super::owner::Gone;
use crate::api::faulty::Faulty;
use crate::api::shape::{self, Malformed};
use crate::api::{self, Api, Aside, Message, Response, Unwritable};
use crate::core::{Caller, Event};
use crate::fault::Action;

/// Bounds on what a peer may send.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The largest frame, `socket.request.max.bytes`.
    pub(crate) frame_bytes: usize,
    /// How long a connection may be silent, `connections.max.idle.ms`.
    pub(crate) idle: Duration,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("API key {key} version {version} is not supported")]
    Unsupported { key: i16, version: i16 },
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("silent for too long")]
    Idle,
    #[error("dropped by a fault")]
    Fault,
    #[error("the cluster ends")]
    Ending,
}

/// Serves a connection until one side ends it.
pub(crate) async fn serve(
    broker: i32,
    mut stream: TcpStream,
    peer: SocketAddr,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    stream.set_nodelay(true)?;
    let mut peer = Peer {
        connection: shared.next_request.fetch_add(1, Ordering::Relaxed),
        host: format!("/{}", peer.ip()).into(),
        is_bound: false,
    };
    let result = exchange(broker, &mut stream, &mut peer, shared).await;
    if peer.is_bound {
        // Nobody is left to tell where the cluster ends.
        let connection = peer.connection;
        let _ = shared.owner.tell(Event::Closed { connection }).await;
    }
    result
}

/// Answers frames until one side ends it.
async fn exchange(
    broker: i32,
    stream: &mut TcpStream,
    peer: &mut Peer,
    shared: &Shared,
) -> Result<(), ConnectionError> {
    let mut buf = BytesMut::new();
    let mut held = Held::default();
    let result = loop {
        let frame = match next_frame(stream, &mut buf, &mut held, shared).await {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let mut answering = std::pin::pin!(answer(broker, peer, frame, shared));
        let answered = tokio::select! {
            biased;
            answered = &mut answering => answered,
            // It takes time: those before it don't wait for it.
            () = std::future::ready(()) => {
                held.send(stream).await?;
                answering.await
            }
        };
        let (answer, mute_ms) = match answered {
            Ok(answered) => answered,
            Err(error) => break Err(error),
        };
        if let Some(answer) = answer {
            held.take(answer, stream).await?;
        }
        if mute_ms > 0 {
            held.send(stream).await?;
            if let Err(error) = rest(mute_ms, shared).await {
                break Err(error);
            }
        }
    };
    held.send(stream).await?;
    result
}

/// Waits with a client that is held back: nothing of it is read. The lab's clock may be put forward meanwhile, so it is
/// looked at again and again.
async fn rest(mute_ms: i64, shared: &Shared) -> Result<(), ConnectionError> {
    const LOOK_MS: i64 = 50;
    let end_ms = shared.clock.now_ms() + mute_ms;
    let over = async {
        loop {
            let left_ms = end_ms - shared.clock.now_ms();
            match u64::try_from(left_ms.min(LOOK_MS)) {
                Ok(wait_ms) if wait_ms > 0 => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
                _ => return,
            }
        }
    };
    let in_time = tokio::time::timeout(shared.limits.idle, over).await;
    in_time.map_err(|_| ConnectionError::Idle)
}

/// Who is at the other end.
struct Peer {
    connection: u64,
    /// Its address, as Kafka shows it.
    host: Arc<str>,
    /// Has it sent a request of those that are [bound to a connection](Api::bound).
    is_bound: bool,
}

/// The next frame, none where the peer has closed the connection. Answers that are held go out before it waits.
async fn next_frame(
    stream: &mut TcpStream,
    buf: &mut BytesMut,
    held: &mut Held,
    shared: &Shared,
) -> Result<Option<Bytes>, ConnectionError> {
    let max_bytes = shared.limits.frame_bytes;
    if !held.is_empty() {
        if let Some(frame) = frame::arrived(stream, buf, max_bytes)? {
            return Ok(Some(frame));
        }
        held.send(stream).await?;
    }
    let next = frame::read(stream, buf, max_bytes);
    match tokio::time::timeout(shared.limits.idle, next).await {
        Ok(Ok(frame)) => Ok(Some(frame)),
        Ok(Err(FrameError::Closed)) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(ConnectionError::Idle),
    }
}

/// A frame whose header and shape are as they must be.
pub(crate) enum Opened {
    /// What is left of the frame is the body, bounded and yet to be decoded.
    Request {
        api: &'static Api,
        version: i16,
        header: RequestHeader,
    },
    /// An `ApiVersions` of a version that this cluster doesn't know, and its correlation id.
    OtherVersion(i32),
}

/// Takes the header from a frame of at least 8 bytes.
pub(crate) fn open_request(frame: &mut Bytes) -> Result<Opened, ConnectionError> {
    let (key, version, correlation) = {
        let mut head = &frame[..8];
        (head.get_i16(), head.get_i16(), head.get_i32())
    };
    let unsupported = ConnectionError::Unsupported { key, version };
    let Some(api) = api::find(key) else {
        return Err(unsupported);
    };
    if !(api.min..=api.max).contains(&version) {
        return if key == ApiKey::ApiVersions as i16 {
            Ok(Opened::OtherVersion(correlation))
        } else {
            Err(unsupported)
        };
    }
    let header_version = (api.request_header)(version);
    let header =
        RequestHeader::decode(frame, header_version).map_err(|_| Malformed("its header can't be decoded"))?;
    shape::check(frame, api.shape, version, header_version >= 2)?;
    Ok(Opened::Request { api, version, header })
}

/// The bytes that answer a frame, or nothing where no answer is wanted; and for how many milliseconds the client is held
/// back after it.
async fn answer(
    broker: i32,
    peer: &mut Peer,
    mut frame: Bytes,
    shared: &Shared,
) -> Result<(Option<Outgoing>, i64), ConnectionError> {
    let (api, version, header) = match open_request(&mut frame)? {
        Opened::Request { api, version, header } => (api, version, header),
        Opened::OtherVersion(correlation) => return Ok((Some(other_version(correlation)?), 0)),
    };
    let (key, correlation) = (api.key, header.correlation_id);
    let mut answer_is_lost = false;
    match shared.faults.action(broker, key) {
        Some(Action::Drop) => return Err(ConnectionError::Fault),
        Some(Action::Delay(time)) => tokio::time::sleep(time).await,
        Some(Action::Error(code)) => match api::faulty::answer(key, version, &mut frame, code) {
            Faulty::Answer(response) => return Ok((Some(encode(api, version, correlation, response)?), 0)),
            Faulty::Silent => return Ok((None, 0)),
            Faulty::Unknown => return Err(ConnectionError::Fault),
        },
        Some(Action::DropAnswer) => answer_is_lost = true,
        None => {}
    }
    let aside = Aside {
        rules: shared.rules.clone(),
        now_ms: shared.clock.now_ms(),
        bytes: frame.len() as u32,
    };
    let body = (api.decode)(&mut frame, version, &aside)?;
    drop(frame);
    let caller = Caller {
        request: shared.next_request.fetch_add(1, Ordering::Relaxed),
        broker,
        connection: peer.connection,
        version,
        client_id: header.client_id.as_deref().unwrap_or_default().into(),
        host: peer.host.clone(),
        answer_is_lost,
    };
    peer.is_bound |= api.bound;
    let request = caller.request;
    let asked = shared.owner.ask(request, Event::Request { caller, api, body });
    let answered = asked.await.map_err(|Gone| ConnectionError::Ending)?;
    if answer_is_lost {
        return Err(ConnectionError::Fault);
    }
    let response = answered.response;
    let answer = response.map(|response| encode(api, version, correlation, response));
    Ok((answer.transpose()?, answered.mute_ms))
}

fn encode(api: &Api, version: i16, correlation: i32, response: Response) -> Result<Outgoing, Unwritable> {
    let header = (api.response_header)(version);
    match response {
        Response::Message(message) => {
            let out = Outgoing::new(Stretches::default(), 512);
            framed(out, header, correlation, |out| {
                message.write(out.own_mut(), version)
            })
        }
        Response::Fetch(plan) => with_records(header, correlation, version, |stretches| {
            api::fetch::respond(plan, stretches)
        }),
        Response::ShareFetch(plan) => with_records(header, correlation, version, |stretches| {
            api::share_fetch::respond(plan, stretches)
        }),
    }
}

/// A response whose records are stretches of the logs' files.
fn with_records<M: Encodable>(
    header: i16,
    correlation: i32,
    version: i16,
    respond: impl FnOnce(&mut Stretches) -> M,
) -> Result<Outgoing, Unwritable> {
    let mut stretches = Stretches::default();
    let response = respond(&mut stretches);
    framed(Outgoing::new(stretches, 4096), header, correlation, |out| {
        let encoded = response.encode(out, version);
        encoded.map_err(|error| Unwritable(error.to_string()))
    })
}

/// A response with its length and header before it.
fn framed(
    mut out: Outgoing,
    header: i16,
    correlation: i32,
    write: impl FnOnce(&mut Outgoing) -> Result<(), Unwritable>,
) -> Result<Outgoing, Unwritable> {
    out.put_i32(0);
    ResponseHeader::default()
        .with_correlation_id(correlation)
        .encode(&mut out, header)
        .map_err(|error| Unwritable(error.to_string()))?;
    write(&mut out)?;
    let len = (out.len() - 4) as i32;
    out.own_mut()[..4].copy_from_slice(&len.to_be_bytes());
    Ok(out)
}

/// The answer to an `ApiVersions` of a version that this cluster doesn't know (KIP-511): version 0, with the versions
/// of this key.
fn other_version(correlation: i32) -> Result<Outgoing, Unwritable> {
    let mut response =
        api::api_versions::supported().with_error_code(ResponseError::UnsupportedVersion.code());
    let own = ApiKey::ApiVersions as i16;
    response.api_keys.retain(|supported| supported.api_key == own);
    let out = Outgoing::new(Stretches::default(), 1024);
    framed(out, 0, correlation, |out| {
        Message::write(&response, out.own_mut(), 0)
    })
}
