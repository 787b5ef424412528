import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools in one JVM, since most of a tool's time is its start.
 *
 * <p>A line of JSON on stdin is one run ({@code id}, {@code main}, {@code words}, {@code text} for its stdin), a line on stdout its end
 * ({@code id}, {@code code}, {@code out}, {@code err}). Runs are side by side. Each loads the tools' own classes anew, whose static fields
 * are made for one run, and has standard streams, shutdown hooks and an exit code of its own. A tool that calls {@code System.exit} itself
 * can't be run here.
 */
public final class Tools {
    /** Jars of the tools. */
    private static final String OWN = ".*/kafka(-tools-\\d|_2).*\\.jar";

    private static final int HOOK_MS = 10_000;

    private static final class Run {
        final ByteArrayOutputStream out = new ByteArrayOutputStream();
        final ByteArrayOutputStream err = new ByteArrayOutputStream();
        final List<Runnable> hooks = new CopyOnWriteArrayList<>();
        InputStream in;
        volatile Integer code;
        /** Between the exit and the hooks: what a tool says when it catches what ends it is not said. */
        volatile boolean silent;
    }

    /** Ends a run's thread where {@code Exit.exit} would end the process. */
    private static final class Ended extends Error {
        private static final long serialVersionUID = 1;

        Ended() {
            super(null, null, false, false);
        }
    }

    private static final InheritableThreadLocal<Run> CURRENT = new InheritableThreadLocal<>();
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<URL> OWN_JARS = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = System.out;
        InputStream questions = System.in;
        for (String path : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (path.matches(OWN)) {
                OWN_JARS.add(new File(path).toURI().toURL());
            }
        }
        System.setOut(new PrintStream(new Routed(run -> run.out), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new Routed(run -> run.err), true, StandardCharsets.UTF_8));
        System.setIn(new Typed());
        Exit.setExitProcedure(Tools::ended);
        Exit.setHaltProcedure(Tools::ended);
        Exit.setShutdownHookAdder((name, hook) -> CURRENT.get().hooks.add(hook));
        BufferedReader lines = new BufferedReader(new InputStreamReader(questions, StandardCharsets.UTF_8));
        for (String line; (line = lines.readLine()) != null; ) {
            JsonNode question = JSON.readTree(line);
            Thread thread = new Thread(() -> {
                ObjectNode answer = run(question);
                synchronized (answers) {
                    answers.println(answer);
                    answers.flush();
                }
            });
            thread.setDaemon(true);
            thread.start();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void ended(int code, String message) {
        Run run = CURRENT.get();
        if (run.code == null) {
            run.code = code;
        }
        run.silent = true;
        throw new Ended();
    }

    private static ObjectNode run(JsonNode question) {
        Run run = new Run();
        run.in = new ByteArrayInputStream(question.get("text").asText().getBytes(StandardCharsets.UTF_8));
        CURRENT.set(run);
        String[] words = JSON.convertValue(question.get("words"), String[].class);
        Loader loader = new Loader();
        Thread.currentThread().setContextClassLoader(loader);
        try {
            Class<?> tool = Class.forName(question.get("main").asText(), true, loader);
            tool.getMethod("main", String[].class).invoke(null, (Object) words);
        } catch (InvocationTargetException failed) {
            uncaught(run, failed.getCause());
        } catch (ReflectiveOperationException | RuntimeException | Error failed) {
            uncaught(run, failed);
        }
        run.silent = false;
        for (Runnable hook : run.hooks) {
            Thread thread = new Thread(hook);
            thread.setDaemon(true);
            thread.start();
            try {
                thread.join(HOOK_MS);
            } catch (InterruptedException interrupted) {
                Thread.currentThread().interrupt();
            }
        }
        ObjectNode answer = JSON.createObjectNode();
        answer.set("id", question.get("id"));
        answer.put("code", run.code == null ? 0 : run.code);
        answer.put("out", run.out.toString(StandardCharsets.UTF_8));
        answer.put("err", run.err.toString(StandardCharsets.UTF_8));
        return answer;
    }

    /** What the JVM does with an exception that leaves main. */
    private static void uncaught(Run run, Throwable failed) {
        if (failed instanceof Ended) {
            return;
        }
        System.err.print("Exception in thread \"main\" ");
        failed.printStackTrace();
        if (run.code == null) {
            run.code = 1;
        }
    }

    /** Loads the tools' own classes, everything else is shared. */
    private static final class Loader extends URLClassLoader {
        Loader() {
            super(OWN_JARS.toArray(new URL[0]), Tools.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (name.startsWith("kafka.") || name.startsWith("org.apache.kafka.tools.")) {
                synchronized (getClassLoadingLock(name)) {
                    try {
                        Class<?> loaded = findLoadedClass(name);
                        return loaded == null ? findClass(name) : loaded;
                    } catch (ClassNotFoundException shared) {
                        return super.loadClass(name, resolve);
                    }
                }
            }
            return super.loadClass(name, resolve);
        }
    }

    /** A standard stream that each run has for itself. */
    private static final class Routed extends OutputStream {
        private final Function<Run, OutputStream> stream;

        Routed(Function<Run, OutputStream> stream) {
            this.stream = stream;
        }

        @Override
        public void write(int one) throws IOException {
            write(new byte[] {(byte) one}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int from, int count) throws IOException {
            Run run = CURRENT.get();
            if (run != null && !run.silent) {
                stream.apply(run).write(bytes, from, count);
            }
        }
    }

    private static final class Typed extends InputStream {
        @Override
        public int read() throws IOException {
            return CURRENT.get().in.read();
        }

        @Override
        public int read(byte[] bytes, int from, int count) throws IOException {
            return CURRENT.get().in.read(bytes, from, count);
        }

        @Override
        public int available() throws IOException {
            return CURRENT.get().in.available();
        }
    }
}
