"""The same as on_spark.py by Sail, which understands Spark and needs no Java.

    python on_sail.py LOGS OUT         needs pysail and pyspark-client (pysail 0.7: below 4.3, which it refuses)

Here the server is started in this process; a cluster's is named by its address, sc://host:port.
"""

import sys

import on_spark
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

if __name__ == "__main__":
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    host, port = server.listening_address
    spark = SparkSession.builder.remote(f"sc://{host}:{port}").getOrCreate()
    on_spark.main(spark, *sys.argv[1:3])
    spark.stop()
    server.stop()
