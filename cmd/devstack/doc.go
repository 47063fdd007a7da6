// Command devstack starts everything that pipe's demos need on one machine, and leaves nothing when
// it ends: a private PostgreSQL with the databases shop and warehouse, a private MariaDB, a
// Kafka-compatible broker with persistence, and a schema registry that enforces compatibility.
//
//	devstack                          until Ctrl-C, on the ports from 15400
//	devstack --dir .pipe/dev          keeps the data for the next time
//	devstack --only postgres,kafka
//	devstack -- make -C elsewhere     runs a command with the addresses in its environment
//
// The command, or whoever reads --env-file, finds DATABASE_URL, WAREHOUSE_URL, MARIADB_URL,
// KAFKA_BROKERS and SCHEMA_REGISTRY_URL. Exit codes: 0 stopped in order, 2 wrong usage, 3 a server
// could not be started or has died; with a command, the command's own.
//
// Neighbours: pipeline/pipetest/server starts the servers and promises that they die with us.
package main
