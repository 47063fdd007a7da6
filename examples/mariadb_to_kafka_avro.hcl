# A MariaDB database to Kafka: Debezium's envelope in Avro with a schema registry.
#
#   mariadb ... < examples/exchange.sql
#   pipe run examples/mariadb_to_kafka_avro.hcl

pipeline "exchange_events" {
  state "file" {
    path = env("PIPE_STATE", ".pipe/exchange_events")
  }
}

source "mariadb" "trading" {
  dsn    = env("MARIADB_URL")
  tables = ["exchange_trading.*"]

  exclude    = ["*.t_tmp_*"]
  zero_dates = "null"
}

sink "kafka" "events" {
  from = source.trading

  brokers    = split(",", env("KAFKA_BROKERS"))
  topic      = "exchange.${table.database}.${table.name}"
  envelope   = "debezium"
  tombstones = true

  create_topics {
    partitions = 3
  }

  format "avro" {
    registry = env("SCHEMA_REGISTRY_URL")
  }
}
