//! Comparing what is there with what management needs, and changing nothing.

use async_nats::jetstream::{
    self,
    consumer::pull,
    context::ConsumerInfoErrorKind,
    stream::{self, Stream},
};

use super::{
    ensure::{compare_consumer, compare_stream, stream_is_absent},
    error::TopologyError,
};

pub(super) async fn look_at_stream(
    context: &jetstream::Context,
    wanted: &stream::Config,
) -> Result<Stream, TopologyError> {
    let name = &wanted.name;
    let found = match context.get_stream(name).await {
        Ok(stream) => stream,
        Err(error) if stream_is_absent(&error) => return Err(TopologyError::Missing { name: name.clone() }),
        Err(error) => return Err(TopologyError::request(format!("reading the stream {name}"))(error)),
    };
    compare_stream(wanted, &found.cached_info().config)?;
    Ok(found)
}

pub(super) async fn look_at_consumer(stream: &Stream, name: &str, wanted: &pull::Config) -> Result<(), TopologyError> {
    let info = match stream.consumer_info(name).await {
        Ok(info) => info,
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
            return Err(TopologyError::Missing { name: name.to_owned() });
        }
        Err(error) => return Err(TopologyError::request(format!("reading the consumer {name}"))(error)),
    };
    compare_consumer(name, wanted, &info.config)
}
