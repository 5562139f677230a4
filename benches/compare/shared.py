"""The servers whose processes share rooms through Redis."""

from peers import HOME, NCHAN, Server, configured, install_program, townhall

# Members publish, too.
NCHAN_SHARED = """
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            nchan_pubsub websocket;
            nchan_channel_id $uri;
            nchan_redis_pass redis;
            nchan_message_buffer_length {history};
        }}
"""


def redis(_setting, port):
    """Return Redis's command line. It writes nothing to disk."""
    return ["redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no"]


REDIS = Server("Redis", lambda: install_program("redis-server"), redis, is_told_its_port=True)


def townhall_shared(setting):
    """Return townhall's command line, with Redis."""
    return [*townhall(setting), "--redis", f"redis://127.0.0.1:{setting.redis}",
            "--admin-listen", f"unix:{operators(setting)}"]


def operators(setting):
    """Return the socket on which a process of townhall says whether it is ready."""
    return HOME / f"townhall-{setting.index}.sock"


def socket_io(setting):
    """Return the command line of Socket.IO with its adapter for Redis streams."""
    return ["node", HOME / "socket.io" / "server.js", "--redis", f"redis://127.0.0.1:{setting.redis}"]


def nchan_shared(setting, port):
    """Return the command line of nginx with nchan on Redis, which writes an error for each command that has
    no answer when it ends."""
    main = f"load_module {NCHAN};\nworker_processes 1;"
    http = f"upstream redis {{ nchan_redis_server redis://127.0.0.1:{setting.redis}; }}"
    server = NCHAN_SHARED.format(port=port, history=setting.history)
    return configured(f"nchan-redis-{setting.index}", main, server, setting, http, "crit")
