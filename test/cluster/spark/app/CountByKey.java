package dev.sparkpipeline.sample;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.count;
import static org.apache.spark.sql.functions.floor;
import static org.apache.spark.sql.functions.lit;
import static org.apache.spark.sql.functions.max;
import static org.apache.spark.sql.functions.sum;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.streaming.DataStreamWriter;
import org.apache.spark.sql.streaming.Trigger;

/**
 * A stream whose state can be checked from its output. It numbers rows from 0
 * without a gap, counts them by key, and prints every batch as
 *
 * <pre>BATCH id=7 keys=48 rows=1200 last=1199</pre>
 *
 * <p>A key gets 25 rows in a row and is then left alone for 2000 keys: state that
 * was lost is not healed by later batches, as it would be if each touched every key.
 *
 * <p>As long as no state is lost and no row is counted twice, rows is last + 1,
 * over every restart. With the provider "none" there is no state, and rows
 * counts those of the batch alone.
 *
 * <p>Arguments: the checkpoint root of the query, or "-" to leave it to
 * spark.sql.streaming.checkpointLocation; the state store: none, hdfs, rocksdb
 * or rocksdb-changelog; rows per second; the trigger interval in milliseconds.
 * The process fails when the query fails.
 */
public final class CountByKey {
  private static final int ROWS_OF_A_KEY = 25;
  private static final int KEYS = 2000;
  private static final List<String> PROVIDERS = List.of("none", "hdfs", "rocksdb", "rocksdb-changelog");
  private static final String STATE_PACKAGE = "org.apache.spark.sql.execution.streaming.state.";

  private CountByKey() {}

  public static void main(String[] args) {
    try {
      run(args);
      System.exit(0);
    } catch (Throwable failure) {
      failure.printStackTrace();
      // Threads that Spark leaves behind would keep the process alive.
      System.exit(1);
    }
  }

  private static void run(String[] args) throws Exception {
    if (args.length != 4 || !PROVIDERS.contains(args[1])) {
      throw new IllegalArgumentException(
          "arguments are " + Arrays.toString(args) + ", want <checkpoint root or -> <" + String.join("|", PROVIDERS)
              + "> <rows per second> <trigger milliseconds>");
    }
    SparkSession spark = session(args[1]);
    Dataset<Row> rows =
        spark.readStream().format("rate").option("rowsPerSecond", Long.parseLong(args[2])).load()
            .withColumn("key", floor(col("value").divide(ROWS_OF_A_KEY)).mod(KEYS));
    boolean stateful = !args[1].equals("none");
    DataStreamWriter<Row> writer =
        (stateful ? countByKey(rows) : rows).writeStream().queryName("counts")
            // Complete: every batch shows all of the state, not only what changed.
            .outputMode(stateful ? "complete" : "append")
            .trigger(Trigger.ProcessingTime(Long.parseLong(args[3])));
    if (!args[0].equals("-")) {
      writer = writer.option("checkpointLocation", args[0]);
    }
    writer.foreachBatch(CountByKey::print).start().awaitTermination();
  }

  private static SparkSession session(String provider) {
    SparkSession.Builder builder = SparkSession.builder();
    if (provider.equals("hdfs")) {
      builder.config("spark.sql.streaming.stateStore.providerClass", STATE_PACKAGE + "HDFSBackedStateStoreProvider");
    }
    if (provider.startsWith("rocksdb")) {
      builder.config("spark.sql.streaming.stateStore.providerClass", STATE_PACKAGE + "RocksDBStateStoreProvider");
      builder.config("spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled", provider.endsWith("changelog"));
    }
    return builder.getOrCreate();
  }

  private static Dataset<Row> countByKey(Dataset<Row> rows) {
    return rows.groupBy("key").agg(count(lit(1)).as("rows"), max("value").as("last"));
  }

  private static void print(Dataset<Row> batch, long id) {
    boolean counted = Arrays.asList(batch.columns()).contains("rows");
    Dataset<Row> counts = counted ? batch : countByKey(batch);
    Row total = counts.agg(count(lit(1)), sum("rows"), max("last")).first();
    System.out.printf(
        "BATCH id=%d keys=%d rows=%d last=%d%n",
        id, total.getLong(0), total.isNullAt(1) ? 0 : total.getLong(1), total.isNullAt(2) ? -1 : total.getLong(2));
    System.out.flush();
  }
}
