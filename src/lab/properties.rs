//! A file with librdkafka properties, as `--config` takes it.
//!
//! One `name=value` a line; `#` and `!` start a comment line. Every property is tried on librdkafka at its own line.
//! Values are never printed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;

use crate::kafka::{Target, is_secret};
use crate::problem::{Outcome, Problem};

/// More than any such file has.
const LIMIT_BYTES: u64 = 256 * 1024;

/// Properties of Kafka's Java clients that librdkafka doesn't have, and what to write instead.
/// Source: librdkafka's CONFIGURATION.md and INTRODUCTION.md, Kafka's documentation of its clients' configs.
const JAVA_NAMES: &[(&str, &str)] = &[
    (
        "sasl.jaas.config",
        "write sasl.username=… and sasl.password=… instead",
    ),
    (
        "ssl.truststore.location",
        "write ssl.ca.location=FILE instead, with the certificates in PEM format",
    ),
    (
        "ssl.truststore.password",
        "leave it out: ssl.ca.location names a PEM file, which has no password",
    ),
    (
        "ssl.truststore.type",
        "leave it out: ssl.ca.location names a PEM file",
    ),
    ("ssl.truststore.certificates", "write ssl.ca.pem=… instead"),
    (
        "ssl.keystore.type",
        "leave it out: ssl.keystore.location takes PKCS#12, ssl.key.location takes PEM",
    ),
    ("ssl.keystore.key", "write ssl.key.pem=… instead"),
    (
        "ssl.keystore.certificate.chain",
        "write ssl.certificate.pem=… instead",
    ),
    (
        "ssl.protocol",
        "leave it out: the newest TLS that both sides know is used",
    ),
    (
        "ssl.enabled.protocols",
        "leave it out: the newest TLS that both sides know is used",
    ),
    (
        "sasl.login.callback.handler.class",
        "write sasl.oauthbearer.method=oidc and the sasl.oauthbearer.* properties",
    ),
    ("sasl.client.callback.handler.class", "leave it out"),
    ("sasl.login.class", "leave it out"),
    (
        "key.serializer",
        "leave it out: the lab decides how records are written",
    ),
    (
        "value.serializer",
        "leave it out: the lab decides how records are written",
    ),
    (
        "key.deserializer",
        "leave it out: the lab decides how records are read",
    ),
    (
        "value.deserializer",
        "leave it out: the lab decides how records are read",
    ),
    (
        "interceptor.classes",
        "leave it out: Java classes can't be used here",
    ),
    (
        "default.api.timeout.ms",
        "write socket.timeout.ms=… instead, or leave it out",
    ),
    ("max.poll.records", "leave it out"),
    ("max.block.ms", "leave it out"),
    ("fetch.max.wait.ms", "write fetch.wait.max.ms=… instead"),
    ("buffer.memory", "write queue.buffering.max.kbytes=… instead"),
    ("send.buffer.bytes", "write socket.send.buffer.bytes=… instead"),
    (
        "receive.buffer.bytes",
        "write socket.receive.buffer.bytes=… instead",
    ),
    ("metric.reporters", "leave it out"),
    ("security.providers", "leave it out"),
];

/// Properties that load or run code: a file that came with a class's handout must not.
const RUNS_CODE: &[&str] = &[
    "plugin.library.paths",
    "ssl.engine.location",
    "ssl.providers",
    "sasl.kerberos.kinit.cmd",
];

/// The target that the file describes; its prefix is empty, and its bootstrap too when the file names none.
pub(super) fn read(path: &Path) -> Outcome<Target> {
    let unreadable =
        |why: String| Problem::new(format!("the properties file can't be read: {why}")).at(path, None);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.take(LIMIT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > LIMIT_BYTES {
        return Err(unreadable(format!("it has more than {} KiB", LIMIT_BYTES / 1024)));
    }
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".into()))?;
    parse(path, text.strip_prefix('\u{feff}').unwrap_or(&text))
}

fn parse(path: &Path, text: &str) -> Outcome<Target> {
    let mut target = Target::new("");
    let mut seen = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let at = |problem: Problem| problem.at(path, Some(index + 1));
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let Some((name, value)) = line.split_once('=') else {
            return Err(at(
                Problem::new("this line is no property").next("write name=value")
            ));
        };
        let (name, value) = (name.trim(), value.trim());
        if !seen.insert(name.to_owned()) {
            return Err(at(
                Problem::new(format!("{name} is set twice")).next("keep one of the two lines")
            ));
        }
        check(name, value).map_err(at)?;
        if name == "bootstrap.servers" || name == "metadata.broker.list" {
            value.clone_into(&mut target.bootstrap);
        } else {
            target.properties.insert(name.to_owned(), value.to_owned());
        }
    }
    Ok(target)
}

