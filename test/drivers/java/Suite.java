import com.datastax.oss.driver.api.core.ConsistencyLevel;
import com.datastax.oss.driver.api.core.CqlIdentifier;
import com.datastax.oss.driver.api.core.CqlSession;
import com.datastax.oss.driver.api.core.DefaultConsistencyLevel;
import com.datastax.oss.driver.api.core.config.DefaultDriverOption;
import com.datastax.oss.driver.api.core.config.DriverConfigLoader;
import com.datastax.oss.driver.api.core.config.ProgrammaticDriverConfigLoaderBuilder;
import com.datastax.oss.driver.api.core.cql.AsyncResultSet;
import com.datastax.oss.driver.api.core.cql.BatchStatement;
import com.datastax.oss.driver.api.core.cql.BatchStatementBuilder;
import com.datastax.oss.driver.api.core.cql.BoundStatement;
import com.datastax.oss.driver.api.core.cql.BoundStatementBuilder;
import com.datastax.oss.driver.api.core.cql.DefaultBatchType;
import com.datastax.oss.driver.api.core.cql.PreparedStatement;
import com.datastax.oss.driver.api.core.cql.ResultSet;
import com.datastax.oss.driver.api.core.cql.Row;
import com.datastax.oss.driver.api.core.cql.SimpleStatement;
import com.datastax.oss.driver.api.core.cql.SimpleStatementBuilder;
import com.datastax.oss.driver.api.core.cql.Statement;
import com.datastax.oss.driver.api.core.metadata.Node;
import com.datastax.oss.driver.api.core.type.codec.TypeCodec;
import com.datastax.oss.driver.api.core.type.codec.registry.CodecRegistry;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Semaphore;

/**
 * Runs a driver suite (../suite.json) with the Java driver. Argument: a JSON list of runs
 * {label, suite, host, port, version, compression, keyspace}. Prints a JSON line per case: run,
 * case, ok, outcome. What outcomes must be is the caller's business; `ok` is false where a value was
 * not what had been written.
 */
public final class Suite {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration TIMEOUT = Duration.ofSeconds(60);
  private static final int KEY_OFFSET = 1000;
  private static final long EVENT_TIMEOUT_MS = 15_000;

  /** A value came back other than it had been written. */
  private static final class Mismatch extends RuntimeException {
    Mismatch(String message) {
      super(message);
    }
  }

  private final JsonNode suite;
  private final JsonNode run;
  private final String keyspace;
  private final Map<String, PreparedStatement> prepared = new HashMap<>();
  private CqlSession session;

  private Suite(JsonNode suite, JsonNode run) {
    this.suite = suite;
    this.run = run;
    this.keyspace = run.get("keyspace").asText();
    this.session = connect();
  }

