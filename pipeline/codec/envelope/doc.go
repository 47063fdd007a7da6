// Package envelope is the shapes of an event, shared by the avro and json codecs: which messages a
// Row becomes (Plan), which Connect, Avro or plain type a column has (TypeOf), and how a Value
// becomes that type's primitive (the conversions of Type).
//
// Two shapes exist. Debezium: before, after, source, transaction, op, ts_ms, ts_us, ts_ns, with key
// changes as delete, tombstone, create, as the connectors of Debezium 3.6 write them. Flat: the
// row's columns; a delete is a tombstone or, rewritten, the old row with __deleted = true. A further
// shape is a further case of Plan.Events and of the two encoders.
//
// Invariants: an Absent value is never written as NULL unless Unavailable says so, and then the
// event names the columns; a value outside its type's range is an error, never a wrapped number;
// conversions append to the caller's memory and keep nothing.
//
// Where it departs from Debezium, on purpose: source.sequence holds this transaction's commit LSN
// (Debezium: that of the one before), so that it orders events even after a restart; source.row of
// MariaDB is the ordinal in the transaction; ts_ms and its siblings of the envelope are the time at
// which the batch was encoded; an infinite date is the extreme int32.
//
// Neighbours: codec/avro and codec/json write the shapes; sinks/kafka and sinks/stdout send them.
package envelope