/// Asks librdkafka about one property.
fn check(name: &str, value: &str) -> Outcome<()> {
    if RUNS_CODE.contains(&name) {
        return Err(
            Problem::new(format!("{name} loads or runs code, which a lab's file can't")).next("leave it out"),
        );
    }
    if let Some((_, instead)) = JAVA_NAMES.iter().find(|(java, _)| *java == name) {
        return Err(Problem::new(format!(
            "{name} is a property of Kafka's Java clients; this lab uses librdkafka"
        ))
        .next(*instead));
    }
    if needs_tls(name, value) && !cfg!(feature = "tls") {
        return Err(without_tls(name));
    }
    let tried = ClientConfig::new().set(name, value).create_native_config();
    match tried {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, reason, _, _)) => Err(explain(name, &reason)),
        Err(_) => Err(Problem::new(format!("{name} can't be set to this value"))),
    }
}

/// librdkafka does TLS, SCRAM and OAUTHBEARER with OpenSSL.
fn needs_tls(name: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    match name {
        "security.protocol" => value.ends_with("ssl"),
        "sasl.mechanism" | "sasl.mechanisms" => value.starts_with("scram") || value == "oauthbearer",
        _ => name.starts_with("ssl.") || name.starts_with("sasl.oauthbearer."),
    }
}

fn without_tls(name: &str) -> Problem {
    Problem::new(format!("{name} needs TLS, which this build was made without"))
        .next("build with `cargo build --release --features tls` (needs OpenSSL's headers)")
}

/// Words librdkafka's refusal. Its text can hold the value.
fn explain(name: &str, reason: &str) -> Problem {
    if reason.contains("No such configuration property") {
        let near = NAMES
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), known))
            .min()
            .filter(|(distance, _)| *distance <= 3);
        let problem = Problem::new(format!("librdkafka has no property {name}"));
        return match near {
            Some((_, known)) => problem.next(format!("did you mean {known}?")),
            None => problem.next(
                "its properties: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md",
            ),
        };
    }
    if reason.contains("not supported in this build") || reason.contains("not available") {
        return Problem::new(format!("{name} needs a feature that this build was made without"))
            .next("build with `cargo build --release --features tls`");
    }
    if is_secret(name) {
        Problem::new(format!("{name} can't be set to this value"))
    } else {
        Problem::new(format!("{name} can't be set to this value: {reason}"))
    }
}

/// The properties that such a file usually has, for did-you-mean.
const NAMES: &[&str] = &[
    "bootstrap.servers",
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "client.id",
    "client.rack",
    "socket.timeout.ms",
    "broker.address.family",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        parse(Path::new("client.properties"), text).unwrap_err()
    }

    #[test]
    fn a_file_gives_the_address_and_the_properties() {
        let text = "# class cluster\n! Java comment\n\n bootstrap.servers = kafka.example:9092 \r\nclient.id=ann=1\n";
        let target = parse(Path::new("f"), text).unwrap();
        assert_eq!(target.bootstrap, "kafka.example:9092");
        assert_eq!(
            target.properties.get("client.id").map(String::as_str),
            Some("ann=1")
        );
        assert_eq!(target.properties.len(), 1);
    }

    #[test]
    fn a_mistake_is_told_at_its_line_with_what_to_write() {
        let typo = problem("bootstrap.servers=a:1\nsasl.pasword=hunter2\n");
        assert_eq!(typo.place.as_ref().unwrap().line, Some(2));
        assert_eq!(typo.next.as_deref(), Some("did you mean sasl.password?"));

        let java = problem("sasl.jaas.config=org…PlainLoginModule required password=\"hunter2\";\n");
        assert!(java.next.as_deref().unwrap().contains("sasl.username"));

        let value = problem("security.protocol=hunter2\n");
        assert!(!value.what.is_empty());

        assert!(problem("bootstrap.servers: a:1").what.contains("no property"));
        assert!(problem("client.id=a\nclient.id=b").what.contains("twice"));
        assert!(
            problem("plugin.library.paths=/tmp/evil.so")
                .what
                .contains("runs code")
        );
        for text in [
            "sasl.pasword=hunter2",
            "sasl.jaas.config=hunter2",
            "hunter2",
            "ssl.key.pem=hunter2",
        ] {
            assert!(!problem(text).render().contains("hunter2"), "{text}");
        }
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn a_build_without_tls_says_how_to_get_it() {
        for text in [
            "ssl.ca.location=/ca.pem",
            "security.protocol=SASL_SSL",
            "sasl.mechanism=SCRAM-SHA-512",
        ] {
            let problem = problem(text);
            assert!(
                problem.next.as_deref().unwrap().contains("--features tls"),
                "{problem}"
            );
        }
    }

    #[test]
    fn every_java_name_is_unknown_to_librdkafka() {
        for (name, _) in JAVA_NAMES {
            let tried = ClientConfig::new().set(*name, "x").create_native_config();
            let Err(KafkaError::ClientConfig(_, reason, _, _)) = tried else {
                panic!("librdkafka takes {name}");
            };
            let about_the_name = ["No such configuration property", "Java"];
            assert!(
                about_the_name.iter().any(|words| reason.contains(words)),
                "{name}: {reason}"
            );
        }
    }
}