  private CqlSession connect() {
    ProgrammaticDriverConfigLoaderBuilder config =
        DriverConfigLoader.programmaticBuilder()
            .withString(DefaultDriverOption.PROTOCOL_VERSION, "V" + run.get("version").asInt())
            .withDuration(DefaultDriverOption.REQUEST_TIMEOUT, TIMEOUT)
            .withDuration(DefaultDriverOption.CONNECTION_CONNECT_TIMEOUT, TIMEOUT)
            .withDuration(DefaultDriverOption.CONNECTION_INIT_QUERY_TIMEOUT, TIMEOUT)
            .withDuration(DefaultDriverOption.CONTROL_CONNECTION_TIMEOUT, TIMEOUT)
            .withDuration(DefaultDriverOption.METADATA_SCHEMA_REQUEST_TIMEOUT, TIMEOUT)
            // By itself the driver asks five times within 15 ms for what Cassandra writes when it has time.
            .withInt(DefaultDriverOption.REQUEST_TRACE_ATTEMPTS, 500)
            .withDuration(DefaultDriverOption.REQUEST_TRACE_INTERVAL, Duration.ofMillis(20))
            .withDuration(DefaultDriverOption.METADATA_SCHEMA_WINDOW, Duration.ofMillis(50))
            // Closing a session waits for two seconds by default.
            .withInt(DefaultDriverOption.NETTY_IO_SHUTDOWN_QUIET_PERIOD, 0)
            .withInt(DefaultDriverOption.NETTY_ADMIN_SHUTDOWN_QUIET_PERIOD, 0)
            .withInt(DefaultDriverOption.CONNECTION_POOL_LOCAL_SIZE, 1)
            .withInt(DefaultDriverOption.CONNECTION_MAX_REQUESTS, 4096);
    if (run.hasNonNull("compression")) {
      config.withString(DefaultDriverOption.PROTOCOL_COMPRESSION, run.get("compression").asText());
    }
    CqlSession made =
        CqlSession.builder()
            .addContactPoint(
                new InetSocketAddress(run.get("host").asText(), run.get("port").asInt()))
            .withLocalDatacenter("datacenter1")
            .withConfigLoader(config.build())
            .build();
    made.execute(
        "CREATE KEYSPACE IF NOT EXISTS "
            + keyspace
            + " WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    made.execute("USE " + keyspace);
    return made;
  }

  private Object step(JsonNode step) {
    try {
      return dispatch(step);
    } catch (Mismatch mismatch) {
      throw mismatch;
    } catch (Exception error) { // What the server says is an outcome too.
      return Map.of(
          "error", error.getClass().getSimpleName(), "message", String.valueOf(error.getMessage()));
    }
  }

  private Object dispatch(JsonNode step) throws Exception {
    switch (step.get("do").asText()) {
      case "simple":
        return simple(step);
      case "prepared":
        return execute(bind(step), step);
      case "batch":
        return batch(step);
      case "topology":
        return topology();
      case "create-types-table":
        return createTypesTable();
      case "schema":
        return schema();
      case "schema-event":
        return schemaEvent(step);
      case "types":
        return types();
      case "size":
        return size(step);
      case "in-flight":
        return inFlight(step);
      case "page":
        return page(step);
      case "use":
        session.execute("USE " + keyspace);
        return session.getKeyspace().map(CqlIdentifier::asInternal).orElse("none");
      case "reconnect":
        session.close();
        prepared.clear();
        session = connect();
        return "connected";
      default:
        throw new Mismatch("no such step: " + step);
    }
  }

  private static Object valueOf(JsonNode value) {
    if (value.isNull()) return null;
    return value.isInt() ? (Object) value.asInt() : value.asText();
  }

  private Object execute(Statement<?> statement, JsonNode step) throws Exception {
    Statement<?> made = statement;
    if (step.has("serial")) {
      ConsistencyLevel level = DefaultConsistencyLevel.valueOf(step.get("serial").asText());
      made = (Statement<?>) made.setSerialConsistencyLevel(level);
    }
    if (step.has("tracing")) made = (Statement<?>) made.setTracing(true);
    if (step.has("payload")) {
      Map<String, ByteBuffer> payload = new HashMap<>();
      step.get("payload")
          .fields()
          .forEachRemaining(
              (field) ->
                  payload.put(
                      field.getKey(),
                      ByteBuffer.wrap(field.getValue().asText().getBytes(StandardCharsets.UTF_8))));
      made = (Statement<?>) made.setCustomPayload(payload);
    }
    ResultSet result = session.execute(made);
    Map<String, Object> outcome = new LinkedHashMap<>();
    // Before the rows, which it would not be found in any more.
    boolean wasApplied = result.wasApplied();
    List<String> rows = new ArrayList<>();
    for (Row row : result) rows.add(row.getFormattedContents());
    outcome.put("rows", rows);
    outcome.put("applied", wasApplied);
    if (!result.getExecutionInfo().getWarnings().isEmpty()) {
      outcome.put("warnings", result.getExecutionInfo().getWarnings());
    }
    if (!result.getExecutionInfo().getIncomingPayload().isEmpty()) {
      outcome.put("payload", result.getExecutionInfo().getIncomingPayload().toString());
    }
    if (step.has("tracing")) {
      outcome.put("traced", result.getExecutionInfo().getQueryTrace().getRequestType());
    }
    return outcome;
  }

  private Object simple(JsonNode step) throws Exception {
    SimpleStatementBuilder statement = SimpleStatement.builder(step.get("cql").asText());
    JsonNode values = step.get("values");
    if (values != null && values.isArray()) {
      values.forEach((value) -> statement.addPositionalValue(valueOf(value)));
    } else if (values != null) {
      values
          .fields()
          .forEachRemaining((one) -> statement.addNamedValue(one.getKey(), valueOf(one.getValue())));
    }
    return execute(statement.build(), step);
  }

  private PreparedStatement prepare(String cql) {
    return prepared.computeIfAbsent(cql, (text) -> session.prepare(text));
  }

  private static BoundStatementBuilder set(BoundStatementBuilder bound, int at, JsonNode value) {
    if (value.isObject()) return bound.unset(at);
    if (value.isNull()) return bound.setToNull(at);
    return value.isInt() ? bound.setInt(at, value.asInt()) : bound.setString(at, value.asText());
  }

  private BoundStatement bind(JsonNode step) {
    BoundStatementBuilder bound = prepare(step.get("cql").asText()).boundStatementBuilder();
    JsonNode values = step.get("values");
    if (values != null && values.isArray()) {
      for (int i = 0; i < values.size(); i++) set(bound, i, values.get(i));
    } else if (values != null) {
      values
          .fields()
          .forEachRemaining((one) -> set(bound, bound.firstIndexOf(one.getKey()), one.getValue()));
    }
    return bound.build();
  }

  private Object batch(JsonNode step) throws Exception {
    DefaultBatchType type = DefaultBatchType.valueOf(step.get("type").asText().toUpperCase());
    BatchStatementBuilder batch = BatchStatement.builder(type);
    for (JsonNode child : step.get("children")) {
      if (child.has("prepared")) batch.addStatement(bind(child));
      else batch.addStatement(SimpleStatement.newInstance(child.get("cql").asText()));
    }
    return execute(batch.build(), step);
  }

  private Object topology() {
    Map<String, Object> outcome = new LinkedHashMap<>();
    outcome.put("version", session.getContext().getProtocolVersion().toString());
    List<Object> hosts = new ArrayList<>();
    for (Node node : session.getMetadata().getNodes().values()) {
      hosts.add(
          List.of(
              node.getDatacenter(),
              node.getRack(),
              String.valueOf(node.getCassandraVersion()),
              node.getState().toString()));
      outcome.put("connections", node.getOpenConnections());
    }
    outcome.put("hosts", hosts);
    outcome.put("tokens", session.getMetadata().getTokenMap().isPresent());
    session
        .getMetadata()
        .getTokenMap()
        .ifPresent((map) -> outcome.put("partitioner", map.getPartitionerName()));
    return outcome;
  }

  private Object createTypesTable() {
    StringBuilder columns = new StringBuilder();
    for (JsonNode type : suite.get("types")) {
      columns.append(", c_" + type.get("name").asText() + " " + type.get("cql").asText());
    }
    session.execute("CREATE TABLE types (k int PRIMARY KEY" + columns + ")");
    return "created";
  }

  private Object schema() {
    return List.of(
        session.refreshSchema().getKeyspace(keyspace).get().describeWithChildren(true).split("\n"));
  }

  private Object schemaEvent(JsonNode step) throws Exception {
    try (CqlSession other = connect()) {
      other.execute(step.get("cql").asText());
    }
    long deadlineMs = System.currentTimeMillis() + EVENT_TIMEOUT_MS;
    String table = step.get("table").asText();
    while (session.getMetadata().getKeyspace(keyspace).flatMap((ks) -> ks.getTable(table)).isEmpty()) {
      if (System.currentTimeMillis() > deadlineMs) {
        throw new Mismatch("the first session did not hear of the new table");
      }
      Thread.sleep(50);
    }
    return "heard of";
  }

  private Object types() {
    CodecRegistry codecs = session.getContext().getCodecRegistry();
    Map<String, Object> outcome = new LinkedHashMap<>();
    int key = 0;
    for (JsonNode type : suite.get("types")) {
      if (type.path("unreadBy").has("java")) continue;
      String column = "c_" + type.get("name").asText();
      PreparedStatement insert = prepare("INSERT INTO types (k, " + column + ") VALUES (?, ?)");
      PreparedStatement select = prepare("SELECT " + column + " FROM types WHERE k = ?");
      TypeCodec<Object> codec = codecs.codecFor(insert.getVariableDefinitions().get(1).getType());
      List<String> literals = new ArrayList<>();
      type.get("literals").forEach((literal) -> literals.add(literal.asText()));
      literals.add("null");
      List<String> seen = new ArrayList<>();
      for (String literal : literals) {
        key++;
        session.execute(
            "INSERT INTO types (k, " + column + ") VALUES (" + key + ", " + literal + ")");
        Object written = session.execute(select.bind(key)).one().get(0, codec);
        session.execute(insert.bind().setInt(0, key + KEY_OFFSET).set(1, written, codec));
        Object read = session.execute(select.bind(key + KEY_OFFSET)).one().get(0, codec);
        if (!Objects.equals(read, written)) {
          throw new Mismatch(column + ": " + literal + " was " + written + ", then " + read);
        }
        seen.add(codec.format(read));
      }
      outcome.put(type.get("name").asText(), seen);
    }
    return outcome;
  }

  private Object size(JsonNode step) {
    byte[] bytes = new byte[step.get("bytes").asInt()];
    for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) (i % 251);
    PreparedStatement insert = prepare("INSERT INTO sizes (k, v) VALUES (?, ?)");
    session.execute(insert.bind(step.get("key").asInt(), ByteBuffer.wrap(bytes)));
    PreparedStatement select = prepare("SELECT v FROM sizes WHERE k = ?");
    ByteBuffer read = session.execute(select.bind(step.get("key").asInt())).one().getByteBuffer(0);
    if (!ByteBuffer.wrap(bytes).equals(read)) {
      throw new Mismatch(bytes.length + " bytes were written, others read");
    }
    return read.remaining();
  }

