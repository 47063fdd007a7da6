# PostgreSQL WAL to Kafka: Debezium's envelope, Avro, a schema registry, a policy for each table.
#
#   psql "$DATABASE_URL" -f examples/shop.sql
#   pipe run examples/pg_to_kafka_avro.hcl

variable "topic_prefix" {
  description = "What every topic's name begins with."
  type        = string
  default     = "shop"
}

pipeline "shop_events" {
  state "file" {
    path = env("PIPE_STATE", ".pipe/shop_events")
  }
}

source "postgres" "shop" {
  dsn         = env("DATABASE_URL")
  slot        = "pipe_shop_events"
  publication = "pipe_shop_events"
  create      = ["slot", "publication"]

  tables  = ["shop.*"]
  exclude = ["shop.sessions"]

  table "shop.orders" {
    where = row.amount > 100 && row.status != "draft"
  }

  table "shop.customers" {
    omit = ["password_hash"]
  }

  table "shop.audit_log" {
    snapshot = "never"
  }

  table "shop.countries" {
    snapshot = "only"
  }
}

sink "kafka" "events" {
  from = source.shop

  brokers = split(",", env("KAFKA_BROKERS"))

  topic      = "${var.topic_prefix}.${table.schema}.${table.name}"
  envelope   = "debezium"
  tombstones = true

  create_topics {
    partitions = 3
  }

  format "avro" {
    registry      = env("SCHEMA_REGISTRY_URL")
    subject       = "topic"
    compatibility = "backward"
  }
}
