//! Finding and reaching Redis: one server, its primary behind Sentinels, or the nodes of a cluster.

use std::collections::HashMap;
use std::time::Duration;

use redis::cluster_routing::Slot;
use redis::io::tcp::TcpSettings;
use redis::{
    Client, Connection, ConnectionAddr, ConnectionInfo, ErrorKind, ProtocolVersion, RedisError,
    RedisResult, Value, cmd, from_redis_value,
};

/// How long to wait for a connection, and for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of slots of a cluster.
const SLOTS: u16 = 16_384;

/// The first version with sharded channels, and with scripts that are refused before they begin.
const MIN_VERSION: u64 = 7;

/// The address of a server, such as `127.0.0.1:6379`.
pub type Address = String;

/// The servers that the flags name.
#[derive(Debug, Clone)]
pub struct Servers {
    seeds: Vec<ConnectionInfo>,
}

/// Which server has which key.
#[derive(Debug)]
pub struct Topology {
    /// How to reach each server that may be written to.
    pub nodes: HashMap<Address, ConnectionInfo>,
    /// The server of each slot of a cluster; without a cluster, the only one has everything.
    slots: HashMap<Slot, Address>,
    only: Option<Address>,
}

impl Topology {
    /// The server that has a key.
    pub fn node_of(&self, key: &str) -> Option<&Address> {
        self.only.as_ref().or_else(|| self.slots.get(&Slot::for_key(key)))
    }

    fn single(info: ConnectionInfo) -> Self {
        let address = info.addr().to_string();
        let nodes = HashMap::from([(address.clone(), info)]);
        Self { nodes, slots: HashMap::new(), only: Some(address) }
    }
}

impl Servers {
    pub fn new(seeds: Vec<ConnectionInfo>) -> Self {
        Self { seeds: seeds.into_iter().map(prepare).collect() }
    }

    /// The addresses, for the log.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.seeds.iter().map(|seed| seed.addr().to_string()).collect();
        names.join(", ")
    }

    /// Asks the servers that the flags name, one after the other, which servers there are.
    ///
    /// # Errors
    /// The error of the last one.
    pub fn explore(&self) -> RedisResult<Topology> {
        let mut result = Err(fault("there is no address"));
        for seed in &self.seeds {
            result = explore_from(seed);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

/// Connects to a server.
///
/// # Errors
/// It cannot be reached, or refuses the user.
pub fn connect(info: &ConnectionInfo) -> RedisResult<Connection> {
    let client = Client::open(info.clone())?;
    let connection = client.get_connection_with_timeout(CONNECT_TIMEOUT)?;
    connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    connection.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    Ok(connection)
}

fn prepare(info: ConnectionInfo) -> ConnectionInfo {
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    info.set_redis_settings(redis).set_tcp_settings(TcpSettings::default().set_nodelay(true))
}

fn explore_from(seed: &ConnectionInfo) -> RedisResult<Topology> {
    let mut connection = connect(seed)?;
    let info: String = cmd("INFO").arg("server").query(&mut connection)?;
    let version = field(&info, "redis_version").unwrap_or("");
    let major = version.split('.').next().and_then(|major| major.parse::<u64>().ok());
    if major.is_none_or(|major| major < MIN_VERSION) {
        return Err(fault(format!("version {version} is too old: {MIN_VERSION} is needed")));
    }
    match mode(&info) {
        Some("sentinel") => primary(&mut connection, seed),
        Some("cluster") => cluster(&mut connection, seed),
        _ => Ok(Topology::single(seed.clone())),
    }
}

/// A field of the answer to INFO.
fn field<'i>(info: &'i str, name: &str) -> Option<&'i str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Whether the server is a Sentinel or a node of a cluster. Valkey has another name for this field.
fn mode(info: &str) -> Option<&str> {
    field(info, "redis_mode").or_else(|| field(info, "server_mode"))
}

/// Asks a Sentinel for the primary. It may watch only one.
fn primary(connection: &mut Connection, seed: &ConnectionInfo) -> RedisResult<Topology> {
    let watched: Vec<HashMap<String, String>> = cmd("SENTINEL").arg("MASTERS").query(connection)?;
    let [primary] = watched.as_slice() else {
        return Err(fault(format!("the Sentinel watches {} primaries, not one", watched.len())));
    };
    let name = primary.get("name").map_or("", String::as_str);
    let (host, port): (String, u16) =
        cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).query(connection)?;
    let info = seed.clone().set_addr(at(seed, host, port));
    let (role,): (String,) = cmd("ROLE").query::<Value>(&mut connect(&info)?).and_then(role)?;
    if role == "master" {
        Ok(Topology::single(info))
    } else {
        Err(fault(format!("{} is the primary for the Sentinel, but a {role}", info.addr())))
    }
}

