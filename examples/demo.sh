#!/usr/bin/env bash
# The demo: a shop's database goes to Kafka (Avro) and to a second PostgreSQL while it is written to.
# Then eight MariaDB databases go into one schema of it. Run by "make demo" inside devstack, which
# provides DATABASE_URL, WAREHOUSE_URL, MARIADB_URL, KAFKA_BROKERS and SCHEMA_REGISTRY_URL. Everything that is compared at the end is read back from where it arrived.
set -euo pipefail
cd "$(dirname "$0")/.."

pipe=${PIPE:-bin/pipe}
work=$(mktemp -d)
export PIPE_STATE=$work/state
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
sql() { psql -X -q -v ON_ERROR_STOP=1 "$@"; }
value() { sql -At "$1" -c "$2"; }
topic() { kcat -b "$KAFKA_BROKERS" -C -t "$1" -o beginning -e -q -f '%K %k%R%s' | examples/read_avro.py "$SCHEMA_REGISTRY_URL" "${@:2}"; }

say "1. A shop's database: seven tables, 360,000 rows"
PGOPTIONS='-c client_min_messages=warning' sql "$DATABASE_URL" -f examples/shop.sql
value "$DATABASE_URL" "SELECT format('   %-12s %7s rows', relname, n_live_tup) FROM pg_stat_user_tables WHERE schemaname = 'shop' ORDER BY 1" || true

say "2. The pipeline, checked before it runs: examples/fan_out.hcl"
"$pipe" validate examples/fan_out.hcl
"$pipe" graph examples/fan_out.hcl
"$pipe" plan examples/fan_out.hcl

say "3. It runs: a snapshot of what is there, then every change"
"$pipe" run examples/fan_out.hcl &
pid=$!
for _ in $(seq 150); do
	if [ "$(value "$WAREHOUSE_URL" "SELECT count(*) FROM pg_tables WHERE schemaname = 'shop'")" -ge 5 ] &&
		[ "$(value "$WAREHOUSE_URL" "SELECT count(*) FROM shop.order_items" 2>/dev/null || echo 0)" -ge 200000 ]; then
		break
	fi
	sleep 0.2
done

say "4. Live changes while it runs: small and large transactions, changed keys, swapped unique values"
sql "$DATABASE_URL" -f examples/shop_changes.sql

say "5. It is killed (kill -9), more is changed, and it is started again"
kill -9 "$pid"
wait "$pid" 2>/dev/null || true
pid=
sql "$DATABASE_URL" -c "UPDATE shop.products SET title = title || ' (new)' WHERE sku LIKE 'SKU-01%'; DELETE FROM shop.customers WHERE id % 1000 = 7"
"$pipe" run --until-caught-up examples/fan_out.hcl

say "6. The warehouse is damaged; verify finds it, and one table is read again beside the stream"
"$pipe" run examples/fan_out.hcl &
pid=$!
sql "$WAREHOUSE_URL" -c "DELETE FROM shop.orders WHERE id % 1000 = 3; UPDATE shop.orders SET amount = 0 WHERE id % 1000 = 4"
if "$pipe" verify --table shop.orders examples/fan_out.hcl; then
	say "verify found nothing"
	exit 1
fi
"$pipe" snapshot --table shop.orders --wait examples/fan_out.hcl
"$pipe" verify --table shop.orders examples/fan_out.hcl
"$pipe" status examples/fan_out.hcl
kill "$pid"
wait "$pid"
pid=

say "7. What Kafka holds, decoded by the registry's schemas with python3-avro (nothing of pipe)"
topic shop.products --show 2

say "8. Everything compared"
failed=0
check() { # what, source, target
	if [ "$2" = "$3" ]; then printf '   equal    %-28s %s\n' "$1" "$2"; else
		printf '   DIFFERS  %-28s %s, not %s\n' "$1" "$3" "$2"
		failed=1
	fi
}
declare -A columns=(
	[countries]="code, name"
	[customers]="id, email, name, country, password_hash, tags, created_at"
	[products]="sku, title, price, attributes, manual"
	[orders]="id, customer_id, status, amount, express, placed_at, note"
	[order_items]="order_id, line, sku, quantity, price"
)
for table in countries customers products orders order_items; do
	query="SELECT count(*) || ' rows, md5 ' || md5(string_agg(ROW(${columns[$table]})::text, E'\n' ORDER BY ROW(${columns[$table]})::text COLLATE \"C\")) FROM shop.$table"
	check "postgres shop.$table" "$(value "$DATABASE_URL" "$query")" "$(value "$WAREHOUSE_URL" "$query")"
done
for table in countries customers products orders order_items; do
	topic "shop.$table" --fold >"$work/$table.json" 2>>"$work/decoded"
done
json() { # the file's rows with the named fields, joined by |
	python3 -c 'import json, sys
for line in open(sys.argv[1]):
    row = json.loads(line)
    print("|".join(str(row[f]) for f in sys.argv[2:]))' "$@" | LC_ALL=C sort | md5sum | cut -d' ' -f1
}
sum() { value "$DATABASE_URL" "$1" | LC_ALL=C sort | md5sum | cut -d' ' -f1; }
check "kafka shop.countries" "$(sum "SELECT code, name FROM shop.countries")" "$(json "$work/countries.json" code name)"
check "kafka shop.customers" "$(sum "SELECT id, name, country FROM shop.customers")" "$(json "$work/customers.json" id name country)"
check "kafka shop.products" "$(sum "SELECT sku, title, price FROM shop.products")" "$(json "$work/products.json" sku title price)"
check "kafka shop.orders" "$(sum "SELECT id, status, amount FROM shop.orders")" "$(json "$work/orders.json" id status amount)"
check "kafka shop.order_items" "$(sum "SELECT order_id, line, quantity FROM shop.order_items")" "$(json "$work/order_items.json" order_id line quantity)"
sed 's/^/   /' "$work/decoded"

say "9. Eight MariaDB databases into one schema of the warehouse: examples/mariadb_to_pg.hcl"
maria() { # the client, at the server of MARIADB_URL
	local at=${MARIADB_URL#*://}
	local user=${at%%@*} host=${at#*@}
	host=${host%%/*}
	MYSQL_PWD=${user#*:} mariadb --protocol=tcp --default-character-set=utf8mb4 -h "${host%%:*}" -P "${host##*:}" -u "${user%%:*}" "$@"
}
maria <examples/exchange.sql
"$pipe" run --until-caught-up examples/mariadb_to_pg.hcl 2>&1 | grep -v 'values are replaced'
maria <examples/exchange_changes.sql
"$pipe" run --until-caught-up examples/mariadb_to_pg.hcl 2>&1 | grep -v 'are replaced'
for table in trading.t_deal trading.t_carrier finance.t_invoice finance.t_account live.t_user chat.t_message \
	performance.t_metric concontrol.t_container claim.t_claim payment.t_payment; do
	facts="count(*), sum(amount), sum(id), count(due)"
	check "mariadb $table" \
		"$(maria -N -e "SELECT CONCAT_WS(' ', ${facts/count(due)/sum(due > 0)}, SUM(active), SUM(deleted)) FROM exchange_$table")" \
		"$(value "$WAREHOUSE_URL" "SELECT concat_ws(' ', $facts, sum(active::int), sum(deleted::int)) FROM mp_cdc.${table/./_}")"
done
if [ "$failed" = 0 ]; then say "All equal."; else
	say "Something differs."
	exit 1
fi
