// Package registry is a client of a schema registry (Confluent's API): it finds or registers the
// schemas that the avro codec derives, and keeps their ids.
//
// Invariants: an id once given for a subject and a text is kept, so a registry that is away stops
// only schemas not seen yet; what may pass (no connection, 5xx, 429) is tried again a bounded number
// of times with growing pauses; a refusal is an error that says what to choose from.
//
// Neighbours: codec/avro derives schemas; sinks/kafka calls Client.ID for each table.
package registry
