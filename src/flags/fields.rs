//! The flags that set the fields of the configuration.

/// The fields that the library checks, and the flags that set them.
const FLAGS: [(&str, &str); 33] = [
    ("limits.max_head_bytes", "max_head_size"),
    ("limits.max_headers", "max_headers"),
    ("limits.max_message_bytes", "max_message_size"),
    ("limits.max_fragments", "max_fragments"),
    ("connections.max", "max_connections"),
    ("connections.max_per_address", "max_connections_per_address"),
    ("connections.max_age", "max_connection_age"),
    ("connections.max_new_per_address_per_second", "max_new_connections_per_second"),
    ("rates.max_messages_per_second", "max_messages_per_second"),
    ("rates.max_bytes_per_second", "max_bytes_per_second"),
    ("rooms.max", "max_rooms"),
    ("rooms.max_per_address", "max_rooms_per_address"),
    ("rooms.max_name_bytes", "max_room_name_length"),
    ("memory.max_incomplete_bytes", "max_incomplete_size"),
    ("memory.max_backlog_bytes", "max_backlog_size"),
    ("memory.max_total_backlog_bytes", "max_total_backlog_size"),
    ("memory.socket_unsent_bytes", "socket_unsent_size"),
    ("history.max_messages", "history_messages"),
    ("history.max_bytes", "history_bytes"),
    ("history.max_age", "history_age"),
    ("history.max_total_bytes", "max_history_bytes"),
    ("timeouts.handshake", "handshake_timeout"),
    ("timeouts.keep_alive", "keep_alive_timeout"),
    ("timeouts.ping_interval", "ping_interval"),
    ("timeouts.pong", "pong_timeout"),
    ("timeouts.write", "write_timeout"),
    ("rates.throttle_timeout", "throttle_timeout"),
    ("timeouts.close", "close_timeout"),
    ("deflate.level", "deflate_level"),
    ("deflate.window_bits", "deflate_window_bits"),
    ("deflate.client_window_bits", "deflate_client_window_bits"),
    ("subprotocols", "subprotocol"),
    ("tls.certificates", "tls_cert"),
];

/// The clap id of the flag that sets a field, or the field itself if no flag sets it.
pub fn flag(field: &'static str) -> &'static str {
    FLAGS.iter().find(|(name, _)| *name == field).map_or(field, |(_, flag)| flag)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::flags::Flags;

    #[test]
    fn every_field_has_a_flag_that_exists() {
        let command = Flags::command();
        for (field, flag) in FLAGS {
            assert!(command.get_arguments().any(|arg| arg.get_id() == flag), "{field}: {flag}");
        }
    }
}
