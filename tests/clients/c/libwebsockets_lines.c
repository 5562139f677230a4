/* A line client on libwebsockets: `libwebsockets_lines URL [deflate]`. */

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 1 << 16, LINES = 64 };

/* The lines of standard input that were not sent yet. */
static struct {
	char *lines[LINES];
	size_t first, end;
	bool ended;
} input;

static char partial[MESSAGE_BYTES];
static size_t partial_bytes;
static char message[MESSAGE_BYTES];
static size_t message_bytes;
static struct lws *connection;
static unsigned code;
static bool over;

/* Keeps the whole lines of these bytes, and the rest until it is one. */
static void take(const char *bytes, size_t size)
{
	for (size_t at = 0; at < size; at++) {
		if (bytes[at] != '\n') {
			if (partial_bytes < MESSAGE_BYTES)
				partial[partial_bytes++] = bytes[at];
			continue;
		}
		input.lines[input.end++ % LINES] = strndup(partial, partial_bytes);
		partial_bytes = 0;
	}
}

static int on_input(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		    size_t len)
{
	char bytes[4096];
	ssize_t count;

	(void)user, (void)in, (void)len;
	if (reason != LWS_CALLBACK_RAW_RX_FILE)
		return 0;
	count = read(lws_get_socket_fd(wsi), bytes, sizeof bytes);
	if (count > 0)
		take(bytes, (size_t)count);
	else
		input.ended = true;
	if (connection)
		lws_callback_on_writable(connection);
	return input.ended ? -1 : 0;
}

/* Sends the next line, or closes if there is none. */
static int write_line(struct lws *wsi)
{
	static unsigned char buffer[LWS_PRE + MESSAGE_BYTES];
	char *line;
	size_t size;

	if (input.first == input.end) {
		if (!input.ended)
			return 0;
		lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, (unsigned char *)"bye", 3);
		return -1;
	}
	line = input.lines[input.first++ % LINES];
	size = strlen(line);
	memcpy(buffer + LWS_PRE, line, size);
	free(line);
	lws_callback_on_writable(wsi);
	return lws_write(wsi, buffer + LWS_PRE, size, LWS_WRITE_TEXT) < (int)size ? -1 : 0;
}

static void receive(struct lws *wsi, const char *bytes, size_t size)
{
	if (lws_is_first_fragment(wsi))
		message_bytes = 0;
	if (message_bytes + size > sizeof message)
		lwsl_err("a message is too long\n"), exit(1);
	memcpy(message + message_bytes, bytes, size);
	message_bytes += size;
	if (lws_is_final_fragment(wsi))
		printf("message %.*s\n", (int)message_bytes, message);
}

static int on_websocket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
			size_t len)
{
	switch (reason) {
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		connection = wsi;
		puts("open");
		lws_callback_on_writable(wsi);
		return 0;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return write_line(wsi);
	case LWS_CALLBACK_CLIENT_RECEIVE:
		receive(wsi, in, len);
		return 0;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		if (len >= 2)
			code = ((unsigned char *)in)[0] << 8 | ((unsigned char *)in)[1];
		return 0;
	case LWS_CALLBACK_CLIENT_CLOSED:
		printf("closed %u\n", code);
		over = true;
		return 0;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		lwsl_err("the handshake failed: %s\n", in ? (char *)in : "no answer");
		exit(1);
	default:
		return lws_callback_http_dummy(wsi, reason, user, in, len);
	}
}

static const struct lws_protocols protocols[] = {
	{ "lines", on_websocket, 0, MESSAGE_BYTES, 0, NULL, 0 },
	{ "input", on_input, 0, 0, 0, NULL, 0 },
	{ NULL, NULL, 0, 0, 0, NULL, 0 },
};

static const struct lws_extension deflate[] = {
	{ "permessage-deflate", lws_extension_callback_pm_deflate,
	  "permessage-deflate; client_max_window_bits" },
	{ NULL, NULL, NULL },
};

int main(int count, char **arguments)
{
	struct lws_context_creation_info info = { 0 };
	struct lws_client_connect_info connect = { 0 };
	lws_sock_file_fd_type standard_input = { .filefd = STDIN_FILENO };
	const char *scheme, *path;
	char slash_path[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	lws_set_log_level(LLL_ERR | LLL_WARN, NULL);
	if (count < 2)
		return 2;
	info.port = CONTEXT_PORT_NO_LISTEN;
	info.protocols = protocols;
	info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
	if (count > 2 && !strcmp(arguments[2], "deflate"))
		info.extensions = deflate;
	connect.context = lws_create_context(&info);
	if (!connect.context)
		return 1;
	connect.vhost = lws_create_vhost(connect.context, &info);
	if (lws_parse_uri(arguments[1], &scheme, &connect.address, &connect.port, &path))
		return 2;
	snprintf(slash_path, sizeof slash_path, "/%s", path);
	connect.path = slash_path;
	connect.host = connect.address;
	connect.local_protocol_name = "lines";
	if (!lws_client_connect_via_info(&connect) ||
	    !lws_adopt_descriptor_vhost(connect.vhost, LWS_ADOPT_RAW_FILE_DESC, standard_input,
					"input", NULL))
		return 1;
	while (!over && lws_service(connect.context, 0) >= 0)
		;
	lws_context_destroy(connect.context);
	return 0;
}
