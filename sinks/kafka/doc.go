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
// A snapshot that replaces (Sift, Sweep) deletes from a table's topic what it did not find. Nothing is
// remembered of what is written: a row vanished if the topic held its key before the snapshot began, and no
// record of the key came since. So all that must outlive a process is where the topic ended at the
// beginning, and that is kept in the cluster, as the offsets of a consumer group without members
// (pipe.PIPELINE.SINK.SOURCE.TABLE.sift, which the sink's user must be allowed to READ). The topic is read in
// the background while the snapshot runs, committed records only; the snapshot waits for that, not the
// stream (Sifted); at the Sweep only the newest records are left to be read.
//
//   - In memory is a digest of each key that was alive before the beginning and has not come since, about 56
//     bytes for each; the keys themselves are in a file in the sink's directory. Where there are more than
//     siftKeys, the topic is read again at the Sweep for each further part of them.
//   - A record is a table's if its envelope's source block says so; in the flat envelope, which has none, if
//     the topic's name shows that it is no other table's, else the request is refused. Values in Avro are
//     read by the decoder of codec/avro, bounded, with whatever schema the registry has for their id.
//   - What is written for a row that vanished is what a delete writes, in the partitions that held it. The
//     old row has the key's columns, read back from the key's bytes, and counts only if it encodes to the
//     same bytes. A key whose type is not read back gets a tombstone alone; one that is not the table's in
//     its present form is left alone, and counted in the log.
//   - A crash repeats what was not acknowledged: a delete may come twice, and one that was not written yet is
//     found again, since the mark is set to swept only after all of them are acknowledged.
//   - The topic must have no other writer, and keep its records: what retention has removed is not known
//     to have been there.
//
// Exactly-once delivery is to come: rows and positions in one Kafka transaction, in Sink.Write.
//
// Neighbours: codec/envelope, codec/avro, codec/json encode; codec/avro/registry keeps schemas.
package kafka
