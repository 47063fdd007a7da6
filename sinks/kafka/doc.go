// Package kafka is the sink "kafka": rows become records, encoded as Avro with a schema registry or
// as JSON, in Debezium's envelope or flat.
//
// Write produces the rows of a batch with an idempotent producer (acks from all in-sync replicas)
// and returns when every record is acknowledged; so the engine saves a position only after that
// (invariant 1). An error fails the whole Write and the sink is not used again (invariant 6): what
// was sent is sent again after the restart, at least once.
//
// Invariants: records with equal keys go to one partition, in order (invariant 3): murmur2 of the
// encoded key, as the Java client, modulo a count of partitions that is read once for each topic
// and kept while the sink runs; records without key go to one partition for each table. No record
// has a deadline and none is cancelled: either would break the idempotent producer's sequence.
// Memory is bounded: at most flightBytes of encoded records for each lane (invariant 4).
//
// Exactly-once delivery is to come: rows and positions in one Kafka transaction, in Sink.Write.
//
// Neighbours: codec/envelope, codec/avro, codec/json encode; codec/avro/registry keeps schemas.
package kafka