  private Object inFlight(JsonNode step) throws Exception {
    PreparedStatement statement = prepare(step.get("cql").asText());
    Semaphore free = new Semaphore(step.get("atOnce").asInt());
    Queue<String> faults = new ConcurrentLinkedQueue<>();
    List<CompletableFuture<AsyncResultSet>> futures = new ArrayList<>();
    for (int i = 0; i < step.get("requests").asInt(); i++) {
      free.acquire();
      CompletableFuture<AsyncResultSet> future =
          session.executeAsync(statement.bind(i, "value " + i)).toCompletableFuture();
      futures.add(
          future.whenComplete(
              (result, error) -> {
                if (error != null) faults.add(error.toString());
                free.release();
              }));
    }
    for (CompletableFuture<AsyncResultSet> future : futures) future.exceptionally((e) -> null).get();
    return Map.of("faults", faults);
  }

  private Object page(JsonNode step) {
    List<Integer> pages = new ArrayList<>();
    ByteBuffer state = null;
    int expected = 0;
    do {
      // By its paging state, as an application does that keeps it between two requests.
      ResultSet page =
          session.execute(
              SimpleStatement.newInstance(step.get("cql").asText())
                  .setPageSize(step.get("pageSize").asInt())
                  .setPagingState(state));
      int count = page.getAvailableWithoutFetching();
      pages.add(count);
      for (int i = 0; i < count; i++) {
        Row row = page.one();
        if (row.getInt(0) != expected || !("value " + expected).equals(row.getString(1))) {
          throw new Mismatch("the rows are not those that were written, in order");
        }
        expected++;
      }
      state = page.getExecutionInfo().getPagingState();
    } while (state != null);
    return pages;
  }

  private void cases() throws Exception {
    for (JsonNode one : suite.get("cases")) {
      if (one.has("from") && run.get("version").asInt() < one.get("from").asInt()) continue;
      long startedMs = System.currentTimeMillis();
      Map<String, Object> result = new LinkedHashMap<>();
      result.put("run", run.get("label").asText());
      result.put("case", one.get("name").asText());
      List<Object> outcome = new ArrayList<>();
      try {
        for (JsonNode step : one.get("steps")) outcome.add(step(step));
        result.put("ok", true);
        result.put("outcome", outcome);
      } catch (Mismatch mismatch) {
        result.put("ok", false);
        result.put("outcome", mismatch.getMessage());
      }
      result.put("ms", System.currentTimeMillis() - startedMs);
      System.out.println(JSON.writeValueAsString(result));
    }
    session.close();
  }

  public static void main(String[] arguments) throws Exception {
    System.setOut(new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8));
    for (JsonNode run : JSON.readTree(arguments[0])) {
      new Suite(JSON.readTree(new File(run.get("suite").asText())), run).cases();
    }
    System.exit(0);
  }
}
