#!/bin/bash
# The contract of Spark on Kubernetes: "driver" runs spark-submit in client
# mode, "executor" runs an executor by the SPARK_* variables of its pod, and
# anything else is run as it is. tini reaps children and passes signals on.
set -euo pipefail

export SPARK_HOME=/opt/spark
command=("$@")

case "${1:-}" in
  driver)
    shift
    command=("$SPARK_HOME/bin/spark-submit"
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS"
      --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS"
      --deploy-mode client "$@")
    ;;
  executor)
    # Java options come as SPARK_JAVA_OPT_0, SPARK_JAVA_OPT_1, ... in order.
    options=()
    for ((i = 0; ; i++)); do
      name="SPARK_JAVA_OPT_$i"
      [[ -v $name ]] || break
      options+=("${!name}")
    done
    classpath="${SPARK_EXTRA_CLASSPATH:+$SPARK_EXTRA_CLASSPATH:}$SPARK_HOME/conf:$SPARK_HOME/jars/*"
    command=(java "${options[@]}"
      "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" -cp "$classpath"
      org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend
      --driver-url "$SPARK_DRIVER_URL"
      --executor-id "$SPARK_EXECUTOR_ID"
      --cores "$SPARK_EXECUTOR_CORES"
      --app-id "$SPARK_APPLICATION_ID"
      --hostname "$SPARK_EXECUTOR_POD_IP"
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID"
      --podName "$SPARK_EXECUTOR_POD_NAME")
    ;;
esac

exec /usr/bin/tini -s -- "${command[@]}"
