//! One connection to one broker: frames, versions, one request at a time.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{
    Decodable, HeaderVersion, Message, Request, StrBytes, VersionRange, encode_request_header_into_buffer,
};
use rdkafka::error::RDKafkaErrorCode;

use crate::kafka::{KafkaError, KafkaResult};

/// The largest answer that is taken: far more than a lab's cluster has to tell.
const MOST_BYTES: usize = 64 * 1024 * 1024;

pub(super) struct Connection {
    stream: TcpStream,
    address: String,
    versions: BTreeMap<i16, VersionRange>,
    correlation: i32,
}

impl Connection {
    /// Connects and asks which versions of which requests the broker knows.
    pub(super) fn open(address: &str, timeout: Duration) -> KafkaResult<Self> {
        let unreachable = |why: &dyn std::fmt::Display| KafkaError {
            message: format!("{address}: {why}"),
            ..KafkaError::of(RDKafkaErrorCode::BrokerTransportFailure)
        };
        let places = address.to_socket_addrs().map_err(|error| unreachable(&error))?;
        let mut stream = Err(unreachable(&"the name stands for no address"));
        for place in places {
            stream = TcpStream::connect_timeout(&place, timeout).map_err(|error| unreachable(&error));
            if stream.is_ok() {
                break;
            }
        }
        let stream = stream?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(timeout)))
            .and_then(|()| stream.set_write_timeout(Some(timeout)))
            .map_err(|error| unreachable(&error))?;
        let mut connection = Self {
            stream,
            address: address.to_owned(),
            versions: BTreeMap::new(),
            correlation: 0,
        };
        // The first version is known to every broker.
        let known = connection.ask_version(&ApiVersionsRequest::default(), 0)?;
        for api in known.api_keys {
            let range = VersionRange {
                min: api.min_version,
                max: api.max_version,
            };
            connection.versions.insert(api.api_key, range);
        }
        Ok(connection)
    }

    /// Sends a request in the newest version that both sides know, and waits for its answer.
    pub(super) fn ask<R: Request>(&mut self, request: &R) -> KafkaResult<R::Response> {
        let name = ApiKey::try_from(R::KEY).map_or_else(|()| R::KEY.to_string(), |key| format!("{key:?}"));
        let both = self
            .versions
            .get(&R::KEY)
            .map(|theirs| R::VERSIONS.intersect(theirs).intersect(&R::Response::VERSIONS))
            .filter(|both| !both.is_empty());
        let Some(both) = both else {
            return Err(KafkaError {
                message: format!("The broker at {} does not support {name}", self.address),
                ..KafkaError::of(RDKafkaErrorCode::UnsupportedVersion)
            });
        };
        self.ask_version(request, both.max)
    }

    fn ask_version<R: Request>(&mut self, request: &R, version: i16) -> KafkaResult<R::Response> {
        self.correlation += 1;
        let frame = self.frame(request, version).map_err(|error| KafkaError {
            message: format!("The broker at {} is too old for this: {error}", self.address),
            ..KafkaError::of(RDKafkaErrorCode::UnsupportedVersion)
        })?;
        self.stream
            .write_all(&frame)
            .map_err(|error| self.broken(&error.to_string()))?;
        let mut answer = self.read()?;
        let header_version = <R::Response as HeaderVersion>::header_version(version);
        let garbled = |what: &str| KafkaError {
            message: format!("the answer from {} can't be read: {what}", self.address),
            ..KafkaError::of(RDKafkaErrorCode::BadMessage)
        };
        let header = ResponseHeader::decode(&mut answer, header_version)
            .map_err(|error| garbled(&error.to_string()))?;
        if header.correlation_id != self.correlation {
            return Err(garbled("it answers another request"));
        }
        R::Response::decode(&mut answer, version).map_err(|error| garbled(&error.to_string()))
    }

    fn frame<R: Request>(&self, request: &R, version: i16) -> Result<BytesMut, String> {
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(StrBytes::from_static_str("streamlings")));
        let mut body = BytesMut::new();
        encode_request_header_into_buffer(&mut body, &header).map_err(|error| error.to_string())?;
        request
            .encode(&mut body, version)
            .map_err(|error| error.to_string())?;
        let mut frame = BytesMut::with_capacity(4 + body.len());
        frame.put_i32(i32::try_from(body.len()).map_err(|error| error.to_string())?);
        frame.extend_from_slice(&body);
        Ok(frame)
    }

    fn read(&mut self) -> KafkaResult<Bytes> {
        let mut length = [0; 4];
        self.stream
            .read_exact(&mut length)
            .map_err(|error| self.broken(&error.to_string()))?;
        let length = (&length[..]).get_i32();
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MOST_BYTES)
            .ok_or_else(|| {
                self.broken("what answers there does not speak the Kafka protocol in the clear")
            })?;
        let mut bytes = vec![0; length];
        self.stream
            .read_exact(&mut bytes)
            .map_err(|error| self.broken(&error.to_string()))?;
        Ok(bytes.into())
    }

    fn broken(&self, why: &str) -> KafkaError {
        KafkaError {
            message: format!("{}: {why}", self.address),
            ..KafkaError::of(RDKafkaErrorCode::BrokerTransportFailure)
        }
    }
}
