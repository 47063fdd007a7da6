# One read of the WAL, two places to go: Kafka gets flat Avro rows without personal data, a second
# PostgreSQL gets everything.
#
#   psql "$DATABASE_URL" -f examples/shop.sql
#   pipe run examples/fan_out.hcl

pipeline "shop_fan_out" {
  state "file" {
    path = env("PIPE_STATE", ".pipe/shop_fan_out")
  }
}

source "postgres" "shop" {
  dsn         = env("DATABASE_URL")
  slot        = "pipe_shop_fan_out"
  publication = "pipe_shop_fan_out"
  create      = ["slot", "publication"]

  tables  = ["shop.*"]
  exclude = ["shop.sessions", "shop.audit_log"]

  workers = 2
}

transform "mask" "private" {
  from   = source.shop
  tables = ["shop.customers"]

  columns = ["customers.email", "customers.password_hash"]
  hash    = "sha256"
  salt    = env("MASK_SALT", "pepper")
}

transform "set" "meta" {
  from = transform.private

  metadata = ["__op", "__source_ts_ms"]
}

sink "kafka" "events" {
  from = transform.meta

  brokers  = split(",", env("KAFKA_BROKERS"))
  topic    = "shop.${table.name}"
  envelope = "flat"

  create_topics {
    partitions = 3
  }

  format "avro" {
    registry = env("SCHEMA_REGISTRY_URL")
  }
}

sink "postgres" "warehouse" {
  from = source.shop

  dsn  = env("WAREHOUSE_URL")
  into = "${table.schema}.${table.name}"
}
