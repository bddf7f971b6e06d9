import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.zeromq.SocketType;
import org.zeromq.ZContext;
import org.zeromq.ZMQ;

/** The driver of JeroMQ. lab/truth/src/driver.rs describes the lines. */
public class JeroMq {
    private static final int HEARTBEAT_MS = 300;
    private static final int RECEIVE_MS = 5;
    private static final String ANYWHERE = "tcp://127.0.0.1:*";

    private final ZContext context = new ZContext();
    private ZMQ.Socket socket;

    public static void main(String[] arguments) throws Exception {
        ConcurrentLinkedQueue<String> orders = new ConcurrentLinkedQueue<>();
        Thread reader = new Thread(() -> {
            try (BufferedReader input = new BufferedReader(new InputStreamReader(System.in))) {
                for (String line = input.readLine(); line != null; line = input.readLine()) {
                    orders.add(line);
                }
            } catch (IOException gone) {
                // The same as the end of the input.
            }
            // Without waiting for sockets.
            Runtime.getRuntime().halt(0);
        });
        reader.setDaemon(true);
        reader.start();
        new JeroMq().run(orders);
    }

    private void run(ConcurrentLinkedQueue<String> orders) throws InterruptedException {
        while (true) {
            for (String order = orders.poll(); order != null; order = orders.poll()) {
                say(answer(order));
            }
            if (socket == null) {
                Thread.sleep(RECEIVE_MS);
                continue;
            }
            byte[] frame = socket.recv();
            if (frame != null) {
                say(event(frame));
            }
        }
    }

    private String answer(String order) {
        try {
            return ("ok " + obey(order.split(" "))).trim();
        } catch (RuntimeException error) {
            return "no " + error;
        }
    }

    private String obey(String[] words) {
        switch (words[0]) {
            case "about":
                return "JeroMQ " + version();
            case "new":
                socket = context.createSocket(words[1].equals("xpub") ? SocketType.XPUB : SocketType.SUB);
                socket.setLinger(0);
                socket.setReceiveTimeOut(RECEIVE_MS);
                if (words.length > 2) {
                    socket.setHeartbeatIvl(HEARTBEAT_MS);
                    socket.setHeartbeatTimeout(HEARTBEAT_MS);
                }
                return "";
            case "bind":
                socket.bind(ANYWHERE);
                return socket.getLastEndpoint();
            case "connect":
                socket.connect(words[1]);
                return "";
            case "send":
                socket.send(unhex(words[1]));
                return "";
            case "flood":
                byte[] message = new byte[Integer.parseInt(words[2])];
                Arrays.fill(message, (byte) 'T');
                for (int number = 0; number < Integer.parseInt(words[1]); number++) {
                    socket.send(message);
                }
                return "";
            case "subscribe_many":
                for (int number = 0; number < Integer.parseInt(words[1]); number++) {
                    socket.subscribe(topic(number));
                }
                return "";
            case "unsubscribe_many":
                for (int number = 0; number < Integer.parseInt(words[1]); number++) {
                    socket.unsubscribe(topic(number));
                }
                return "";
            case "proxy":
                ZMQ.Socket frontend = context.createSocket(SocketType.XSUB);
                ZMQ.Socket backend = context.createSocket(SocketType.XPUB);
                frontend.bind(words.length > 1 ? words[1] : ANYWHERE);
                backend.bind(words.length > 2 ? words[2] : ANYWHERE);
                String endpoints = frontend.getLastEndpoint() + " " + backend.getLastEndpoint();
                Thread forwarder = new Thread(() -> ZMQ.proxy(frontend, backend, null));
                forwarder.setDaemon(true);
                forwarder.start();
                return endpoints;
            default:
                throw new IllegalArgumentException("`" + words[0] + "` is not to be had");
        }
    }

    /** That of the jar: ZMQ.getVersionString() is the version of libzmq that it resembles. */
    private static String version() {
        String name = "/META-INF/maven/org.zeromq/jeromq/pom.properties";
        Properties properties = new Properties();
        try (InputStream input = ZMQ.class.getResourceAsStream(name)) {
            properties.load(input);
        } catch (IOException | NullPointerException missing) {
            return "of an unknown version";
        }
        return properties.getProperty("version");
    }

    private static byte[] topic(int number) {
        return String.format("t/%06d", number).getBytes();
    }

    /** Of one frame: each part of a message may be a subscription. */
    private static String event(byte[] frame) {
        if (frame.length > 0 && (frame[0] == 0 || frame[0] == 1)) {
            return (frame[0] == 1 ? "+ " : "- ") + hex(Arrays.copyOfRange(frame, 1, frame.length));
        }
        return "message " + hex(frame);
    }

    private static String hex(byte[] bytes) {
        if (bytes.length == 0) {
            return "-";
        }
        StringBuilder text = new StringBuilder();
        for (byte one : bytes) {
            text.append(String.format("%02x", one));
        }
        return text.toString();
    }

    private static byte[] unhex(String text) {
        if (text.equals("-")) {
            return new byte[0];
        }
        byte[] bytes = new byte[text.length() / 2];
        for (int at = 0; at < bytes.length; at++) {
            bytes[at] = (byte) Integer.parseInt(text.substring(2 * at, 2 * at + 2), 16);
        }
        return bytes;
    }

    private static void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
