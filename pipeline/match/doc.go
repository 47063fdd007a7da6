// Package match decides which tables and columns a list of patterns names.
//
// A pattern is a name in dotted parts, read from the right: "orders" is that table in any schema,
// "public.orders" in one schema (MariaDB: one database), "shop.public.orders" in one database too.
// "*" stands for any characters of one part. A part in double quotes is taken literally, so
// "public.\"odd.name\"" names a table with a dot. "~^public\.(orders|items)$" is a regular
// expression over "schema.table". Column patterns have one more part: "*.deleted", "orders.note".
// Names are compared as the database holds them, case included.
//
// Invariant: an exact name wins over a pattern with "*" or "~"; among those the first listed wins.
//
// Neighbours: sources choose tables with it, transforms choose tables and columns. It imports std only.
package match
