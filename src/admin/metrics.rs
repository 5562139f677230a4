//! The metrics of the server, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::prometheus_text::{CONTENT_TYPE, encode};
use prometheus_client::registry::Registry;
use townhall::{
    CauseKind, Config, Counts, Hub, MemoryLimits, MemoryUsage, ProxyRefusal, Refusal, Response,
    TlsFailure,
};

use super::encoder::Encoder;
use super::process::Process;
use crate::cluster::Link;
use crate::denied::Denied;
use crate::logger;

/// The reasons for which connections are dropped that should begin with a PROXY header.
const PROXY_REFUSALS: [(ProxyRefusal, &str); 5] = [
    (ProxyRefusal::Untrusted, "untrusted"),
    (ProxyRefusal::Missing, "missing"),
    (ProxyRefusal::Malformed, "malformed"),
    (ProxyRefusal::TooLong, "too_long"),
    (ProxyRefusal::Incomplete, "incomplete"),
];

/// What the event loop's thread is asked for.
#[derive(Debug)]
pub struct Snapshot {
    counts: Counts,
    connections: usize,
    rooms: usize,
    members: usize,
    memory: MemoryUsage,
}

impl Snapshot {
    pub fn of(hub: &Hub) -> Self {
        Self {
            counts: hub.counts().clone(),
            connections: hub.client_count(),
            rooms: hub.room_count(),
            members: hub.rooms().map(|room| room.member_count()).sum(),
            memory: hub.memory_usage(),
        }
    }
}

/// The response to a scrape.
pub fn response(snapshot: Snapshot, limits: &Config, link: Option<&Link>) -> Response {
    let server = Figures {
        snapshot,
        max_connections: limits.connections.max,
        max_rooms: limits.rooms.max,
        limits: limits.memory.clone(),
        max_history_bytes: limits.history.as_ref().map_or(0, |history| history.max_total_bytes),
        lost_log_lines: logger::lost_lines(),
    };
    let mut registry = Registry::default();
    registry.sub_registry_with_prefix("townhall").register_collector(Box::new(server));
    registry.sub_registry_with_prefix("process").register_collector(Box::new(Process::current()));
    link.iter().for_each(|link| link.register(registry.sub_registry_with_prefix("townhall_redis")));
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a string does not fail");
    let response = Response::new(200).header("Content-Type", CONTENT_TYPE);
    response.expect("a valid field").body(text.into_bytes())
}

/// Everything that is shown of the server.
#[derive(Debug)]
struct Figures {
    snapshot: Snapshot,
    max_connections: usize,
    max_rooms: usize,
    limits: MemoryLimits,
    max_history_bytes: usize,
    lost_log_lines: u64,
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Encoder(encoder);
        self.encode_gauges(&mut out)?;
        self.encode_connections(&mut out)?;
        self.encode_tls(&mut out)?;
        self.encode_limits(&mut out)?;
        self.encode_traffic(&mut out)?;
        self.encode_memory(&mut out)?;
        self.encode_times(&mut out)?;
        out.counter("lost_log_lines", "Log lines that were not written", self.lost_log_lines)
    }
}

impl Figures {
    fn encode_gauges(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let Snapshot { connections, rooms, members, .. } = self.snapshot;
        out.gauge("connections", "WebSocket connections, closing ones included", connections)?;
        out.gauge("connections_limit", "Maximum of WebSocket connections", self.max_connections)?;
        out.gauge("rooms", "Rooms with members or history", rooms)?;
        out.gauge("rooms_limit", "Maximum of rooms", self.max_rooms)?;
        out.gauge("members", "Members of all rooms, closing ones included", members)
    }

    fn encode_connections(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let counts = &self.snapshot.counts;
        let refused = complete(Refusal::STATUSES, counts.refused_by_status());
        let departed = complete(CauseKind::ALL, counts.departed.clone());
        let departed = departed.into_iter().map(|(cause, count)| (label(cause), count));
        let denied = Denied::ALL.map(|denied| {
            let count = counts.refused_by_application.get(denied.text());
            (label(denied.text()), count.copied().unwrap_or_default())
        });
        let denied_help =
            "Requests that were refused, and connections that were ended, by rules for access";
        let headers = PROXY_REFUSALS.map(|(refusal, reason)| {
            (reason, counts.refused_headers.get(&refusal).copied().unwrap_or_default())
        });
        let header_help =
            "Connections dropped for want of a valid PROXY header from a trusted proxy";
        let dropped = "Connections that were dropped without a response when they were accepted";
        let contextless = "Upgrades without a compression context, for lack of memory for contexts";
        out.counter("accepted_connections", "Accepted TCP connections", counts.accepted)?;
        out.counter("dropped_connections", dropped, counts.dropped)?;
        out.counter("upgrades", "Upgrades to WebSocket", counts.opened)?;
        out.counter("contextless_upgrades", contextless, counts.contextless)?;
        out.counters("refused_requests", "Refused requests", "status", refused)?;
        out.counters("denials", denied_help, "reason", denied)?;
        out.counters("refused_proxy_headers", header_help, "reason", headers)?;
        out.counters("departures", "WebSocket connections that ended", "cause", departed)
    }