fn role(answer: Value) -> RedisResult<(String,)> {
    let Value::Array(mut parts) = answer else { return Err(fault("an answer without a role")) };
    Ok((from_redis_value(parts.swap_remove(0))?,))
}

fn cluster(connection: &mut Connection, seed: &ConnectionInfo) -> RedisResult<Topology> {
    let ranges: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query(connection)?;
    let mut topology = Topology { nodes: HashMap::new(), slots: HashMap::new(), only: None };
    for range in ranges {
        let [first, last, node, ..] = range.as_slice() else { continue };
        let (first, last): (u16, u16) = (from(first)?, from(last)?);
        let Value::Array(node) = node else { continue };
        let [host, port, ..] = node.as_slice() else { continue };
        // A node that does not know its own name is the one that was asked.
        let host = from::<Option<String>>(host)?.filter(|host| !host.is_empty());
        let host = host.unwrap_or_else(|| host_of(seed));
        let info = seed.clone().set_addr(at(seed, host, from(port)?));
        let address = info.addr().to_string();
        let slots = (first..=last.min(SLOTS - 1)).filter_map(Slot::new);
        topology.slots.extend(slots.map(|slot| (slot, address.clone())));
        topology.nodes.insert(address, info);
    }
    Ok(topology)
}

fn from<T: redis::FromRedisValue>(value: &Value) -> RedisResult<T> {
    Ok(from_redis_value(value.clone())?)
}

fn host_of(info: &ConnectionInfo) -> String {
    match info.addr() {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => "localhost".to_owned(),
    }
}

/// The address of another server that is reached in the same way.
fn at(seed: &ConnectionInfo, host: String, port: u16) -> ConnectionAddr {
    match seed.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

/// How to reach the node that an answer names.
pub fn named(seed: &ConnectionInfo, address: &str) -> Option<ConnectionInfo> {
    let (host, port) = address.rsplit_once(':')?;
    let host = if host.is_empty() { host_of(seed) } else { host.to_owned() };
    Some(seed.clone().set_addr(at(seed, host, port.parse().ok()?)))
}

/// The error, for the log.
pub fn explain(error: &RedisError) -> String {
    if error.is_timeout() {
        return format!("no answer within {ANSWER_TIMEOUT:?}");
    }
    match (error.kind(), error.detail()) {
        (ErrorKind::Client, Some(reason)) => reason.to_owned(),
        _ => error.to_string(),
    }
}

pub fn fault(reason: impl Into<String>) -> RedisError {
    RedisError::from((ErrorKind::Client, "cannot use Redis", reason.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redis_and_valkey_say_what_they_are() {
        let redis = "# Server\r\nredis_version:7.0.15\r\nredis_mode:cluster\r\n";
        let valkey =
            "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nserver_mode:sentinel\r\n";
        assert_eq!(mode(redis), Some("cluster"));
        assert_eq!(mode(valkey), Some("sentinel"));
        assert_eq!(field(valkey, "redis_version"), Some("7.2.4"));
        assert_eq!(mode("# Server\r\n"), None);
    }
}
