# Eight MariaDB databases into one PostgreSQL schema, without a broker: rows once, then every change.
#
#   mariadb ... < examples/exchange.sql
#   pipe run examples/mariadb_to_pg.hcl

pipeline "exchange" {
  state "sink" {
    sink = sink.warehouse
  }
}

locals {
  # What is taken of each database; "*" is every table.
  databases = {
    trading     = ["t_deal", "t_carrier"]
    finance     = ["t_invoice", "t_account"]
    live        = ["*"]
    chat        = ["*"]
    performance = ["*"]
    concontrol  = ["*"]
    claim       = ["*"]
    payment     = ["*"]
  }
}

source "mariadb" "exchange" {
  for_each = local.databases

  dsn     = env("MARIADB_URL")
  tables  = [for t in each.value : "exchange_${each.key}.${t}"]
  exclude = ["*.t_tmp_*"]

  zero_dates = "null"
}

transform "cast" "types" {
  from = source.exchange

  types = {
    "tinyint(1)" = "bool"
  }

  columns = {
    "*.free_storage_days" = "int16"
  }
}

transform "set" "meta" {
  from = transform.types

  metadata = ["__op", "__source_ts_ms", "__source_db", "__source_table"]
}

sink "postgres" "warehouse" {
  from = transform.meta

  dsn  = env("WAREHOUSE_URL")
  into = "mp_cdc.${trimprefix(table.database, "exchange_")}_${lower(table.name)}"
}