    fn encode_tls(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let tls = &self.snapshot.counts.tls;
        let failed = complete(TlsFailure::ALL, tls.failed.clone());
        let failed = failed.into_iter().map(|(failure, count)| (label(failure), count));
        let handshakes = [("full", tls.full), ("resumed", tls.resumed)];
        let reloads = [("used", tls.reloads), ("failed", tls.failed_reloads)];
        let help = "Times that certificates were read again";
        out.counters("tls_handshakes", "Complete TLS handshakes", "session", handshakes)?;
        out.counters("tls_handshake_failures", "Failed TLS handshakes", "reason", failed)?;
        out.counters("tls_certificate_reloads", help, "result", reloads)
    }

    fn encode_limits(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let counts = &self.snapshot.counts;
        let throttled = "Times that a connection was not read for a while because it sent too much";
        let paused = "Times that a room began to wait for a member that was too far behind";
        let skipped = "Messages that a member missed because it was too far behind";
        out.counter("throttled_connections", throttled, counts.throttled)?;
        out.counter("paused_rooms", paused, counts.paused)?;
        out.counter("skipped_messages", skipped, counts.skipped)?;
        let returned = [("recovered", counts.recovered), ("unrecovered", counts.unrecovered)];
        let help = "Clients that asked for everything since a position";
        out.counters("returning_clients", help, "result", returned)
    }

    fn encode_traffic(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let counts = &self.snapshot.counts;
        let deliveries = "Messages queued for a client, once for each member of a room";
        let plain = "Size of frames to clients that accept compressed ones, before compression";
        let sent = "Size of frames to clients that accept compressed ones, after compression";
        out.counter("received_messages", "Messages that clients sent", counts.received)?;
        out.counter("read_bytes", "Bytes read from connections", counts.read_bytes)?;
        out.counter("deliveries", deliveries, counts.deliveries)?;
        out.counter("writes", "Writes to connections", counts.writes)?;
        out.counter("written_bytes", "Bytes written to connections", counts.written_bytes)?;
        out.counter("compression_plain_bytes", plain, counts.compression.plain_bytes)?;
        out.counter("compression_sent_bytes", sent, counts.compression.sent_bytes)
    }

    fn encode_times(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let Counts { turns, delivery_waits, .. } = &self.snapshot.counts;
        let turn = "Time of a turn of the event loop, without waiting for events";
        let wait = "Time until messages are written to all members of a room that keep up";
        out.histogram("event_loop_turn_seconds", turn, turns)?;
        out.histogram("delivery_wait_seconds", wait, delivery_waits)
    }

    fn encode_memory(&self, out: &mut Encoder<'_>) -> fmt::Result {
        let memory = self.snapshot.memory;
        let limits = &self.limits;
        let incomplete = "Memory for messages and request heads that have not arrived whole";
        let backlog = "Memory for what clients have not received";
        let context = "Memory for the compression contexts of clients";
        out.gauge("incomplete_bytes", incomplete, memory.incomplete_bytes)?;
        out.gauge(
            "incomplete_limit_bytes",
            "Maximum of incomplete_bytes",
            limits.max_incomplete_bytes,
        )?;
        out.gauge("backlog_bytes", backlog, memory.backlog_bytes)?;
        out.gauge(
            "backlog_limit_bytes",
            "Maximum of backlog_bytes",
            limits.max_total_backlog_bytes,
        )?;
        out.gauge("log_bytes", "Part of the backlog in the logs of rooms", memory.log_bytes)?;
        out.gauge("history_bytes", "Memory for the history of rooms", memory.history_bytes)?;
        out.gauge("history_limit_bytes", "Maximum of history_bytes", self.max_history_bytes)?;
        out.gauge("deflate_context_bytes", context, memory.deflate_context_bytes)?;
        out.gauge(
            "deflate_context_limit_bytes",
            "Maximum of deflate_context_bytes",
            limits.max_deflate_context_bytes,
        )
    }
}

/// A label's value.
fn label(name: impl fmt::Display) -> String {
    name.to_string().replace(' ', "_")
}

/// The counts of all keys, including those that have not occurred: the first increase of a counter that
/// appears with it cannot be seen.
fn complete<K: Copy + Ord>(keys: &[K], counts: BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    keys.iter().map(|&key| (key, 0)).chain(counts).collect()
}
