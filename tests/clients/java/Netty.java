import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFutureListener;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelPipeline;
import io.netty.channel.SimpleChannelInboundHandler;
import io.netty.channel.nio.NioEventLoopGroup;
import io.netty.channel.socket.SocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.handler.codec.http.DefaultHttpHeaders;
import io.netty.handler.codec.http.HttpClientCodec;
import io.netty.handler.codec.http.HttpObjectAggregator;
import io.netty.handler.codec.http.websocketx.CloseWebSocketFrame;
import io.netty.handler.codec.http.websocketx.TextWebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketClientHandshakerFactory;
import io.netty.handler.codec.http.websocketx.WebSocketClientProtocolHandler;
import io.netty.handler.codec.http.websocketx.WebSocketClientProtocolHandler.ClientHandshakeStateEvent;
import io.netty.handler.codec.http.websocketx.WebSocketFrame;
import io.netty.handler.codec.http.websocketx.WebSocketVersion;
import io.netty.handler.codec.http.websocketx.extensions.compression.WebSocketClientCompressionHandler;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;

/** A line client on Netty 4.1. */
public final class Netty extends SimpleChannelInboundHandler<WebSocketFrame> {
    private static final int MESSAGE_BYTES = 1 << 20;

    /** Joins the room of the URL in {@code arguments}. */
    public static void main(String[] arguments) throws Exception {
        URI uri = URI.create(arguments[0]);
        NioEventLoopGroup group = new NioEventLoopGroup(1);
        try {
            Channel channel = new Bootstrap().group(group)
                .channel(NioSocketChannel.class)
                .handler(new Initializer(uri))
                .connect(uri.getHost(), uri.getPort()).sync().channel();
            channel.closeFuture().sync();
        } finally {
            group.shutdownGracefully(0, 0, TimeUnit.SECONDS);
        }
    }

    private static final class Initializer extends ChannelInitializer<SocketChannel> {
        private final URI uri;

        Initializer(URI uri) {
            this.uri = uri;
        }

        @Override
        protected void initChannel(SocketChannel channel) {
            ChannelPipeline pipeline = channel.pipeline();
            pipeline.addLast(new HttpClientCodec());
            pipeline.addLast(new HttpObjectAggregator(8192));
            pipeline.addLast(WebSocketClientCompressionHandler.INSTANCE);
            pipeline.addLast(new WebSocketClientProtocolHandler(
                WebSocketClientHandshakerFactory.newHandshaker(uri, WebSocketVersion.V13, null,
                    true, new DefaultHttpHeaders(), MESSAGE_BYTES), false));
            pipeline.addLast(new Netty());
        }
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
        if (event == ClientHandshakeStateEvent.HANDSHAKE_COMPLETE) {
            System.out.println("open");
            Thread sender = new Thread(() -> sendLines(context.channel()));
            sender.setDaemon(true);
            sender.start();
        }
    }

    private static void sendLines(Channel channel) {
        BufferedReader input =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        input.lines().forEach(line -> send(channel, new TextWebSocketFrame(line)));
        send(channel, new CloseWebSocketFrame(1000, "bye"));
    }

    private static void send(Channel channel, WebSocketFrame frame) {
        channel.writeAndFlush(frame)
            .addListener(ChannelFutureListener.FIRE_EXCEPTION_ON_FAILURE);
    }

    @Override
    protected void channelRead0(ChannelHandlerContext context, WebSocketFrame frame) {
        if (frame instanceof TextWebSocketFrame) {
            System.out.println("message " + ((TextWebSocketFrame) frame).text());
        } else if (frame instanceof CloseWebSocketFrame) {
            System.out.println("closed " + ((CloseWebSocketFrame) frame).statusCode());
            context.close();
        }
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        System.err.println(cause);
        context.close();
    }
}
