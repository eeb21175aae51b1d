package dev.sparkpipeline.sample;

import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.sum;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.DataStreamWriter;
import org.apache.spark.sql.streaming.StreamingQuery;
import org.apache.spark.sql.streaming.Trigger;

/**
 * Counts the rows of JSON files by key, on command, so that the whole state of a
 * checkpoint can be compared with its input. It reads commands from its standard
 * input, one a line:
 *
 * <pre>
 * run ROOT INPUT FILES PROVIDER     starts a query that runs until the process ends
 * drain ROOT INPUT FILES PROVIDER   runs a query until it has processed all of INPUT
 * </pre>
 *
 * <p>ROOT is the checkpoint, INPUT a directory of files with the fields key and
 * value, FILES how many of them make a batch, PROVIDER one of hdfs, rocksdb and
 * rocksdb-changelog. A running query prints "BATCH ROOT ID" after each batch. A
 * drained one answers "STATE ROOT KEY=COUNT/SUM ..." with all of its state, or
 * "FAILED ROOT MESSAGE".
 */
public final class CountFiles {
  private static final String STATE_PACKAGE = "org.apache.spark.sql.execution.streaming.state.";
  private static final Map<String, String> LATEST = new ConcurrentHashMap<>();

  private CountFiles() {}

  public static void main(String[] args) throws Exception {
    SparkSession spark = SparkSession.builder().getOrCreate();
    System.out.println("READY");
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
    for (String line = commands.readLine(); line != null; line = commands.readLine()) {
      String[] words = line.trim().split(" ");
      if (words.length != 5) {
        throw new IllegalArgumentException("command is \"" + line + "\", want run|drain ROOT INPUT FILES PROVIDER");
      }
      if (words[0].equals("run")) {
        query(spark, words, Trigger.ProcessingTime(100));
      } else {
        drain(spark, words);
      }
      System.out.flush();
    }
    System.exit(0);
  }

  private static void drain(SparkSession spark, String[] words) {
    LATEST.remove(words[1]);
    try {
      query(spark, words, Trigger.AvailableNow()).awaitTermination();
      System.out.println("STATE " + words[1] + " " + LATEST.getOrDefault(words[1], ""));
    } catch (Exception failure) {
      System.out.println("FAILED " + words[1] + " " + String.valueOf(failure.getMessage()).replace('\n', ' '));
    }
  }

  private static StreamingQuery query(SparkSession spark, String[] words, Trigger trigger) throws Exception {
    String root = words[1];
    // The settings of a query are those of its session.
    SparkSession session = spark.newSession();
    boolean rocks = words[4].startsWith("rocksdb");
    session.conf().set("spark.sql.streaming.stateStore.providerClass",
        STATE_PACKAGE + (rocks ? "RocksDBStateStoreProvider" : "HDFSBackedStateStoreProvider"));
    session.conf().set("spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled",
        String.valueOf(words[4].endsWith("changelog")));
    Dataset<Row> counts =
        session.readStream().schema("key STRING, value LONG").option("maxFilesPerTrigger", words[3]).json(words[2])
            .groupBy("key").agg(count(lit(1)).as("rows"), sum("value").as("total"));
    DataStreamWriter<Row> writer =
        counts.writeStream().queryName(root.substring(root.lastIndexOf('/') + 1)).option("checkpointLocation", root)
            // Complete: every batch shows all of the state, not only what changed.
            .outputMode("complete").trigger(trigger);
    return writer.foreachBatch((Dataset<Row> batch, Long id) -> take(root, batch, id)).start();
  }

  private static void take(String root, Dataset<Row> batch, long id) {
    TreeMap<String, String> state = new TreeMap<>();
    for (Row row : batch.collectAsList()) {
      state.put(row.getString(0), row.getLong(1) + "/" + row.getLong(2));
    }
    StringBuilder text = new StringBuilder();
    state.forEach((key, value) -> text.append(key).append('=').append(value).append(' '));
    LATEST.put(root, text.toString().trim());
    System.out.println("BATCH " + root + " " + id);
    System.out.flush();
  }
}
