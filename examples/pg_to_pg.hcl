# One PostgreSQL into another: what is there first, then every change, exactly once.
#
#   psql "$DATABASE_URL" -f examples/shop.sql
#   pipe run examples/pg_to_pg.hcl

pipeline "shop_copy" {
  # Positions are stored in the target, in the transaction that writes the rows.
  state "sink" {
    sink = sink.warehouse
  }
}

source "postgres" "shop" {
  dsn         = env("DATABASE_URL")
  slot        = "pipe_shop_copy"
  publication = "pipe_shop_copy"
  create      = ["slot", "publication"]

  tables = ["shop.*"]

  workers = 2
}

sink "postgres" "warehouse" {
  from = source.shop

  dsn  = env("WAREHOUSE_URL")
  into = "${table.schema}.${table.name}"
}
