import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.eclipse.jetty.websocket.api.Session;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketClose;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketConnect;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketError;
import org.eclipse.jetty.websocket.api.annotations.OnWebSocketMessage;
import org.eclipse.jetty.websocket.api.annotations.WebSocket;
import org.eclipse.jetty.websocket.client.ClientUpgradeRequest;
import org.eclipse.jetty.websocket.client.WebSocketClient;

/** A line client on Jetty 9.4. */
@WebSocket
public final class Jetty {
    private final CountDownLatch closed = new CountDownLatch(1);

    /** Joins the room of the URL in {@code arguments}. */
    public static void main(String[] arguments) throws Exception {
        WebSocketClient client = new WebSocketClient();
        client.start();
        try {
            ClientUpgradeRequest request = new ClientUpgradeRequest();
            request.addExtensions("permessage-deflate");
            Jetty socket = new Jetty();
            Session session = client.connect(socket, URI.create(arguments[0]), request).get();
            BufferedReader input =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line; (line = input.readLine()) != null;) {
                session.getRemote().sendString(line);
            }
            session.close(1000, "bye");
            socket.closed.await();
        } finally {
            client.stop();
        }
    }

    @OnWebSocketConnect
    public void onConnect(Session session) {
        System.out.println("open");
    }

    @OnWebSocketMessage
    public void onMessage(String text) {
        System.out.println("message " + text);
    }

    @OnWebSocketClose
    public void onClose(int code, String reason) {
        System.out.println("closed " + code);
        closed.countDown();
    }

    @OnWebSocketError
    public void onError(Throwable cause) {
        System.err.println(cause);
    }
}
