//! The rules of ARCHITECTURE.md, as tables.

/// A part of the source, and the other parts that it may use.
#[derive(Debug)]
pub struct Area {
    pub name: &'static str,
    /// The folders and files below `src` that belong to it, without `.rs`. The longest one that fits a
    /// file decides.
    pub paths: &'static [&'static str],
    /// All of these stand further down in the table, so that areas form no circle. One that names
    /// `protocol` may use `protocol/http` and the like too.
    pub may_use: &'static [&'static str],
}

const fn area(
    name: &'static str,
    paths: &'static [&'static str],
    may_use: &'static [&'static str],
) -> Area {
    Area { name, paths, may_use }
}

/// From the top to the bottom.
pub const AREAS: &[Area] = &[
    // The binary uses the library by its public API alone.
    area(
        "binary",
        &["main", "heap", "health", "output"],
        &[
            "app", "state", "admin", "publish", "presence", "cluster", "auth", "key", "logger",
            "flags", "systemd", "connect",
        ],
    ),
    area("connect", &["connect"], &["flags"]),
    area(
        "app",
        &["app"],
        &["state", "admin", "publish", "presence", "cluster", "auth", "flags", "page", "systemd"],
    ),
    area("state", &["state"], &["publish", "auth"]),
    area("admin", &["admin"], &["presence", "cluster", "auth", "denied", "key", "logger"]),
    area("publish", &["publish"], &["presence", "cluster", "auth", "cors", "denied", "key"]),
    area("presence", &["presence"], &["auth", "cors", "denied"]),
    area("cluster", &["cluster", "without_redis"], &["auth", "flags"]),
    area("auth", &["auth"], &["denied", "flags"]),
    area("cors", &["cors"], &[]),
    area("denied", &["denied"], &[]),
    area("key", &["key"], &[]),
    area("logger", &["logger"], &[]),
    area("flags", &["flags"], &[]),
    area("page", &["page"], &[]),
    area("systemd", &["systemd"], &[]),
    // The library.
    area("crate root", &["lib", "corpus", "fuzz"], &[]),
    area(
        "server",
        &["server"],
        &[
            "event_loop",
            "tls",
            "handle",
            "hub",
            "client",
            "room",
            "limits",
            "time",
            "ground",
            "system",
            "config",
            "protocol",
        ],
    ),
    area(
        "event_loop",
        &["server/event_loop"],
        &[
            "tls", "handle", "hub", "client", "room", "limits", "time", "ground", "system",
            "config", "protocol",
        ],
    ),
    area("tls", &["server/tls"], &["handle", "ground", "config"]),
    area("handle", &["server/handle"], &["hub", "ground", "system", "protocol"]),
    area(
        "hub",
        &["server/hub"],
        &["client", "room", "limits", "time", "ground", "system", "config", "protocol"],
    ),
    area("client", &["server/client"], &["room", "limits", "time", "ground", "system", "protocol"]),
    area("room", &["server/room"], &["limits", "time", "ground", "system", "config", "protocol"]),
    area("limits", &["server/limits"], &["time", "ground", "config", "protocol"]),
    area("time", &["server/time"], &["ground", "system"]),
    area(
        "ground",
        &[
            "server/capacity",
            "server/client_id",
            "server/counts",
            "server/departure",
            "server/event",
            "server/memory_usage",
            "server/shown",
            "server/spares",
            "server/duration_histogram",
            "server/tls_counts",
        ],
        &["protocol"],
    ),
    area("system", &["server/system"], &[]),
    area("config", &["config"], &["protocol"]),
    area(
        "protocol",
        &["protocol"],
        &[
            "protocol/message",
            "protocol/deflate",
            "protocol/frame",
            "protocol/http",
            "protocol/basics",
        ],
    ),
    area(
        "protocol/message",
        &["protocol/message"],
        &["protocol/deflate", "protocol/frame", "protocol/basics"],
    ),
    area("protocol/deflate", &["protocol/deflate"], &["protocol/http", "protocol/basics"]),
    area("protocol/frame", &["protocol/frame"], &["protocol/basics"]),
    area("protocol/http", &["protocol/http"], &[]),
    area("protocol/basics", &["protocol/close_code", "protocol/limits", "protocol/violation"], &[]),
];

/// The crates that `src/protocol` may use.
pub const CRATES_IN_PROTOCOL: &[&str] =
    &["base64", "flate2", "getrandom", "httparse", "sha1", "simdutf8", "unicode_segmentation"];

/// What `src/protocol` may use of the standard library: nothing that opens a socket, reads a clock or
/// writes anywhere. Addresses are data.
pub const STD_IN_PROTOCOL: &[&str] = &[
    "borrow",
    "collections",
    "error",
    "fmt",
    "iter",
    "marker",
    "mem",
    "net::IpAddr",
    "net::Ipv4Addr",
    "net::Ipv6Addr",
    "net::SocketAddr",
    "ops",
    "str",
    "sync::Arc",
];

/// The most lines of a file.
pub const MAX_LINES: usize = 400;
